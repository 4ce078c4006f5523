package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// cacheStatus is what Cache-Status says, without its numbers.
func cacheStatus(a harness.Answer) string {
	status := a.Header.Get("Cache-Status")
	if before, after, ok := strings.Cut(status, "; ttl="); ok {
		_, after, _ = strings.Cut(after, ";")
		status = before
		if after != "" {
			status += ";" + after
		}
	}
	return status
}

func orders(api *provider.Server) int { return len(api.Ledger().Kind(provider.API)) }

// An answer is asked for once, whatever way the question travels, and outlives a
// reload.
func TestAnswersAreKept(t *testing.T) {
	api := startProvider(t, provider.Options{})
	s := setup{more: "cache 1m {\n not_found 1m\n }"}
	caddy := start(t, api, s)
	url := caddy.URL("/ivr/order")
	if got := harness.Get(t, url+"?tel=13800138000"); got.Body != known || cacheStatus(got) != "switchboard; fwd=miss; fwd-status=200; stored" {
		t.Fatalf("got %s, Cache-Status %q", got.Body, got.Header.Get("Cache-Status"))
	}
	// whoever has the API asked by another goroutine is told all the same
	if got := harness.Get(t, url+"?tel=13900139000"); got.Header.Get("Proxy-Status") != `switchboard; received-status=200; details="ok"` ||
		!strings.Contains(got.Header.Get("Server-Timing"), "call;dur=") {
		t.Errorf("Proxy-Status %q, Server-Timing %q", got.Header.Get("Proxy-Status"), got.Header.Get("Server-Timing"))
	}
	hits := func(name string, req *http.Request) {
		t.Helper()
		got := harness.Do(t, req)
		if got.Body != known || cacheStatus(got) != "switchboard; hit" {
			t.Errorf("%s: got %s, Cache-Status %q", name, got.Body, got.Header.Get("Cache-Status"))
		}
		if ps := got.Header.Get("Proxy-Status"); ps != `switchboard; details="ok"` {
			t.Errorf("%s: Proxy-Status %q", name, ps)
		}
	}
	harness.Eventually(t, 5*time.Second, "a hit", func() bool {
		return cacheStatus(harness.Get(t, url+"?tel=13800138000")) == "switchboard; hit"
	})
	before := orders(api)
	hits("query", harness.Request(t, "GET", url+"?tel=13800138000", "", ""))
	s.global = "servers {\n keepalive_interval 31s\n }"
	if err := caddy.Reload(s.caddyfile(api)); err != nil {
		t.Fatal(err)
	}
	hits("after a reload", harness.Request(t, "GET", url+"?tel=13800138000", "", ""))
	if n := orders(api); n != before {
		t.Errorf("the API was called %d times more", n-before)
	}

	s.more = "cache 1m {\n not_found 1m\n }\n max_size 2MiB"
	if err := caddy.Reload(s.caddyfile(api)); err != nil {
		t.Fatal(err)
	}
	if got := harness.Get(t, url+"?tel=13800138000"); cacheStatus(got) != "switchboard; fwd=miss; fwd-status=200; stored" {
		t.Errorf("other settings are other answers: Cache-Status %q", got.Header.Get("Cache-Status"))
	}
}

func TestPostsShareAnAnswer(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{more: "cache 1m"})
	url := caddy.URL("/ivr/order")
	harness.Eventually(t, 20*time.Second, "a hit", func() bool {
		return cacheStatus(harness.Get(t, url+"?tel=13800138000")) == "switchboard; hit"
	})
	before := orders(api)
	for _, req := range []func() *http.Request{
		func() *http.Request {
			return harness.Request(t, "POST", url, "application/x-www-form-urlencoded", "tel=13800138000")
		},
		func() *http.Request {
			return harness.Request(t, "POST", url, "application/json", `{"tel":"13800138000"}`)
		},
	} {
		harness.Eventually(t, 5*time.Second, "a hit", func() bool {
			got := harness.Do(t, req())
			return got.Body == known && cacheStatus(got) == "switchboard; hit"
		})
	}
	if n := orders(api) - before; n != 0 {
		t.Errorf("the API was called %d times more for one question", n)
	}
}

