package integration

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// An older answer whose renewal succeeds is as good as new. One whose renewal
// fails degrades the API, though its callers notice nothing yet.
func TestDegradedAndBack(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{global: "metrics", more: "cache 50ms {\n stale 1h 1h\n }"})
	url := caddy.URL("/ivr/order?tel=13800138000")
	degraded := func() bool {
		return strings.Contains(harness.Get(t, "http://"+caddy.Admin+"/switchboard/apis/order").Body, `"degraded":true`)
	}
	renewed := 0
	harness.Eventually(t, 10*time.Second, "five older answers that are renewed", func() bool {
		if strings.Contains(harness.Get(t, url).Body, `"stale"`) {
			renewed++
		}
		if degraded() {
			t.Error("answers that are renewed in time degrade an API")
		}
		return renewed >= 5
	})
	harness.Get(t, caddy.URL("/ivr/order?tel=10000000000"))
	if got := harness.Do(t, harness.Request(t, "POST", caddy.URL("/ivr/order"), "application/json", `{"tel":`)); got.Status != 400 || degraded() {
		t.Errorf("a caller's mistake is %d, and the api is degraded: %v", got.Status, degraded())
	}

	inject(t, api, provider.Fault{Target: provider.API, Fault: "html"})
	harness.Eventually(t, 10*time.Second, "a renewal that fails", func() bool {
		wellFormed(t, harness.Get(t, url), "ok stale")
		return degraded()
	})
	text := harness.Get(t, "http://"+caddy.Admin+"/metrics").Body
	for _, want := range []string{`switchboard_api_degraded{api="order"} 1`, `switchboard_held{api="order"} 0`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, ours(text))
		}
	}
	if strings.Contains(text, "switchboard_breaker_state{") {
		t.Error("an API without a breaker has a state of one")
	}
	api.ClearFaults()
	harness.Eventually(t, 20*time.Second, "renewals that succeed for a while", func() bool {
		wellFormed(t, harness.Get(t, url), "ok stale")
		return !degraded()
	})
}

// A call that goes on behind counts as a timeout when its caller's budget ends,
// not when it ends itself.
func TestTheBreakerKnowsOfWorkBehind(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: replaceOnce(orderBlock, "budget 2s", "budget 500ms\n cache 1m\n breaker 50% 5 1m")})
	harness.Eventually(t, 10*time.Second, "an answer, with a token", func() bool {
		return strings.Contains(harness.Get(t, caddy.URL("/ivr/order?tel=10000000000")).Body, "not_found")
	})
	before := orders(api)
	inject(t, api, provider.Fault{Target: provider.API, Fault: "hang"})
	requests := make([]*http.Request, 5)
	answers := make([]harness.Answer, len(requests))
	var all sync.WaitGroup
	for i := range requests {
		requests[i] = harness.Request(t, "GET", caddy.URL("/ivr/order?tel=1380013800"+strconv.Itoa(i)), "", "")
		all.Go(func() { answers[i], _ = harness.Try(requests[i]) })
	}
	all.Wait()
	for _, got := range answers {
		wellFormed(t, got, "timeout")
	}
	wellFormed(t, harness.Get(t, caddy.URL("/ivr/order?tel=13800138009")), "breaker_open")
	if n := orders(api) - before; n != 5 {
		t.Errorf("the API was called %d times, want 5", n)
	}
}
