package integration

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// An API that fails is left alone, and asked again one call at a time. Unknown
// callers and refusals are no failures.
func TestTheBreaker(t *testing.T) {
	api := startProvider(t, provider.Options{})
	s := setup{global: "metrics", more: "breaker 50% 10 2s"}
	caddy := start(t, api, s)
	url := caddy.URL("/ivr/order?tel=13800138000")
	inject(t, api, provider.Fault{Target: provider.API, Fault: "error-code", Times: 15})
	for range 15 {
		wellFormed(t, harness.Get(t, url), "rejected")
	}
	for range 15 {
		wellFormed(t, harness.Get(t, caddy.URL("/ivr/order?tel=10000000000")), "not_found")
	}
	inject(t, api, provider.Fault{Target: provider.API, Fault: "reset"})
	harness.Eventually(t, 10*time.Second, "an open breaker", func() bool {
		got := harness.Get(t, url)
		wellFormed(t, got, "unreachable breaker_open")
		return strings.Contains(got.Body, "breaker_open")
	})
	before := orders(api)
	for range 50 {
		wellFormed(t, harness.Get(t, url), "breaker_open unreachable")
	}
	if n := orders(api) - before; n > 3 {
		t.Errorf("the API was called %d times while its breaker was open", n)
	}
	state := func(want string) bool {
		return strings.Contains(harness.Get(t, "http://"+caddy.Admin+"/metrics").Body, `switchboard_breaker_state{api="order"} `+want)
	}
	if !state("2") && !state("1") {
		t.Error("the metric doesn't say that the breaker is open")
	}
	s.global += "\n servers {\n keepalive_interval 31s\n }"
	if err := caddy.Reload(s.caddyfile(api)); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, harness.Get(t, url), "breaker_open unreachable")
	api.ClearFaults()
	harness.Eventually(t, 10*time.Second, "a closed breaker", func() bool { return harness.Get(t, url).Body == known })
	if !state("0") {
		t.Error("the metric doesn't say that the breaker is closed")
	}
}

