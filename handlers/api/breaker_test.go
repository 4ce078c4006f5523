package api

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/handlers/route"
	"github.com/switchboard-ivr/switchboard/internal/call"
)

// ends makes a call that is admitted end with an outcome, and tells whether it
// was.
func ends(a *API, outcome call.Outcome, unhealthy bool) (admitted bool) {
	c := &run{api: a, unhealthy: unhealthy}
	c.Route = a.route
	if !c.admit() {
		return false
	}
	c.Outcome = outcome
	c.report()
	c.Late() // somebody may still give up: it counts once
	return true
}

func withBreaker(share float64, calls int, open time.Duration) *API {
	return &API{
		route:   new(route.Route),
		breaker: &heldBreaker{breaker: newBreaker("order", Breaker{Share: share, Calls: calls, Open: caddy.Duration(open)})},
	}
}

func TestTheBreakerOpensAndTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := withBreaker(.5, 20, 10*time.Second)
		for i := range 20 {
			if outcome := []call.Outcome{call.OK, call.Timeout}[i%2]; !ends(a, outcome, false) {
				t.Fatalf("call %d was not admitted", i)
			}
		}
		if ends(a, call.OK, false) || a.BreakerState() != "open" {
			t.Errorf("10 of 20 were unhealthy, and it is %s", a.BreakerState())
		}
		time.Sleep(9 * time.Second)
		if ends(a, call.OK, false) {
			t.Error("a call was admitted after 9 s")
		}
		time.Sleep(1100 * time.Millisecond)
		if !ends(a, call.Unreachable, false) {
			t.Fatal("no call tries the API after 10 s")
		}
		if ends(a, call.OK, false) {
			t.Error("it did not open again after a try that failed")
		}
		time.Sleep(11 * time.Second)

		probe := &run{api: a}
		probe.Route = a.route
		if !probe.admit() {
			t.Fatal("no call tries the API")
		}
		if ends(a, call.OK, false) {
			t.Error("two calls try the API at once")
		}
		probe.Outcome = call.NotFound
		probe.report()
		if !ends(a, call.OK, false) || a.BreakerState() != "closed" {
			t.Errorf("it is %s after a try that went well", a.BreakerState())
		}
	})
}

// What opens the breaker is an ailing API, not what it says, nor what we lack.
func TestWhatOpensTheBreaker(t *testing.T) {
	for _, tc := range []struct {
		outcome   call.Outcome
		unhealthy bool
		opens     bool
	}{
		{call.OK, false, false},
		{call.NotFound, false, false},
		{call.Rejected, false, false},
		{call.TooLarge, false, false},
		{call.NoToken, false, false},
		{call.BadRequest, false, false},
		{call.Canceled, false, false},
		{call.Rejected, true, true},
		{call.Timeout, false, true},
		{call.Unreachable, false, true},
		{call.BadAnswer, false, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := withBreaker(1, 5, time.Second)
			a.breaker.open = time.Second
			for range 4 {
				c := &run{api: a, unhealthy: tc.unhealthy}
				c.Route = a.route
				c.admit()
				c.Outcome = tc.outcome
				c.report()
			}
			if a.BreakerState() != "closed" {
				t.Errorf("%s: 4 calls opened it", tc.outcome)
			}
			c := &run{api: a, unhealthy: tc.unhealthy, Call: route.Call{Route: a.route, Outcome: tc.outcome}}
			c.admit()
			c.Outcome = tc.outcome
			c.report()
			if open := a.BreakerState() == "open"; open != tc.opens {
				t.Errorf("%s, unhealthy %v: it is %s", tc.outcome, tc.unhealthy, a.BreakerState())
			}
		})
	}
}

// What is long ago doesn't count.
func TestTheBreakersWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := withBreaker(.5, 4, time.Second)
		for range 3 {
			ends(a, call.Timeout, false)
		}
		time.Sleep(breakerWindow + breakerBucket)
		for range 3 {
			ends(a, call.Timeout, false)
		}
		if a.BreakerState() != "closed" {
			t.Error("calls from before the window opened it")
		}
		ends(a, call.Timeout, false)
		if a.BreakerState() != "open" {
			t.Error("4 calls within the window did not open it")
		}
	})
}

// A call that goes on behind is a timeout when its callers have gone, not later.
func TestACallThatIsLateCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := withBreaker(1, 2, time.Minute)
		var calls []*run
		for range 2 {
			c := &run{api: a}
			c.Route = a.route
			c.Late() // before it is admitted: nothing to tell
			c.admit()
			calls = append(calls, c)
		}
		for _, c := range calls {
			c.Late()
		}
		if a.BreakerState() != "open" {
			t.Error("2 late calls did not open it")
		}
		for _, c := range calls {
			c.Outcome = call.OK
			c.report()
		}
		if a.BreakerState() != "open" {
			t.Error("what came late closed it")
		}
	})
}
