package integration

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

func TestMetrics(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{global: "metrics", more: "breaker 90% 100 10s\n cache 200ms {\n stale 1h 1h\n }", site: orderBlock + ticketSite("1h", "")})
	for range 2 {
		harness.Get(t, caddy.URL("/ticket?tel=13800138000&subject=parcel&call_id=a"))
	}
	url := caddy.URL("/ivr/order?tel=")
	harness.Get(t, url+"13800138000")
	harness.Get(t, url+"13800138001")
	harness.Get(t, url+"10000000000")
	inject(t, api, provider.Fault{Target: provider.API, Fault: "status", Status: 500, Times: 1})
	harness.Get(t, url+"13800138002")
	api.Expire()
	harness.Get(t, url+"13800138003")
	harness.Eventually(t, 10*time.Second, "a renewal behind", func() bool {
		harness.Get(t, url+"13800138000")
		text := scrape(t, caddy) // a token is served before its renewal has let go of the storage's lock
		return strings.Contains(text, "switchboard_cache_background_total{") && strings.Contains(text, `switchboard_token_state{state="fresh",token="crm"} 1`)
	})
	text := scrape(t, caddy)
	for _, want := range []string{
		`switchboard_calls_total{api="order",outcome="not_found"} `,
		`switchboard_calls_total{api="order",outcome="failed"} 1`,
		`switchboard_unhealthy_total{api="order"} 1`,
		`switchboard_replays_total{api="order"} 1`,
		`switchboard_token_state{state="fresh",token="crm"} 1`,
		`switchboard_token_generation{token="crm"} 2`,
		`switchboard_token_renewals_total{how="obtain",outcome="ok",token="crm"} `,
		`switchboard_token_expiry_timestamp_seconds{token="crm"} 1.`,
		`switchboard_token_obtained_timestamp_seconds{token="crm"} 1.`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, ours(text))
		}
	}

	documented, shown := documentedMetrics(t), shownMetrics(text)
	for name, labels := range documented {
		if got, ok := shown[name]; !ok {
			t.Errorf("%s is documented, but isn't there", name)
		} else if !slices.Equal(got, labels) {
			t.Errorf("%s has the labels %q, and %q in the docs", name, got, labels)
		}
	}
	for name := range shown {
		if _, ok := documented[name]; !ok {
			t.Errorf("%s isn't documented", name)
		}
	}
}

// Each call that was made for somebody is counted once.
func TestMetricsCountCalls(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{global: "metrics"})
	for range 3 {
		harness.Get(t, caddy.URL("/ivr/order?tel=13800138000"))
	}
	text := scrape(t, caddy)
	for _, want := range []string{
		`switchboard_calls_total{api="order",outcome="ok"} 3`,
		`switchboard_call_duration_seconds_count{api="order"} 3`,
		`switchboard_step_duration_seconds_count{api="order",step="call"} 3`,
		`switchboard_token_generation{token="crm"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, ours(text))
		}
	}
}

func scrape(t testing.TB, caddy *harness.Caddy) string {
	t.Helper()
	return harness.Get(t, "http://"+caddy.Admin+"/metrics").Body
}

var (
	metricRow  = regexp.MustCompile("(?m)^\\| `(switchboard_[a-z_]+)` \\|([^|]*)\\|(.*)\\|$")
	sampleLine = regexp.MustCompile(`(?m)^(switchboard_[a-z_]+)(?:\{(.*)\})? [^ ]+$`)
	quotedWord = regexp.MustCompile("`([a-z_]+)`")
	labelName  = regexp.MustCompile(`([a-z_]+)="`)
)

// documentedMetrics are the metrics of the reference, with their labels.
func documentedMetrics(t testing.TB) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(harness.Root(t), "docs", "reference", "switchboard.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string][]string)
	for _, row := range metricRow.FindAllStringSubmatch(string(text), -1) {
		var labels []string
		for _, label := range quotedWord.FindAllStringSubmatch(row[2], -1) {
			labels = append(labels, label[1])
		}
		slices.Sort(labels)
		found[row[1]] = labels
	}
	if len(found) == 0 {
		t.Fatal("the reference holds no table of metrics")
	}
	return found
}

// shownMetrics are the metrics of a scrape, with their labels. A histogram's
// parts are one.
func shownMetrics(text string) map[string][]string {
	found := make(map[string]map[string]bool)
	for _, sample := range sampleLine.FindAllStringSubmatch(text, -1) {
		name := family(sample[1])
		if found[name] == nil {
			found[name] = make(map[string]bool)
		}
		for _, label := range labelName.FindAllStringSubmatch(sample[2], -1) {
			if label[1] != "le" {
				found[name][label[1]] = true
			}
		}
	}
	shown := make(map[string][]string, len(found))
	for name, labels := range found {
		shown[name] = slices.Sorted(maps.Keys(labels))
	}
	return shown
}

// family is the metric that a sample belongs to.
func family(sample string) string {
	if name, ok := strings.CutSuffix(sample, "_seconds_bucket"); ok {
		return name + "_seconds"
	}
	if name, ok := strings.CutSuffix(sample, "_seconds_sum"); ok {
		return name + "_seconds"
	}
	if name, ok := strings.CutSuffix(sample, "_seconds_count"); ok {
		return name + "_seconds"
	}
	return sample
}

// ours are the lines of the metrics that Switchboard has made.
func ours(text string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "switchboard_") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}
