package switchboard_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/call"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// One event is sent when callers begin to get other answers than real ones, and one when
// they turn back, however many calls end at the same time.
func TestDegradedAndBack(t *testing.T) {
	cfg, socket := directoryConfig(t, "")
	cfg.AppsRaw["events"] = []byte(`{"subscriptions":[{"events":["api_degraded","api_held"],"handlers":[{"handler":"test_spy"}]}]}`)
	app := run(t, cfg)
	if err := app.RegisterAPI("order", "f", new(fakeAPI)); err != nil {
		t.Fatal(err)
	}
	state := app.APIState("order")
	all := func(outcomes ...call.Outcome) {
		var wg sync.WaitGroup
		for range 20 {
			for _, outcome := range outcomes {
				wg.Go(func() { app.Answered(state, outcome) })
			}
		}
		wg.Wait()
	}
	all(call.OK, call.NotFound, call.Ambiguous, call.BadRequest, call.Unauthorized, call.Canceled)
	if state.Degraded() {
		t.Error("real answers, and callers who are refused, degrade an API")
	}
	all(call.Stale)
	if e := next(t); e.Name() != switchboard.EventAPIDegraded || e.Data["api"] != "order" || e.Data["degraded"] != true || e.Data["outcome"] != "stale" {
		t.Errorf("the event is %s with %v", e.Name(), e.Data)
	}
	all(call.Timeout, call.Held, call.BreakerOpen, call.BadRequest)
	all(call.OK)
	if !state.Degraded() {
		t.Error("a real answer right after others ends a degradation")
	}
	state.Reset()
	all(call.NotFound)
	if e := next(t); e.Name() != switchboard.EventAPIDegraded || e.Data["degraded"] != false || e.Data["outcome"] != "not_found" {
		t.Errorf("the event is %s with %v", e.Name(), e.Data)
	}

	client, err := adminapi.New("unix/" + socket)
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now().Truncate(time.Second)
	all(call.Failed)
	since := state.DegradedSince()
	if e := next(t); e.Data["degraded"] != true || e.Data["since"] != since.UTC().Format(time.RFC3339) || since.Before(before) {
		t.Errorf("since %v; the event is %s with %v", since, e.Name(), e.Data)
	}
	if apis, err := client.APIs(t.Context()); err != nil || len(apis) != 1 || !apis[0].Degraded || !apis[0].DegradedSince.Equal(since.Truncate(time.Second)) {
		t.Errorf("got %+v, %v", apis, err)
	}
	state.Silence()
	if e := next(t); e.Name() != switchboard.EventAPIDegraded || e.Data["degraded"] != false || e.Data["outcome"] != nil {
		t.Errorf("the event at the end without a call is %s with %v", e.Name(), e.Data)
	}

	held, err := client.Hold(t.Context(), "order")
	if err != nil || !held.Held || !state.Held() {
		t.Errorf("got %+v, %v", held, err)
	}
	if e := next(t); e.Name() != switchboard.EventAPIHeld || e.Data["api"] != "order" || e.Data["held"] != true {
		t.Errorf("the event is %s with %v", e.Name(), e.Data)
	}
	if apis, err := client.APIs(t.Context()); err != nil || len(apis) != 1 || !apis[0].Held || apis[0].Degraded || apis[0].Breaker != "open" {
		t.Errorf("got %+v, %v", apis, err)
	}
	if released, err := client.Release(t.Context(), "order"); err != nil || released.Held || state.Held() {
		t.Errorf("got %+v, %v", released, err)
	}
	next(t)
	for range 50 {
		for _, turn := range []func(context.Context, string) (adminapi.API, error){client.Hold, client.Release} {
			if _, err := turn(t.Context(), "order"); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 100 {
		if e := next(t); e.Data["held"] != (i%2 == 0) {
			t.Errorf("event %d of many in a row is %v", i, e.Data)
		}
	}
	if _, err := client.Hold(t.Context(), "nope"); err == nil || !strings.Contains(err.Error(), "there is no api nope; there are: order") {
		t.Errorf("got %v", err)
	}
}