// Without a token, a caller is told when to come again, with a cache as without.
func TestNoTokenWithACache(t *testing.T) {
	api := startProvider(t, provider.Options{})
	inject(t, api, provider.Fault{Target: provider.TokenGet, Fault: "error-code"})
	for name, more := range map[string]string{"without": "on_failure error", "with": "on_failure error\n cache 1m"} {
		caddy := start(t, api, setup{more: more})
		got := harness.Get(t, caddy.URL("/ivr/order?tel=13800138000"))
		if got.Status != 503 || got.Header.Get("Retry-After") == "" {
			t.Errorf("%s: got %d, Retry-After %q: %s", name, got.Status, got.Header.Get("Retry-After"), got.Body)
		}
	}
}

// While the token endpoint fails, nobody waits for a token that comes too late.
func TestATokenThatComesTooLate(t *testing.T) {
	api := startProvider(t, provider.Options{})
	inject(t, api, provider.Fault{Target: provider.TokenGet, Fault: "status", Status: 503})
	for name, more := range map[string]string{"without": "", "with": "cache 1m"} {
		caddy := start(t, api, setup{site: strings.Replace(orderBlock, "budget 2s", "budget 900ms\n"+more, 1)})
		for i := range 3 { // attempts are a second apart, at least
			got := harness.Get(t, caddy.URL(fmt.Sprintf("/ivr/order?tel=1380013800%d", i)))
			if ps := got.Header.Get("Proxy-Status"); !strings.Contains(ps, `details="no_token"`) {
				t.Errorf("%s a cache: call %d: %s", name, i, ps)
			}
		}
	}
}

// A token endpoint that hangs says nothing of the API: callers are told what is
// lacking, with a cache too, and the breaker stays closed.
func TestATokenEndpointThatHangs(t *testing.T) {
	api := startProvider(t, provider.Options{})
	inject(t, api, provider.Fault{Target: provider.TokenGet, Fault: "late", Delay: 20 * time.Second})
	for name, more := range map[string]string{"without": "", "with": "cache 1m"} {
		caddy := start(t, api, setup{site: strings.Replace(orderBlock, "budget 2s", "budget 300ms\nbreaker 50% 2 10s\n"+more, 1)})
		for i := range 4 {
			got := harness.Get(t, caddy.URL(fmt.Sprintf("/ivr/order?tel=1380013800%d", i)))
			if ps := got.Header.Get("Proxy-Status"); !strings.Contains(ps, `details="no_token"`) {
				t.Errorf("%s a cache: call %d: %s", name, i, ps)
			}
		}
	}
}

// 500 callers of one number at once are one call of the API.
func TestIdenticalCallsAreOneCall(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: strings.Replace(orderBlock, "budget 2s", "budget 40s\n cache 1m", 1)})
	inject(t, api, provider.Fault{Target: provider.API, Fault: "late", Delay: 5 * time.Second})
	var wg sync.WaitGroup
	for range 500 {
		wg.Go(func() {
			got, err := harness.Try(harness.Request(t, "GET", caddy.URL("/ivr/order?tel=13800138000"), "", ""))
			if err != nil || got.Body != known {
				t.Errorf("got %s, %v", got.Body, err)
			}
		})
	}
	wg.Wait()
	if n := orders(api); n != 1 {
		t.Errorf("the API was called %d times", n)
	}
}

// When the API truncates its answer, all who wait get their default and the
// process lives.
func TestATruncatedAnswerForMany(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{more: "cache 1m"})
	inject(t, api,
		provider.Fault{Target: provider.API, Fault: "latency", Delay: 300 * time.Millisecond},
		provider.Fault{Target: provider.API, Fault: "truncate"})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { wellFormed(t, harness.Get(t, caddy.URL("/ivr/order?tel=13800138000")), "bad_answer") })
	}
	wg.Wait()
	api.ClearFaults()
	if got := harness.Get(t, caddy.URL("/ivr/order?tel=13800138000")); got.Body != known {
		t.Errorf("afterwards: got %s", got.Body)
	}
}

