package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/internal/call"
)

// ends makes a call that is admitted end with an outcome, and reports whether it
// was.
func ends(a *API, outcome call.Outcome) (admitted bool) {
	c := &run{api: a}
	c.call.Route = a.route
	if !c.enterBreaker() {
		return false
	}
	c.call.Outcome = outcome
	c.report()
	c.Overdue() // somebody may still give up: it counts once
	return true
}

func withBreaker(share float64, calls int, open time.Duration) *API {
	return &API{
		route:   new(endpoint.Route),
		Breaker: &Breaker{Share: share, Calls: calls, Open: caddy.Duration(open)},
		breaker: newBreaker("order", Breaker{Share: share, Calls: calls, Open: caddy.Duration(open)}, shortestWindow),
	}
}

func TestTheBreakerOpensAndTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := withBreaker(.5, 20, 10*time.Second)
		for i := range 20 {
			if outcome := []call.Outcome{call.OK, call.Timeout}[i%2]; !ends(a, outcome) {
				t.Fatalf("call %d was not admitted", i)
			}
		}
		if ends(a, call.OK) || a.BreakerState() != "open" {
			t.Errorf("10 of 20 were unhealthy, and it is %s", a.BreakerState())
		}
		refusedFor := func(want time.Duration) {
			t.Helper()
			c := &run{api: a}
			c.call.Route = a.route
			if c.enterBreaker() || c.call.RetryAfter != want {
				t.Errorf("worth another call after %v, want %v", c.call.RetryAfter, want)
			}
		}
		refusedFor(10 * time.Second)
		time.Sleep(7 * time.Second)
		refusedFor(3 * time.Second)
		time.Sleep(2 * time.Second)
		if ends(a, call.OK) {
			t.Error("a call was admitted after 9 s")
		}
		time.Sleep(1100 * time.Millisecond)
		if !ends(a, call.Unreachable) {
			t.Fatal("no call tries the API after 10 s")
		}
		if ends(a, call.OK) {
			t.Error("it did not open again after a try that failed")
		}
		time.Sleep(11 * time.Second)

		probe := &run{api: a}
		probe.call.Route = a.route
		if !probe.enterBreaker() {
			t.Fatal("no call tries the API")
		}
		if ends(a, call.OK) {
			t.Error("two calls try the API at once")
		}
		probe.call.Outcome = call.NotFound
		probe.report()
		if !ends(a, call.OK) || a.BreakerState() != "closed" {
			t.Errorf("it is %s after a try that went well", a.BreakerState())
		}
	})
}

// What opens the breaker is an unhealthy API, not what it answers, nor what we lack.
func TestWhatOpensTheBreaker(t *testing.T) {
	for _, tc := range []struct {
		outcome   call.Outcome
		uncharged bool
		opens     bool
	}{
		{call.OK, false, false},
		{call.NotFound, false, false},
		{call.Rejected, false, false},
		{call.TooLarge, false, false},
		{call.NoToken, false, false},
		{call.BadRequest, false, false},
		{call.Canceled, false, false},
		{call.Failed, false, true},
		{call.BadAnswer, true, false},
		{call.Incomplete, false, false},
		{call.TokenRefused, false, false},
		{call.Timeout, false, true},
		{call.Unreachable, false, true},
		{call.BadAnswer, false, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := withBreaker(1, 5, time.Second)
			for range 4 {
				c := &run{api: a}
				c.call.Route, c.call.Uncharged = a.route, tc.uncharged
				c.enterBreaker()
				c.call.Outcome = tc.outcome
				c.report()
			}
			if a.BreakerState() != "closed" {
				t.Errorf("%s: 4 calls opened it", tc.outcome)
			}
			c := &run{api: a, call: endpoint.Call{Route: a.route, Result: endpoint.Result{Uncharged: tc.uncharged}}}
			c.enterBreaker()
			c.call.Outcome = tc.outcome
			c.report()
			if open := a.BreakerState() == "open"; open != tc.opens {
				t.Errorf("%s, uncharged %v: it is %s", tc.outcome, tc.uncharged, a.BreakerState())
			}
		})
	}
}

// What is long ago doesn't count.
func TestTheBreakersWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := withBreaker(.5, 4, time.Second)
		for range 3 {
			ends(a, call.Timeout)
		}
		time.Sleep(shortestWindow + time.Second)
		for range 3 {
			ends(a, call.Timeout)
		}
		if a.BreakerState() != "closed" {
			t.Error("calls from before the window opened it")
		}
		ends(a, call.Timeout)
		if a.BreakerState() != "open" {
			t.Error("4 calls within the window did not open it")
		}
	})
}

// A timeout counts, however long the budget.
func TestTheWindowIsLongerThanTheBudget(t *testing.T) {
	for _, budget := range []time.Duration{time.Second, 5 * time.Second, 9 * time.Second, 12 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			a := withBreaker(.5, 5, time.Second)
			a.breaker = newBreaker("order", *a.Breaker, windowOf(budget))
			var calls []*run
			for range 5 {
				c := &run{api: a}
				c.call.Route = a.route
				c.enterBreaker()
				calls = append(calls, c)
			}
			time.Sleep(budget)
			for _, c := range calls {
				c.call.Outcome = call.Timeout
				c.report()
			}
			if state := a.BreakerState(); state != "open" {
				t.Errorf("a budget of %v: it is %s", budget, state)
			}
		})
	}
}

