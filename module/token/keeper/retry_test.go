package keeper

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// asking makes two calls a second for so long and returns the longest time in
// which no call got an answer, and how many didn't. each is called with the token.
func asking(t *testing.T, k *Keeper, d time.Duration, each func(*token.Token)) (longest time.Duration, failed int) {
	t.Helper()
	var since time.Time
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		begin := time.Now()
		tok, err := k.Token(within(t, 2*time.Second))
		if err != nil {
			if failed++; since.IsZero() {
				since = begin
			}
			longest = max(longest, time.Since(since))
			continue
		}
		since = time.Time{}
		if each != nil {
			each(tok)
		}
	}
	return longest, failed
}

func answers(failures ...*token.Failure) func(context.Context, tokenCall) error {
	return func(context.Context, tokenCall) error {
		if len(failures) == 0 {
			return nil
		}
		f := failures[0]
		failures = failures[1:]
		if f == nil {
			return nil
		}
		return f
	}
}

// A sign-in that was answered 429 once counted as refused: five minutes without
// service.
func TestBusySignIn(t *testing.T) {
	for name, tt := range map[string]struct {
		after time.Duration
		most  time.Duration // until there is a token
		least time.Duration
	}{
		"a second":          {time.Second, 1500 * time.Millisecond, time.Second},
		"a minute and more": {90 * time.Second, 92 * time.Second, 90 * time.Second},
		"not stated":        {0, 3 * time.Second, time.Second},
	} {
		for _, status := range []int{429, 503} {
			t.Run(name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					i := newIssuer()
					i.before = answers(&token.Failure{Kind: token.Busy, Status: status, RetryAfter: tt.after})
					k, _ := keeping(t, testPolicy(), i, newMemory())
					begin := time.Now()
					k.Start()
					time.Sleep(500 * time.Millisecond)
					if s := k.State(); s.Phase != "failing" || s.NextAttempt.Sub(begin) < tt.least {
						t.Errorf("state %+v", s)
					}
					for k.Current() == nil {
						time.Sleep(100 * time.Millisecond)
					}
					if took := time.Since(begin); took < tt.least || took > tt.most {
						t.Errorf("a token after %v, want %v to %v", took, tt.least, tt.most)
					}
					if i.calls() != 2 {
						t.Errorf("%d calls", i.calls())
					}
				})
			})
		}
	}
}

// A caller with two seconds waits for the second that the endpoint asks for.
func TestACallWaitsForABusyEndpoint(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newIssuer()
		i.before = answers(&token.Failure{Kind: token.Busy, Status: 429, RetryAfter: time.Second})
		k, _ := keeping(t, testPolicy(), i, newMemory())
		must(t, k)
	})
}

// A refresh that is put off is neither followed by a sign-in nor spent.
func TestBusyRefresh(t *testing.T) {
	for _, tt := range []struct {
		status             int
		refreshes, obtains int // after the first sign-in
	}{{429, 2, 0}, {503, 1, 1}} {
		bubble(t, func(t *testing.T) {
			i := newIssuer()
			k, _ := keeping(t, testPolicy(), i, newMemory())
			k.Start()
			must(t, k)
			i.set(func() {
				i.ledger = nil
				i.before = answers(&token.Failure{Kind: token.Busy, Status: tt.status, RetryAfter: 30 * time.Second})
			})
			tok := untilDue(t, k)
			log := i.log()
			if tok.Generation != 2 || i.calls(howRefresh) != tt.refreshes || i.calls(howObtain) != tt.obtains {
				t.Errorf("%d: %d refreshes and %d sign-ins", tt.status, i.calls(howRefresh), i.calls(howObtain))
			}
			if gap := log[1].at.Sub(log[0].at); gap < 30*time.Second || gap > 31*time.Second {
				t.Errorf("%d: asked again after %v", tt.status, gap)
			}
		})
	}
}

