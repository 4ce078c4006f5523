package integration

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// Across lifetimes the ledger shows one obtain, then renewals only, each inside
// its window and each with a different token; no call is ever without an answer.
func TestRenewalsFallIntoTheWindow(t *testing.T) {
	const lifetime, window = 30 * time.Second, 15 * time.Second // the shortest that a token may live
	api := startProvider(t, provider.Options{Lifetime: lifetime})
	caddy := start(t, api, setup{lifetime: lifetime.String(), window: window.String()})
	url := caddy.URL("/ivr/order?tel=13800138000")
	harness.Eventually(t, 75*time.Second, "two renewals", func() bool {
		if got := harness.Get(t, url); got.Body != known {
			t.Fatalf("got %s", got.Body)
		}
		return api.Ledger().Count(provider.TokenRefresh, "ok") >= 2
	})
	calls := api.Ledger().TokenCalls()
	if n := len(calls.Kind(provider.TokenGet)); n != 1 {
		t.Errorf("%d obtains, want 1", n)
	}
	for i := 1; i < len(calls); i++ {
		age := calls[i].Time.Sub(calls[i-1].Time)
		if age < lifetime-window || age >= lifetime {
			t.Errorf("renewal %d came %v after the token before, outside [%v, %v)", i, age, lifetime-window, lifetime)
		}
	}
	issued := api.Ledger().Issued()
	seen := map[string]bool{}
	for _, tok := range issued {
		if seen[tok] {
			t.Errorf("a token was issued twice")
		}
		seen[tok] = true
	}
}

// hundred makes 100 calls at once and returns the answers and the slowest.
func hundred(t *testing.T, url string) (answers []harness.Answer, slowest time.Duration) {
	t.Helper()
	answers = make([]harness.Answer, 100)
	took := make([]time.Duration, 100)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			begin := time.Now()
			got, err := harness.Try(harness.Request(t, http.MethodGet, url, "", ""))
			if err != nil {
				t.Error(err)
			}
			answers[i], took[i] = got, time.Since(begin)
		})
	}
	all.Wait()
	for _, d := range took {
		slowest = max(slowest, d)
	}
	return answers, slowest
}

func TestAHundredCallsNeedOneToken(t *testing.T) {
	api := startProvider(t, provider.Options{})
	inject(t, api, provider.Fault{Target: provider.TokenGet, Fault: "latency", Delay: 300 * time.Millisecond})
	caddy := start(t, api, setup{tokens: `
		token late {
			credential app_key {env.CRM_APP_KEY}
			credential app_secret {env.CRM_APP_SECRET}
			obtain {API}/token/get?late
			lifetime 2m
			warm off
		}`, site: `
	api /ivr/order order {
		to {API}/open/order/query
		method GET
		token late
		query ` + "`{tel}`" + `
		output ` + "`{name: .data.nick}`" + `
		default ` + "`{name: \"\"}`" + `
		budget 10s
	}`})
	answers, slowest := hundred(t, caddy.URL("/ivr/order?tel=13800138000"))
	for _, got := range answers {
		if want := `{"_status":"ok","name":"张三"}`; got.Body != want {
			t.Fatalf("got %s, want %s", got.Body, want)
		}
	}
	late := 0
	for _, e := range api.Ledger().Kind(provider.TokenGet) {
		if e.Query == "late" {
			late++
		}
	}
	if late != 1 {
		t.Errorf("%d token calls, want 1", late)
	}
	t.Logf("slowest %v", slowest)
}

// Dead tokens are told by 401 or by a code inside HTTP 200. Either way a hundred
// calls lead to one renewal and at most a hundred replays.
func TestAHundredCallsMeetADeadToken(t *testing.T) {
	for _, byCode := range []bool{false, true} {
		t.Run(fmt.Sprintf("byCode=%v", byCode), func(t *testing.T) {
			api := startProvider(t, provider.Options{DeadTokenCode: byCode})
			caddy := start(t, api, setup{more: "\n"})
			url := caddy.URL("/ivr/order?tel=13800138000")
			if got := harness.Get(t, url); got.Body != known {
				t.Fatalf("got %s", got.Body)
			}
			// all hundred are on their way when the token dies
			inject(t, api, provider.Fault{Target: provider.API, Fault: "latency", Delay: 200 * time.Millisecond, Times: 100})
			api.Expire()
			before := api.Ledger().Last()
			answers, _ := hundred(t, url)
			for _, got := range answers {
				if got.Body != known {
					t.Fatalf("got %s, want %s", got.Body, known)
				}
			}
			since := api.Ledger().Since(before)
			if n := len(since.TokenCalls()); n != 1 {
				t.Errorf("%d token calls, want 1", n)
			}
			perCall := map[string]int{}
			for _, e := range since.Kind(provider.API) {
				perCall[e.Header.Get("X-Request-Id")]++
			}
			if len(perCall) != 100 {
				t.Errorf("%d calls reached the API, want 100", len(perCall))
			}
			for id, n := range perCall {
				if n > 2 {
					t.Errorf("call %s was tried %d times", id, n)
				}
			}
		})
	}
}

func TestReloadsUnderLoad(t *testing.T) {
	api := startProvider(t, provider.Options{})
	s := setup{}
	caddy := start(t, api, s)
	url := caddy.URL("/ivr/order?tel=13800138000")
	harness.Get(t, url)
	before := api.Ledger().Last()
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var failed, done int
	var mu sync.Mutex
	end := sync.OnceFunc(func() {
		close(stop)
		clients.Wait()
	})
	defer end() // also when a reload fails
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				// Caddy's new listener takes over from the old one, and a connection that
				// waits in the old one's queue is reset: the same with a bare `respond`
				// (3 of 7040). A client connects again, and may meet the next reload.
				got, err := harness.Try(harness.Request(t, http.MethodGet, url, "", ""))
				for tries := 1; err != nil && tries < 5; tries++ {
					got, err = harness.Try(harness.Request(t, http.MethodGet, url, "", ""))
				}
				mu.Lock()
				done++
				if err != nil || got.Body != known {
					failed++
					t.Errorf("%v %s", err, got.Body)
				}
				mu.Unlock()
			}
		})
	}
	for i := range 60 {
		s.more = fmt.Sprintf("budget %dms", 2000+i)
		text := s.caddyfile(api)
		text = replaceOnce(text, "budget 2s\n", "")
		if err := caddy.Load(text); err != nil {
			t.Fatal(err)
		}
	}
	end()
	if failed > 0 || done < 60 {
		t.Errorf("%d of %d calls failed", failed, done)
	}
	if n := len(api.Ledger().Since(before).TokenCalls()); n != 0 {
		t.Errorf("%d token calls during 60 reloads", n)
	}
}

func TestACrashKeepsTheToken(t *testing.T) {
	api := startProvider(t, provider.Options{})
	dir := t.TempDir()
	caddy := start(t, api, setup{dir: dir})
	if got := harness.Get(t, caddy.URL("/ivr/order?tel=13800138000")); got.Body != known {
		t.Fatalf("got %s", got.Body)
	}
	caddy.Kill()
	before := api.Ledger().Last()
	caddy = start(t, api, setup{dir: dir})
	if got := harness.Get(t, caddy.URL("/ivr/order?tel=13800138000")); got.Body != known {
		t.Fatalf("got %s", got.Body)
	}
	if n := len(api.Ledger().Since(before).TokenCalls()); n != 0 {
		t.Errorf("%d token calls after the restart", n)
	}
}
