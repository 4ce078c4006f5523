package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// Whatever the API does, the flow gets all keys of its contract, in one line,
// inside the budget, and the outcome's name.
func TestWhateverTheAPIDoes(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{more: "max_size 1MiB"})
	url := caddy.URL("/ivr/order?tel=13800138000")
	if got := harness.Get(t, url); got.Body != known {
		t.Fatalf("got %s", got.Body)
	}
	buildBomb(t, api)
	for _, tc := range []struct {
		fault provider.Fault
		want  string
	}{
		{provider.Fault{Fault: "hang"}, "timeout"},
		{provider.Fault{Fault: "late", Delay: 5 * time.Second}, "timeout"},
		{provider.Fault{Fault: "half-then-hang"}, "timeout"},
		{provider.Fault{Fault: "slow-drip", Delay: 100 * time.Millisecond}, "timeout"},
		{provider.Fault{Fault: "status", Status: 500}, "failed"},
		{provider.Fault{Fault: "status", Status: 503}, "failed"},
		{provider.Fault{Fault: "status", Status: 400}, "rejected"},
		{provider.Fault{Fault: "status", Status: 404}, "rejected"},
		{provider.Fault{Fault: "error-code"}, "rejected"},
		{provider.Fault{Fault: "empty"}, "rejected"},
		{provider.Fault{Fault: "html"}, "bad_answer"},
		{provider.Fault{Fault: "huge"}, "too_large"},
		{provider.Fault{Fault: "lost-response"}, "unreachable"},
		{provider.Fault{Fault: "reset"}, "unreachable"},
		{provider.Fault{Fault: "truncate"}, "bad_answer"},
		{provider.Fault{Fault: "gzip-bomb"}, "too_large"},
		{provider.Fault{Fault: "brotli-labelled"}, "bad_answer"},
		{provider.Fault{Fault: "partial-206"}, "bad_answer"},
		{provider.Fault{Fault: "bad-json"}, "bad_answer"},
		{provider.Fault{Fault: "trailing-garbage"}, "bad_answer"},
		{provider.Fault{Fault: "two-documents"}, "bad_answer"},
		{provider.Fault{Fault: "deep-json"}, "too_large bad_answer"},
		{provider.Fault{Fault: "invalid-utf8"}, "bad_answer"},
		{provider.Fault{Fault: "redirect", Location: "http://127.0.0.1:1/elsewhere"}, "rejected"},
		{provider.Fault{Fault: "no-content-type"}, "ok"},
	} {
		name := tc.fault.Fault
		if tc.fault.Status != 0 {
			name += fmt.Sprint(" ", tc.fault.Status)
		}
		t.Run(name, func(t *testing.T) {
			tc.fault.Target = provider.API
			api.ClearFaults()
			inject(t, api, tc.fault)
			defer api.ClearFaults()
			begin := time.Now()
			got := harness.Get(t, url)
			took := time.Since(begin)
			if took > 2500*time.Millisecond {
				t.Errorf("the answer took %v, with a budget of 2s", took)
			}
			wellFormed(t, got, tc.want)
		})
	}
	t.Run("and well again", func(t *testing.T) {
		if got := harness.Get(t, url); got.Body != known {
			t.Errorf("got %s", got.Body)
		}
	})
}

// buildBomb has the provider make its gzip bomb, which takes it longer than a
// budget the first time.
func buildBomb(t *testing.T, api *provider.Server) {
	t.Helper()
	inject(t, api, provider.Fault{Target: provider.API, Fault: "gzip-bomb", Times: 1})
	if got := harness.Get(t, api.URL()+"/free/open/order/query"); len(got.Body) > 1<<20 {
		t.Fatalf("the bomb has %d bytes before it goes off", len(got.Body))
	}
}

// wellFormed checks an answer of the order api: 200, one line, all keys,
// strings, the outcome one of the given words.
func wellFormed(t *testing.T, got harness.Answer, outcomes string) {
	t.Helper()
	if got.Status != 200 || strings.ContainsAny(got.Body, "\r\n") {
		t.Fatalf("got %d %q", got.Status, got.Body)
	}
	var answer map[string]any
	if err := json.Unmarshal([]byte(got.Body), &answer); err != nil {
		t.Fatalf("%v: %s", err, got.Body)
	}
	for _, key := range []string{"name", "vip", "order", "amount", "_status"} {
		if _, ok := answer[key].(string); !ok {
			t.Errorf("no text %s in %s", key, got.Body)
		}
	}
	outcome, _ := answer["_status"].(string)
	found := false
	for want := range strings.FieldsSeq(outcomes) {
		found = found || outcome == want
	}
	if !found {
		t.Errorf("outcome %s, want %s", outcome, outcomes)
	}
	if !strings.Contains(got.Header.Get("Proxy-Status"), `details="`+outcome+`"`) {
		t.Errorf("Proxy-Status %q doesn't name the outcome %s", got.Header.Get("Proxy-Status"), outcome)
	}
}

