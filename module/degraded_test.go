package switchboard

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/call"
)

// The state turns at the first answer that isn't the API's own, and back at the
// first one that is, 5 seconds after the last that wasn't.
func TestWhatDegrades(t *testing.T) {
	const after = 5 * time.Second
	repeat := func(n int, outcome call.Outcome) []call.Outcome { return slices.Repeat([]call.Outcome{outcome}, n) }
	for name, tc := range map[string]struct {
		outcomes []call.Outcome
		every    time.Duration
		turns    []bool
	}{
		"real answers":            {outcomes: []call.Outcome{call.OK, call.NotFound, call.Ambiguous}},
		"callers' mistakes":       {outcomes: []call.Outcome{call.BadRequest, call.Unauthorized, call.Canceled, call.DryRun, call.Incomplete}},
		"the API's own fault":     {outcomes: []call.Outcome{call.OK, call.Failed}, turns: []bool{true}},
		"no token is taken":       {outcomes: repeat(10, call.TokenRefused), turns: []bool{true}},
		"one record of many":      {outcomes: slices.Repeat([]call.Outcome{call.OK, call.TokenRefused}, 50)},
		"one failure":             {outcomes: []call.Outcome{call.OK, call.Timeout}, turns: []bool{true}},
		"one older answer":        {outcomes: []call.Outcome{call.Stale}, turns: []bool{true}},
		"a hold":                  {outcomes: []call.Outcome{call.Held, call.Held}, turns: []bool{true}},
		"every other call":        {outcomes: slices.Repeat([]call.Outcome{call.OK, call.Unreachable}, 100), every: time.Second, turns: []bool{true}},
		"a failure now and then":  {outcomes: []call.Outcome{call.Timeout, call.OK, call.NoToken, call.NotFound}, every: after, turns: []bool{true, false, true, false}},
		"too soon for a return":   {outcomes: []call.Outcome{call.Timeout, call.OK, call.OK}, every: 2 * time.Second, turns: []bool{true}},
		"soon enough":             {outcomes: []call.Outcome{call.Timeout, call.OK, call.OK, call.OK}, every: 2 * time.Second, turns: []bool{true, false}},
		"mistakes end nothing":    {outcomes: []call.Outcome{call.Timeout, call.BadRequest, call.Canceled, call.Rejected}, every: after, turns: []bool{true}},
		"some refusals":           {outcomes: slices.Repeat(append(repeat(9, call.Rejected), call.OK), 10)},
		"nothing but refusals":    {outcomes: append(repeat(50, call.Rejected), call.OK), every: after, turns: []bool{true, false}},
		"refusals after a return": {outcomes: append(append(repeat(10, call.Rejected), call.OK), repeat(9, call.Rejected)...), every: after, turns: []bool{true, false}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := new(APIState)
				defer func() { _ = s.Destruct() }()
				var turns []bool
				report := func(turn transition) { turns = append(turns, turn.degraded) }
				for _, outcome := range tc.outcomes {
					s.count(outcome, report, report)
					time.Sleep(tc.every)
				}
				if !slices.Equal(turns, tc.turns) {
					t.Errorf("it turned %v, want %v", turns, tc.turns)
				}
				if want := len(turns)%2 == 1; s.Degraded() != want {
					t.Errorf("degraded is %v, want %v", s.Degraded(), want)
				}
			})
		})
	}
}

// An API that nobody calls any more stayed degraded for ever: nothing but a call
// could end it.
func TestADegradationEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(APIState)
		begin := time.Now()
		var turns []transition
		note := func(outcome call.Outcome) {
			report := func(turn transition) { turns = append(turns, turn) }
			s.count(outcome, report, report)
		}
		for range 3 {
			note(call.Timeout)
			time.Sleep(4 * time.Minute)
		}
		if since := s.DegradedSince(); !since.Equal(begin) {
			t.Errorf("degraded since %v, want %v", since, begin)
		}
		time.Sleep(time.Minute - time.Nanosecond)
		if !s.Degraded() {
			t.Error("it ended before 5 minutes without a failing call")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if s.Degraded() || len(turns) != 2 || turns[1].degraded || turns[1].outcome != "" || !turns[1].since.Equal(begin) {
			t.Errorf("after 5 minutes without a failing call it is degraded: %v, turns %v", s.Degraded(), turns)
		}

		for range manyRefusals - 1 { // what was refused before is forgotten
			note(call.Rejected)
		}
		if s.Degraded() {
			t.Error("refusals that aren't many degrade it")
		}
		note(call.Rejected)
		if !s.Degraded() || !s.DegradedSince().Equal(time.Now()) {
			t.Error("many refusals don't degrade it")
		}
		if err := s.Destruct(); err != nil { // or the test would end with a timer at work
			t.Error(err)
		}
		time.Sleep(time.Hour)
		if len(turns) != 3 {
			t.Errorf("an API that is gone turned: %v", turns)
		}
	})
}

// Calls that end at the same moment as the degradation itself leave one state.
func TestADegradationEndsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 50 {
			s := new(APIState)
			var turns []bool
			report := func(turn transition) { turns = append(turns, turn.degraded) }
			s.count(call.Timeout, report, report)
			time.Sleep(quietPeriod - time.Nanosecond)
			for _, outcome := range []call.Outcome{call.OK, call.Timeout} {
				go func() {
					time.Sleep(time.Nanosecond)
					s.count(outcome, report, report)
				}()
			}
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			for i, degraded := range turns {
				if degraded != (i%2 == 0) {
					t.Fatalf("turns %v", turns)
				}
			}
			if s.Degraded() != (len(turns)%2 == 1) {
				t.Fatalf("degraded %v after turns %v", s.Degraded(), turns)
			}
			_ = s.Destruct()
		}
	})
}
