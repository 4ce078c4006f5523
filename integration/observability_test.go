package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/integration/harness"
)

var (
	metricName  = regexp.MustCompile(`switchboard_[a-z_]+`)
	selector    = regexp.MustCompile(`(switchboard_[a-z_]+)\{([^}]*)\}`)
	matcherName = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)"`)
)

// The alert rules are Prometheus's own kind, and fire when they should.
func TestAlertRules(t *testing.T) {
	dir := filepath.Join(harness.Root(t), "docs", "observability")
	promtool(t, dir, "check", "rules", "alerts.yml")
	promtool(t, dir, "test", "rules", "alerts_test.yml")
	text, err := os.ReadFile(filepath.Join(dir, "alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	knowsItsMetrics(t, string(text))
	tests, err := os.ReadFile(filepath.Join(dir, "alerts_test.yml"))
	if err != nil {
		t.Fatal(err)
	}
	docs, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`(?m)- alert: (\S+)`).FindAllStringSubmatch(string(text), -1)
	if len(names) == 0 {
		t.Fatal("no alert")
	}
	for _, name := range names {
		if !strings.Contains(string(tests), "alertname: "+name[1]) || !strings.Contains(string(docs), "`"+name[1]+"`") {
			t.Errorf("%s is not tested, or not documented", name[1])
		}
	}
}

// Each expression of the dashboard is PromQL over metrics that there are.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(harness.Root(t), "docs", "observability", "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	rules, n := "groups:\n- name: dashboard\n  rules:\n", 0
	for _, panel := range dashboard.Panels {
		if len(panel.Targets) == 0 {
			t.Errorf("%s shows nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			n++
			// what Grafana puts in
			expr := strings.NewReplacer("$__rate_interval", "5m", "$api", ".*").Replace(target.Expr)
			knowsItsMetrics(t, expr)
			quoted, err := json.Marshal(expr)
			if err != nil {
				t.Fatal(err)
			}
			rules += fmt.Sprintf("  - record: dashboard:%d\n    expr: %s\n", n, quoted)
		}
	}
	if n == 0 {
		t.Fatal("a dashboard without expressions")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "rules.yml"), []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, dir, "check", "rules", "rules.yml")
}

func promtool(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("promtool", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// knowsItsMetrics holds the metrics of expressions, and the labels that they
// select by, against the reference.
func knowsItsMetrics(t *testing.T, expressions string) {
	t.Helper()
	documented := documentedMetrics(t)
	for _, name := range metricName.FindAllString(expressions, -1) {
		if _, ok := documented[family(name)]; !ok {
			t.Errorf("there is no metric %s", name)
		}
	}
	for _, s := range selector.FindAllStringSubmatch(expressions, -1) {
		for _, label := range matcherName.FindAllStringSubmatch(s[2], -1) {
			if !slices.Contains(documented[family(s[1])], label[1]) {
				t.Errorf("%s has no label %s", s[1], label[1])
			}
		}
	}
}