// A renewal that was refused while the token lived was tried again five minutes
// later, when the token had long ended.
func TestRefusedRenewalIsTriedAtTheEnd(t *testing.T) {
	refused := &token.Failure{Kind: token.Refused, Status: 400, Code: "invalid_grant"}
	lost := &token.Failure{Kind: token.Ambiguous, Reason: "no whole answer in time"}
	for name, tt := range map[string]struct {
		alone    bool // a source without obtain
		failures []*token.Failure
	}{
		"refresh only, refused once":           {true, []*token.Failure{refused}},
		"refresh only, refused twice":          {true, []*token.Failure{refused, refused}},
		"refresh only, refused past the end":   {true, []*token.Failure{refused, refused, refused}},
		"refresh only, unanswered":             {true, []*token.Failure{lost, lost, lost}},
		"sign-in only, refused":                {false, []*token.Failure{refused}},
		"sign-in only, refused past the end":   {false, []*token.Failure{refused, refused, refused}},
		"sign-in only, unanswered and refused": {false, []*token.Failure{lost, refused}},
	} {
		for _, life := range []time.Duration{75 * time.Second, 4 * time.Minute, 11 * time.Minute} {
			t.Run(name+" "+life.String(), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					p, i := testPolicy(), newIssuer()
					i.lifetime = life
					if tt.alone {
						p.Seed, i.noObtain = "seed", true
						i.grant = func(g *token.Grant) { i.unused["seed"], i.unused[g.Refresh] = true, true }
						i.unused["seed"] = true
					} else {
						i.noRefresh = true
					}
					k, _ := keeping(t, p, i, newMemory())
					k.Start()
					must(t, k)
					i.set(func() { i.before = answers(tt.failures...) })
					longest, failed := asking(t, k, life+30*time.Second, nil)
					if failed > 2 || longest > 2*time.Second {
						t.Errorf("%d calls without an answer, for %v", failed, longest)
					}
					if n := i.calls(); n > 8 {
						t.Errorf("%d token calls", n)
					}
				})
			})
		}
	}
}

// Three renewals by hand that failed made the automatic wait 20 minutes instead
// of 5.
func TestRenewalsByHandChangeNoWait(t *testing.T) {
	for name, before := range map[string]func(context.Context, tokenCall) error{"refused": refuse, "down": down} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				i, s := newIssuer(), newMemory()
				i.before = before
				k, _ := keeping(t, testPolicy(), i, s)
				k.Start()
				time.Sleep(200 * time.Millisecond)
				next := k.State().NextAttempt
				for range 3 {
					if err := k.Renew(t.Context()); err == nil {
						t.Error("no error from a renewal that failed")
					}
				}
				if got := k.State(); !got.NextAttempt.Equal(next) || got.LastError == "" {
					t.Errorf("next attempt at %v, was %v", got.NextAttempt, next)
				}
				if name == "refused" {
					if r := s.stored(t, testPolicy()); r.RefusedCount != 1 {
						t.Errorf("%d refusals are counted", r.RefusedCount)
					}
				}
			})
		})
	}
}

// A renewal by hand that fails leaves a fresh token's schedule alone, too.
func TestARenewalByHandLeavesAFreshToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newIssuer()
		i.noRefresh = true
		k, _ := keeping(t, testPolicy(), i, newMemory())
		k.Start()
		tok := must(t, k)
		next := k.State().NextAttempt
		i.set(func() { i.before = refuse })
		if err := k.Renew(t.Context()); err == nil {
			t.Error("no error")
		}
		if s := k.State(); s.Phase != "fresh" || !s.NextAttempt.Equal(next) || must(t, k) != tok {
			t.Errorf("state %+v", s)
		}
	})
}

// The program of a request learns that an API has refused the token, for
// endpoints that give the same token until they are asked for another.
func TestRefusedVariable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newIssuer()
		k, _ := keeping(t, testPolicy(), i, newMemory())
		k.Start()
		tok := untilDue(t, k)
		k.Invalidate(tok.Generation, 1, "status 401")
		must(t, k)
		var got []bool
		for _, c := range i.log() {
			got = append(got, c.refused)
		}
		if len(got) != 3 || got[0] || got[1] || !got[2] {
			t.Errorf("$refused was %v", got)
		}
	})
}

// The second of two different tokens that live for seconds is a mistake of unit.
func TestTokensThatLiveForSeconds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newIssuer()
		i.lifetime, i.noRefresh = 2*time.Second, true
		k, _ := keeping(t, testPolicy(), i, newMemory())
		k.Start()
		must(t, k)
		time.Sleep(10 * time.Minute)
		if _, err := k.Token(within(t, time.Second)); !errors.Is(err, errShort) {
			t.Errorf("Token: %v", err)
		}
		if n := i.calls(); n > 40 {
			t.Errorf("%d token calls in 10 minutes", n)
		}
	})
}
