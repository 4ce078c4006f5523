package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/kamailio"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// A real phone flow: sipp calls Kamailio, which asks Switchboard, as the example
// says, and branches on the answer. Whatever the API does, the call goes on.
func TestAPhoneFlow(t *testing.T) {
	example, err := os.ReadFile(filepath.Join(harness.Root(t), "caddyfile-examples", "kamailio.Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	api := startProvider(t, provider.Options{})
	text := strings.Replace(string(example), "admin off", "admin {ADMIN}", 1)
	text = strings.Replace(text, "{$IVR_PORT:8080}", "{PORT}", 1)
	caddy := harness.Start(t, harness.Config{Caddyfile: text, Env: append(credentials, "CRM_URL="+api.URL())})
	harness.Get(t, caddy.URL("/ivr/order?tel=13800138000"))
	proxy, err := kamailio.Start(t.Context(), caddy.URL("/ivr/order"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := proxy.Stop(); err != nil {
			t.Error(err)
		}
	})
	for _, tc := range []struct {
		name, caller, queue, outcome string
		fault                        *provider.Fault
		down                         bool
	}{
		{"a VIP", "13800138000", "vip-queue", "ok", nil, false},
		{"another caller", "13900139000", "normal-queue", "ok", nil, false},
		{"an unknown caller", "10000000000", "normal-queue", "not_found", nil, false},
		{"hostile values", "13600136000", "vip-queue", "ok", nil, false},
		{"an API that hangs", "13800138000", "normal-queue", "timeout", &provider.Fault{Target: provider.API, Fault: "hang"}, false},
		{"an API that breaks off", "13800138000", "normal-queue", "bad_answer", &provider.Fault{Target: provider.API, Fault: "truncate"}, false},
		{"a dead provider", "13800138000", "normal-queue", "unreachable", nil, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.fault != nil {
				inject(t, api, *tc.fault)
				defer api.ClearFaults()
			}
			if tc.down {
				api.Stop()
			}
			const calls = 5
			result, err := proxy.Call(t.Context(), kamailio.Calls{
				Count: calls, Rate: 5, Caller: tc.caller, Queue: tc.queue, Timeout: 20 * time.Second,
			})
			if err != nil {
				t.Fatal(err)
			}
			if result.Succeeded != calls || result.Failed != 0 || result.Outcomes[tc.outcome] != calls {
				t.Fatalf("got %+v, want %d calls to %s with the outcome %s", result, calls, tc.queue, tc.outcome)
			}
			if slowest := result.Times[len(result.Times)-1]; slowest >= 4*time.Second {
				t.Errorf("the slowest call took %v; Kamailio waits 4 s", slowest)
			}
		})
	}
}