// An operator stops calls of an API and resumes them, by command and by the admin
// API. What is cached is served meanwhile.
func TestHoldAndRelease(t *testing.T) {
	api := startProvider(t, provider.Options{})
	s := setup{more: "cache 1h {\n stale 0s 1h\n }"}
	caddy := start(t, api, s)
	known13 := caddy.URL("/ivr/order?tel=13800138000")
	other := caddy.URL("/ivr/order?tel=13900139000")
	harness.Eventually(t, 5*time.Second, "a cached answer", func() bool { return cacheStatus(harness.Get(t, known13)) == "switchboard; hit" })

	out, err := caddy.Command("switchboard", "hold", "order", "--address", caddy.Admin)
	if err != nil || !strings.Contains(out, "order is held") {
		t.Fatalf("%v: %s", err, out)
	}
	before := orders(api)
	wellFormed(t, harness.Get(t, other), "held")
	if got := harness.Get(t, known13); got.Body != known {
		t.Errorf("what is cached: got %s", got.Body)
	}
	s.global = "servers {\n keepalive_interval 31s\n }"
	if err := caddy.Reload(s.caddyfile(api)); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, harness.Get(t, other), "held")
	if n := orders(api) - before; n != 0 {
		t.Errorf("a held API was called %d times", n)
	}
	if got := harness.Get(t, "http://"+caddy.Admin+"/switchboard/apis"); !strings.HasPrefix(got.Body, `[{"name":"order","held":true,"degraded":true,"degraded_since":"`) || !strings.Contains(got.Body, `"params":["tel"]}]`) {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
	got := harness.Do(t, harness.Request(t, "POST", "http://"+caddy.Admin+"/switchboard/apis/order/release", "", ""))
	if got.Status != 200 || !strings.Contains(got.Body, `"held":false`) {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
	wellFormed(t, harness.Get(t, other), "ok")
	if out, err := caddy.Command("switchboard", "hold", "nope", "--address", caddy.Admin); err == nil || !strings.Contains(out, "there is no api nope; there are: order") {
		t.Errorf("%v: %s", err, out)
	}
	if got := harness.Get(t, "http://"+caddy.Admin+"/switchboard/apis/order/hold"); got.Status != 405 {
		t.Errorf("GET holds: %d", got.Status)
	}
}

// For a minute, 200 callers a second meet an API that does everything wrong in
// turn. Each gets an answer with all keys, inside the budget; the API is spared,
// and nothing is left over.
func TestAMinuteOfFaults(t *testing.T) {
	const (
		rate    = 200
		phase   = 6 * time.Second
		phases  = 10
		budget  = time.Second
		callers = 40 // different ones
	)
	api := startProvider(t, provider.Options{})
	const bomb = 32 << 20 // that is built in a moment
	inject(t, api, provider.Fault{Target: provider.API, Fault: "gzip-bomb", Size: bomb, Times: 1})
	harness.Get(t, api.URL()+"/free/open/order/query")
	caddy := start(t, api, setup{lifetime: "1h", site: strings.Replace(orderBlock, "budget 2s",
		"budget 1s\n cache 500ms {\n stale 1s 10s\n not_found 500ms\n }\n breaker 50% 20 2s\n max_size 1MiB", 1)})
	harness.Get(t, caddy.URL("/ivr/order?tel=13800138000"))
	_, _, err := caddy.RSS()
	if err != nil {
		t.Fatal(err)
	}
	goroutines := caddy.Goroutines()

	var mu sync.Mutex
	outcomes := make(map[string]int)
	var slowest [phases]time.Duration
	var calls sync.WaitGroup
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	sent := 0
	for p, fault := range []provider.Fault{
		{}, {Fault: "hang"}, {Fault: "refuse"}, {Fault: "html"}, {Fault: "truncate"}, {Fault: "reset"}, {Fault: "half-then-hang"}, {Fault: "huge"}, {Fault: "gzip-bomb", Size: bomb}, {},
	} {
		api.ClearFaults()
		switch fault.Fault {
		case "":
		case "refuse":
			api.Stop()
		default:
			fault.Target = provider.API
			inject(t, api, fault)
		}
		before := orders(api)
		for end := time.Now().Add(phase); time.Now().Before(end); sent++ {
			<-tick.C
			url := caddy.URL(fmt.Sprintf("/ivr/order?tel=13800138000&n=%d", sent%callers))
			calls.Go(func() {
				begin := time.Now()
				got, err := harness.Try(harness.Request(t, "GET", url, "", ""))
				took := time.Since(begin)
				mu.Lock()
				defer mu.Unlock()
				slowest[p] = max(slowest[p], took)
				if err != nil {
					t.Errorf("phase %d: no answer: %v", p, err)
					return
				}
				outcome, problem := judge(got)
				if problem != "" {
					t.Errorf("phase %d: %s in %s", p, problem, got.Body)
				}
				outcomes[outcome]++
			})
		}
		asked := orders(api) - before
		t.Logf("phase %d (%s): the API was called %d times", p, fault.Fault, asked)
		if ailing := slices.Contains([]string{"hang", "html", "truncate", "reset", "half-then-hang"}, fault.Fault); ailing && asked > 300 {
			t.Errorf("phase %d (%s): an ailing API was called %d times for %d calls", p, fault.Fault, asked, rate*int(phase/time.Second))
		}
		if fault.Fault == "refuse" {
			if err := api.Restart(); err != nil {
				t.Fatal(err)
			}
		}
	}
	calls.Wait()
	t.Logf("%d calls: %v; the slowest of each phase %v", sent, outcomes, slowest)
	if sent < rate*int(phase/time.Second)*phases*8/10 {
		t.Errorf("only %d calls were made: the machine is too busy for this test", sent)
	}
	if worst := slices.Max(slowest[:]); worst > budget+time.Second {
		t.Errorf("the slowest answer took %v, with a budget of %v", worst, budget)
	}
	_, peak, err := caddy.RSS()
	if err != nil {
		t.Fatal(err)
	}
	if peak > 400<<20 {
		t.Errorf("%d MiB of memory at most", peak>>20)
	}
	api.ClearFaults()
	api.Stop() // with the connections to it
	harness.Eventually(t, 30*time.Second, "no goroutine left over", func() bool {
		harness.CloseIdle()
		return caddy.Goroutines() <= goroutines+5
	})
}

// judge tells how an answer of the order api ended, and what is wrong with it.
func judge(got harness.Answer) (outcome, problem string) {
	var a map[string]any
	err := json.Unmarshal([]byte(got.Body), &a)
	switch {
	case err != nil:
		return "", err.Error()
	case got.Status != 200:
		return "", fmt.Sprint("status ", got.Status)
	}
	outcome, _ = a["_status"].(string)
	for _, key := range []string{"name", "vip", "order", "amount"} {
		if _, ok := a[key]; !ok {
			return outcome, "no " + key
		}
	}
	if !slices.Contains([]string{"ok", "stale", "not_found", "timeout", "unreachable", "rejected", "bad_answer", "too_large", "breaker_open"}, outcome) {
		return outcome, "a strange outcome"
	}
	return outcome, ""
}