// A call that goes on behind is a timeout when its callers have gone, not later.
func TestACallThatIsLateCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := withBreaker(1, 2, time.Minute)
		var calls []*run
		for range 2 {
			c := &run{api: a}
			c.call.Route = a.route
			c.Overdue() // before it is admitted: nothing to tell
			c.enterBreaker()
			calls = append(calls, c)
		}
		for _, c := range calls {
			c.Overdue()
		}
		if a.BreakerState() != "open" {
			t.Error("2 late calls did not open it")
		}
		for _, c := range calls {
			c.call.Outcome = call.OK
			c.report()
		}
		if a.BreakerState() != "open" {
			t.Error("what came late closed it")
		}
	})
}

// unhealthy is a guest that answers as an API does that is down.
type unhealthy struct{}

func init() { caddy.RegisterModule(unhealthy{}) }

func (unhealthy) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_unhealthy", New: func() caddy.Module { return new(unhealthy) }}
}

func (unhealthy) ServeHTTP(w http.ResponseWriter, _ *http.Request, _ caddyhttp.Handler) error {
	w.WriteHeader(http.StatusServiceUnavailable)
	return nil
}

// What streams isn't judged: its status is. One API in two servers has one
// breaker, and a reload keeps it.
func TestAnAilingSidecar(t *testing.T) {
	sidecar := func() *API {
		a := &API{
			Name: "crm", To: "http://127.0.0.1:1", Breaker: &Breaker{Share: 1, Calls: 2, Open: caddy.Duration(time.Minute)},
			HandleRaw: []json.RawMessage{json.RawMessage(`{"handler":"test_unhealthy"}`)},
		}
		provisioned(t, a)
		return a
	}
	first, second := sidecar(), sidecar()
	if got := get(t, first); got.Code != http.StatusServiceUnavailable || got.Body.Len() != 0 {
		t.Errorf("got %d %s", got.Code, got.Body)
	}
	get(t, second)
	reloaded := sidecar()
	for range 2 { // once more changes nothing
		if err := errors.Join(first.Cleanup(), second.Cleanup()); err != nil {
			t.Fatal(err)
		}
	}
	got := get(t, reloaded)
	const want = `{"error":{"message":"the API failed too often and is not called for a while","outcome":"breaker_open"}}`
	if got.Code != http.StatusServiceUnavailable || got.Body.String() != want || got.Header().Get("Retry-After") != "60" {
		t.Errorf("got %d %s, Retry-After %s", got.Code, got.Body, got.Header().Get("Retry-After"))
	}
	mended := &API{
		Name: "crm", To: "http://127.0.0.1:2", Breaker: reloaded.Breaker,
		HandleRaw: []json.RawMessage{json.RawMessage(`{"handler":"test_unhealthy"}`)},
	}
	provisioned(t, mended)
	defer func() { _ = mended.Cleanup() }()
	if state := mended.BreakerState(); state != "closed" {
		t.Errorf("the API has another target, and its breaker is %s", state)
	}
	if got := get(t, first); got.Body.String() != want {
		t.Errorf("a call that outlives its configuration got %s", got.Body)
	}
	if err := reloaded.Cleanup(); err != nil {
		t.Fatal(err)
	}
	afresh := sidecar()
	defer func() { _ = afresh.Cleanup() }()
	if state := afresh.BreakerState(); state != "closed" {
		t.Errorf("what no configuration holds is gone, but the breaker is %s", state)
	}
}

// provisioned provisions an API in a configuration of its own.
func provisioned(t testing.TB, a *API) {
	t.Helper()
	provisionedOn(t, a, "")
}

// provisionedOn provisions an API with more of the configuration.
func provisionedOn(t testing.TB, a *API, more string) {
	t.Helper()
	cfg := new(caddy.Config)
	if err := json.Unmarshal([]byte(`{"admin":{"disabled":true},`+more+`"apps":{"switchboard":{}}}`), cfg); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Provision(ctx); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, a *API) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "http://localhost/?tel=13800138000", nil)
	if err := a.ServeHTTP(w, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server)), nil); err != nil {
		t.Error(err)
	}
	return w
}

// A caller who hangs up while their call tries the API leaves room for another
// try.
func TestATryThatTellsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := withBreaker(1, 1, time.Second)
		ends(a, call.Timeout)
		for _, nothing := range []call.Outcome{call.Canceled, call.NoToken, call.BadRequest} {
			time.Sleep(1100 * time.Millisecond)
			if !reports(a, nothing) {
				t.Fatalf("%s: no call tries the API", nothing)
			}
			if state := a.BreakerState(); state != "half-open" {
				t.Errorf("%s: it is %s", nothing, state)
			}
		}
		if !reports(a, call.OK) || a.BreakerState() != "closed" {
			t.Errorf("it is %s after a try that went well", a.BreakerState())
		}
	})
}

// reports makes a call end with an outcome, and reports whether it was admitted.
func reports(a *API, outcome call.Outcome) (admitted bool) {
	c := &run{api: a}
	c.call.Route = a.route
	if !c.enterBreaker() {
		return false
	}
	c.call.Outcome = outcome
	c.report()
	return true
}