// An older answer is served at once while one call renews it, and when the API
// fails.
func TestStaleAnswers(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{more: "cache 1s {\n stale 10m 1h\n }"})
	url := caddy.URL("/ivr/order?tel=13800138000")
	if got := harness.Get(t, url); got.Body != known {
		t.Fatalf("got %s", got.Body)
	}
	const late = 2 * time.Second
	inject(t, api, provider.Fault{Target: provider.API, Fault: "late", Delay: late})
	var renewing time.Time // or a little earlier
	harness.Eventually(t, 5*time.Second, "a stale answer", func() bool {
		renewing = time.Now()
		return strings.Contains(harness.Get(t, url).Body, `"_status":"stale"`)
	})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			begin := time.Now()
			got := harness.Get(t, url)
			if took := time.Since(begin); took > time.Second {
				t.Errorf("a call waited %v for a renewal", took)
			}
			var a map[string]any
			if err := json.Unmarshal([]byte(got.Body), &a); err != nil || a["_status"] != "stale" || a["name"] != "张三" || a["_age"] == nil {
				t.Errorf("got %s", got.Body)
			}
			if cs := cacheStatus(got); cs != "switchboard; hit; detail=stale-while-revalidate" {
				t.Errorf("Cache-Status %q", cs)
			}
		})
	}
	wg.Wait()
	if n := orders(api); n != 2 && time.Since(renewing) < late { // a slow machine sees the next renewal
		t.Errorf("the API was called %d times, want one call and one renewal", n)
	}
	api.ClearFaults()
	harness.Eventually(t, 10*time.Second, "the renewed answer", func() bool { return harness.Get(t, url).Body == known })

	api.Stop()
	harness.Eventually(t, 5*time.Second, "an older answer instead of none", func() bool {
		got := harness.Get(t, url)
		wellFormed(t, got, "ok stale")
		return strings.Contains(got.Body, "stale")
	})
	wellFormed(t, harness.Get(t, caddy.URL("/ivr/order?tel=13900139000")), "unreachable")
}

// Past the time in which it is served at once, an older answer is what remains
// when the API fails.
func TestAnOlderAnswerInsteadOfNone(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{more: "cache 1s {\n stale 0s 1h\n }"})
	url := caddy.URL("/ivr/order?tel=13800138000")
	if got := harness.Get(t, url); got.Body != known {
		t.Fatalf("got %s", got.Body)
	}
	for _, fault := range []provider.Fault{
		{Fault: "hang"},
		{Fault: "status", Status: 500},
		{Fault: "html"},
		{Fault: "reset"},
		{Fault: "truncate"},
		{Fault: "error-code"},
		{Fault: "huge"},
	} {
		t.Run(fault.Fault, func(t *testing.T) {
			fault.Target = provider.API
			api.ClearFaults()
			inject(t, api, fault)
			harness.Eventually(t, 6*time.Second, "an older answer", func() bool {
				got := harness.Get(t, url)
				return strings.Contains(got.Body, `"_status":"stale"`) && strings.Contains(got.Body, `"name":"张三"`) &&
					strings.HasPrefix(got.Header.Get("Cache-Status"), "switchboard; fwd=stale; ") &&
					strings.Contains(got.Header.Get("Proxy-Status"), `details="stale"`)
			})
		})
	}
}

// A call whose budget ends is finished behind, for the flow's next block.
func TestWorkIsFinishedBehind(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{more: "cache 1m", site: strings.Replace(orderBlock, "budget 2s", "budget 500ms", 1)})
	url := caddy.URL("/ivr/order?tel=13800138000")
	inject(t, api, provider.Fault{Target: provider.API, Fault: "late", Delay: 2 * time.Second})
	wellFormed(t, harness.Get(t, url), "timeout")
	harness.Eventually(t, 10*time.Second, "the answer of the first call", func() bool {
		got := harness.Get(t, url)
		return got.Body == known && cacheStatus(got) == "switchboard; hit"
	})
	if n := orders(api); n != 1 {
		t.Errorf("the API was called %d times", n)
	}
}