// Whatever the token endpoint does, a held token goes on being used, and
// without one the flow gets its default in time.
func TestWhateverTheTokenEndpointDoes(t *testing.T) {
	for _, fault := range []provider.Fault{
		{Fault: "hang"},
		{Fault: "status", Status: 500},
		{Fault: "error-code"},
		{Fault: "empty"},
		{Fault: "html"},
		{Fault: "huge"},
		{Fault: "lost-response"},
		{Fault: "truncate"},
		{Fault: "reset"},
		{Fault: "redirect", Location: "http://127.0.0.1:1/elsewhere"},
		{Fault: "bad-json"},
		{Fault: "gzip-bomb"},
	} {
		t.Run(fault.Fault, func(t *testing.T) {
			t.Parallel()
			api := startProvider(t, provider.Options{})
			fault.Target = provider.TokenGet
			inject(t, api, fault)
			caddy := start(t, api, setup{})
			begin := time.Now()
			got := harness.Get(t, caddy.URL("/ivr/order?tel=13800138000"))
			if took := time.Since(begin); took > 2500*time.Millisecond {
				t.Errorf("the answer took %v, with a budget of 2s", took)
			}
			wellFormed(t, got, "no_token")
			if n := len(api.Ledger().Kind(provider.API)); n != 0 {
				t.Errorf("the API was called %d times without a token", n)
			}
		})
	}
}

// A clock that is ten minutes off is learnt from the refusal's Date.
func TestTheIssuersClockIsOff(t *testing.T) {
	for _, off := range []time.Duration{10 * time.Minute, -10 * time.Minute} {
		t.Run(off.String(), func(t *testing.T) {
			api := startProvider(t, provider.Options{})
			inject(t, api, provider.Fault{Target: provider.All, Fault: "clock-shift", Delay: off})
			caddy := start(t, api, setup{})
			harness.Eventually(t, 10*time.Second, "an answer", func() bool {
				return harness.Get(t, caddy.URL("/ivr/order?tel=13800138000")).Body == known
			})
			if n := len(api.Ledger().Kind(provider.TokenGet)); n != 2 {
				t.Errorf("%d sign-ins, want one refused and one with the right time", n)
			}
		})
	}
}

// Without a default, or where it is asked for, a failure is an HTTP error.
func TestFailuresAsErrors(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{more: "on_failure error"})
	url := caddy.URL("/ivr/order?tel=13800138000")
	for _, tc := range []struct {
		fault  string
		status int
		want   string
	}{
		{"hang", 504, `{"error":{"message":"the API did not answer in time","outcome":"timeout"}}`},
		{"reset", 502, `{"error":{"message":"the API could not be reached","outcome":"unreachable"}}`},
		{"error-code", 502, `{"error":{"message":"the API refused the request","outcome":"rejected"}}`},
		{"html", 502, `{"error":{"message":"the API's answer could not be used","outcome":"bad_answer"}}`},
		{"huge", 502, `{"error":{"message":"the API's answer is too large","outcome":"too_large"}}`},
	} {
		t.Run(tc.fault, func(t *testing.T) {
			api.ClearFaults()
			inject(t, api, provider.Fault{Target: provider.API, Fault: tc.fault})
			got := harness.Get(t, url)
			if got.Status != tc.status || got.Body != tc.want {
				t.Errorf("got %d %s, want %d %s", got.Status, got.Body, tc.status, tc.want)
			}
		})
	}
	t.Run("no token", func(t *testing.T) {
		api := startProvider(t, provider.Options{})
		inject(t, api, provider.Fault{Target: provider.TokenGet, Fault: "error-code"})
		caddy := start(t, api, setup{more: "on_failure error"})
		got := harness.Get(t, caddy.URL("/ivr/order?tel=13800138000"))
		if got.Status != 503 || got.Header.Get("Retry-After") == "" {
			t.Errorf("got %d %v %s, want 503 with Retry-After", got.Status, got.Header, got.Body)
		}
	})
}

// A 300 KB bomb of 300 MiB costs no more memory than a few answers do.
func TestABombIsDefused(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{})
	url := caddy.URL("/ivr/order?tel=13800138000")
	for range 20 {
		harness.Get(t, url)
	}
	buildBomb(t, api)
	before, _, err := caddy.RSS()
	if err != nil {
		t.Fatal(err)
	}
	inject(t, api, provider.Fault{Target: provider.API, Fault: "gzip-bomb"})
	wellFormed(t, harness.Get(t, url), "too_large")
	_, peak, err := caddy.RSS()
	if err != nil {
		t.Fatal(err)
	}
	if grown := peak - before; grown > 64<<20 {
		t.Errorf("the bomb added %d MiB, want at most 64", grown>>20)
	}
}
