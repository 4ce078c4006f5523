package keeper

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// lost makes the answers of the calls of one kind get lost after they were
// processed, n times.
func lost(how string, n int) func(context.Context, tokenCall) error {
	return func(_ context.Context, c tokenCall) error {
		if c.how == how && n > 0 {
			n--
			return &token.Failure{Kind: token.Ambiguous, Reason: "connection reset"}
		}
		return nil
	}
}

// untilDue lets the time pass to the window's end and gives the token then.
func untilDue(t *testing.T, k *Keeper) *token.Token {
	t.Helper()
	first := must(t, k)
	for range 130 {
		time.Sleep(time.Minute)
		if now := k.Current(); now == nil || now.Generation != first.Generation {
			break
		}
	}
	return must(t, k)
}

func TestRenewalByWhatTheRefreshGives(t *testing.T) {
	tests := map[string]struct {
		break_  func(i *issuer)
		obtains int // after the first
		refresh int
		calls   string
	}{
		"accepted": {func(*issuer) {}, 0, 1, ""},
		"refused": {func(i *issuer) {
			clear(i.unused)
		}, 1, 1, ""},
		"no refresh token given": {func(i *issuer) {
			i.noRefresh = true
		}, 1, 0, ""},
		"answer lost": {func(i *issuer) {
			i.after = lost(howRefresh, 1)
		}, 1, 1, ""},
		"invalid": {func(i *issuer) {
			i.after = func(_ context.Context, c tokenCall) error {
				if c.how == howRefresh {
					return &token.Failure{Kind: token.Invalid, Reason: "no token in the answer"}
				}
				return nil
			}
		}, 1, 1, ""},
		"empty token": {func(i *issuer) {
			i.grant = func(g *token.Grant) {
				if i.made == 2 {
					g.Access = ""
				}
			}
		}, 1, 1, ""},
		"expired token": {func(i *issuer) {
			i.grant = func(g *token.Grant) {
				if i.made == 2 {
					g.Lifetime, g.Expires = 0, time.Now().Add(-time.Hour)
				}
			}
		}, 1, 1, ""},
		"panic": {func(i *issuer) {
			i.before = func(_ context.Context, c tokenCall) error {
				if c.how == howRefresh {
					panic("a token")
				}
				return nil
			}
		}, 1, 1, ""},
		"same token": {func(i *issuer) {
			i.grant = func(g *token.Grant) {
				if i.made == 2 {
					g.Access = "access-1"
				}
			}
		}, 1, 1, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				i := newIssuer()
				k, _ := keeping(t, testPolicy(), i, newMemory())
				k.Start()
				must(t, k)
				i.set(func() { i.ledger = nil; tt.break_(i) })
				if tok := untilDue(t, k); tok.Generation != 2 || !i.accepts(tok) {
					t.Errorf("generation %d, accepted: %v", tok.Generation, i.accepts(tok))
				}
				if i.calls(howObtain) != tt.obtains || i.calls(howRefresh) != tt.refresh {
					t.Errorf("%d obtained, %d refreshed", i.calls(howObtain), i.calls(howRefresh))
				}
				if again := i.resent(); again != nil {
					t.Errorf("sent twice: %v", again)
				}
			})
		})
	}
}

// A refresh token whose fate is unknown isn't sent again, not by the next
// attempt, not after a restart.
func TestSpentRefreshTokenIsNeverSentAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newMemory()
		k, _ := keeping(t, testPolicy(), i, s)
		k.Start()
		must(t, k)
		mate, _ := keeping(t, testPolicy(), i, s)
		mate.seeded(2).Start()
		must(t, mate)
		i.set(func() {
			i.after = func(context.Context, tokenCall) error { return &token.Failure{Kind: token.Ambiguous, Reason: "reset"} }
		})
		for k.State().Phase != "failing" {
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		if r := s.stored(t, testPolicy()); r.Spent.IsZero() || r.Generation != 1 {
			t.Errorf("record %+v", r)
		}
		_ = k.Destruct()
		after, _ := keeping(t, testPolicy(), i, s)
		after.Start()
		time.Sleep(10 * time.Minute)
		i.set(func() { i.after = nil })
		time.Sleep(10 * time.Minute)
		must(t, after)
		if i.calls(howRefresh) != 1 {
			t.Errorf("refresh tokens sent %d times: %v", i.calls(howRefresh), i.resent())
		}
	})
}

// A source with nothing but a refresh token sends it again: there is no other
// way on.
func TestRefreshOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := testPolicy()
		p.Seed = "seed"
		i, s := newIssuer(), newMemory()
		i.noObtain = true
		i.unused["seed"] = true
		fails := 3
		i.before = func(context.Context, tokenCall) error {
			if fails--; fails >= 0 {
				return &token.Failure{Kind: token.Ambiguous, Status: 503}
			}
			return nil
		}
		k, _ := keeping(t, p, i, s)
		k.Start()
		time.Sleep(time.Minute)
		if must(t, k); k.snapshot().Refresh != "refresh-1" || i.calls() != 4 {
			t.Errorf("%d calls", i.calls())
		}
		if untilDue(t, k); k.snapshot().Refresh != "refresh-2" {
			t.Errorf("not rotated")
		}
		// the rotated one counts after a restart, not the seed
		_ = k.Destruct()
		after, _ := keeping(t, p, i, s)
		after.Start()
		time.Sleep(3 * time.Hour)
		if tok := must(t, after); tok.Generation != 3 {
			t.Errorf("generation %d", tok.Generation)
		}
		// refused: that is the end until somebody acts, so it is slow
		i.set(func() { clear(i.unused); i.ledger = nil })
		time.Sleep(4 * time.Hour)
		if n := i.calls(); n > 8 {
			t.Errorf("%d calls in 4 hours", n)
		}
		_, err := after.Token(within(t, time.Second))
		if none, ok := errors.AsType[*token.NoTokenError](err); !ok || none.RetryAfter < time.Minute {
			t.Errorf("Token: %v", err)
		}
	})
}

func TestRefreshOnlyWithoutSeed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newIssuer()
		i.noObtain = true
		k, _ := keeping(t, testPolicy(), i, nil)
		if _, err := k.Token(within(t, time.Second)); err == nil || i.calls() != 0 {
			t.Errorf("%v after %d calls", err, i.calls())
		}
	})
}

// A refresh token that the answer doesn't replace goes on (RFC 6749, section 6).
func TestRefreshTokenThatIsNotRotated(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newIssuer()
		i.grant = func(g *token.Grant) {
			if i.made > 1 {
				g.Refresh = ""
			}
			i.unused["refresh-1"] = true
		}
		k, _ := keeping(t, testPolicy(), i, newMemory())
		k.Start()
		for range 5 {
			untilDue(t, k)
		}
		if i.calls(howObtain) != 1 || i.calls(howRefresh) != 5 {
			t.Errorf("%d obtained, %d refreshed", i.calls(howObtain), i.calls(howRefresh))
		}
	})
}