// What an API doesn't want kept isn't, nor is what is no whole answer.
func TestWhatIsNotKept(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{more: "cache 1m"})
	url := caddy.URL("/ivr/order?tel=13800138000")
	label := func(name, value string) provider.Fault {
		return provider.Fault{Fault: "header", Header: map[string]string{name: value}}
	}
	for _, fault := range []provider.Fault{
		label("Set-Cookie", "s=1"),
		label("Cache-Control", "No-Store"),
		label("Cache-Control", "max-age=9, private"),
		label("Cache-Control", `no-cache="x"`),
		label("Vary", "Accept, *"),
		{Fault: "partial-206"},
		{Fault: "truncate"},
		{Fault: "status", Status: 500},
		{Fault: "status", Status: 404},
	} {
		t.Run(fault.Fault+fmt.Sprint(fault.Header), func(t *testing.T) {
			fault.Target = provider.API
			api.ClearFaults()
			inject(t, api, fault)
			before := orders(api)
			for range 3 {
				if cs := cacheStatus(harness.Get(t, url)); !strings.HasPrefix(cs, "switchboard; fwd=miss") || strings.Contains(cs, "stored") {
					t.Errorf("Cache-Status %q", cs)
				}
			}
			if n := orders(api) - before; n != 3 {
				t.Errorf("the API was called %d times for 3 calls", n)
			}
		})
	}
	api.ClearFaults()
	inject(t, api, provider.Fault{Target: provider.API, Fault: "header", Header: map[string]string{"Vary": "Accept-Language", "Cache-Control": "max-age=0"}})
	harness.Eventually(t, 5*time.Second, "a hit: nothing of what it varies with goes on", func() bool {
		return cacheStatus(harness.Get(t, url)) == "switchboard; hit"
	})
}

// Two tenants ask the same in every way in which an answer can depend on who
// asks; none gets the other's.
func TestNoAnswerCrosses(t *testing.T) {
	api := startProvider(t, provider.Options{})
	hashed, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	hash := string(hashed)
	route := func(name, lines string) string {
		return "api /" + name + " " + name + " {\n to {API}/free/echo\n query `{tel: .tel}`\n output `{headers: .headers}`\n default `{headers: {}}`\n cache 1m\n" + lines + "\n}\n"
	}
	caddy := start(t, api, setup{site: `
	map {http.request.header.X-Tenant} {tenant} {
		default {http.request.header.X-Tenant}
	}
	basic_auth /user {
		north ` + hash + `
		south ` + hash + `
	}
	` + route("pass", "pass headers X-Tenant") +
		route("placeholder", "headers X-Tenant {http.request.header.X-Tenant}") +
		route("mapped", "headers X-Tenant {tenant}") +
		route("proxy", "reverse_proxy {\n header_up X-Tenant {tenant}\n }") +
		route("program", "headers `{\"X-Tenant\": $request.headers[\"x-tenant\"]}`") +
		route("user", "auth user\n headers X-Tenant {http.auth.user.id}")})
	for _, name := range []string{"pass", "placeholder", "mapped", "proxy", "program", "user"} {
		t.Run(name, func(t *testing.T) {
			ask := func(tenant, cookie string) (got, status string) {
				req := harness.Request(t, "GET", caddy.URL("/"+name+"?tel=138"), "", "")
				req.Header.Set("X-Tenant", tenant)
				if cookie != "" {
					req.Header.Set("Cookie", "session="+cookie)
				}
				req.SetBasicAuth(tenant, "secret")
				answer := harness.Do(t, req)
				var doc struct{ Headers map[string][]string }
				if err := json.Unmarshal([]byte(answer.Body), &doc); err != nil || len(doc.Headers["X-Tenant"]) != 1 {
					t.Fatalf("%v: %d %s", err, answer.Status, answer.Body)
				}
				return doc.Headers["X-Tenant"][0], cacheStatus(answer)
			}
			hits := 0
			harness.Eventually(t, 10*time.Second, "hits", func() bool {
				for _, cookie := range []string{"", "a", "b"} {
					for _, tenant := range []string{"north", "south"} {
						got, status := ask(tenant, cookie)
						if got != tenant {
							t.Fatalf("%s got the answer of %s (%s)", tenant, got, status)
						}
						if status == "switchboard; hit" {
							hits++
						}
					}
				}
				return hits > 6
			})
		})
	}
}
