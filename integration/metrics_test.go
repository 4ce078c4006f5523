package integration

import (
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

func TestMetrics(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{global: "metrics"})
	url := caddy.URL("/ivr/order?tel=")
	harness.Get(t, url+"13800138000")
	harness.Get(t, url+"13800138000")
	harness.Get(t, url+"10000000000")
	inject(t, api, provider.Fault{Target: provider.API, Fault: "status", Status: 500, Times: 1})
	harness.Get(t, url+"13800138000")
	text := harness.Get(t, "http://"+caddy.Admin+"/metrics").Body
	for _, want := range []string{
		`switchboard_calls_total{api="order",outcome="ok"} 2`,
		`switchboard_calls_total{api="order",outcome="not_found"} 1`,
		`switchboard_calls_total{api="order",outcome="rejected"} 1`,
		`switchboard_unhealthy_total{api="order"} 1`,
		`switchboard_call_duration_seconds_count{api="order"} 4`,
		`switchboard_step_duration_seconds_count{api="order",step="call"} 4`,
		`switchboard_token_state{state="fresh",token="crm"} 1`,
		`switchboard_token_generation{token="crm"} 1`,
		`switchboard_token_renewals_total{how="obtain",outcome="ok",token="crm"} 1`,
		`switchboard_token_expiry_timestamp_seconds{token="crm"} `,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, lines(text, "switchboard_"))
		}
	}
}

func lines(text, prefix string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}
