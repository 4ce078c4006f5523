package module

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
		ailing   bool
		every    time.Duration
		turns    []bool
	}{
		"real answers":            {outcomes: []call.Outcome{call.OK, call.NotFound, call.Ambiguous}},
		"callers' mistakes":       {outcomes: []call.Outcome{call.BadRequest, call.Unauthorized, call.Canceled, call.DryRun}},
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
		"a refusal with a 500":    {outcomes: repeat(2, call.Rejected), ailing: true, turns: []bool{true}},
		"refusals after a return": {outcomes: append(append(repeat(10, call.Rejected), call.OK), repeat(9, call.Rejected)...), every: after, turns: []bool{true, false}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := new(Standing)
				var turns []bool
				for _, outcome := range tc.outcomes {
					s.note(outcome, tc.ailing, func(degraded bool) { turns = append(turns, degraded) })
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
