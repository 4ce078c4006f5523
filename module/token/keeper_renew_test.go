package token

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"
)

// lost makes the answers of the calls of one kind get lost after they were
// processed, n times.
func lost(how string, n int) func(context.Context, tokenCall) error {
	return func(_ context.Context, c tokenCall) error {
		if c.how == how && n > 0 {
			n--
			return &Failure{Kind: Ambiguous, Reason: "connection reset"}
		}
		return nil
	}
}

// untilDue lets the time pass to the window's end and gives the token then.
func untilDue(t *testing.T, k *Keeper) *Token {
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
					return &Failure{Kind: Invalid, Reason: "no token in the answer"}
				}
				return nil
			}
		}, 1, 1, ""},
		"empty token": {func(i *issuer) {
			i.grant = func(g *Grant) {
				if i.made == 2 {
					g.Access = ""
				}
			}
		}, 1, 1, ""},
		"expired token": {func(i *issuer) {
			i.grant = func(g *Grant) {
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
			i.grant = func(g *Grant) {
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
				k, _ := keeping(t, testPolicy(), i, newStorage())
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

// T7: a refresh token whose fate is unknown isn't sent again, not by the next
// attempt, not after a restart.
func TestSpentRefreshTokenIsNeverSentAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newStorage()
		k, _ := keeping(t, testPolicy(), i, s)
		k.Start()
		must(t, k)
		i.set(func() {
			i.after = func(context.Context, tokenCall) error { return &Failure{Kind: Ambiguous, Reason: "reset"} }
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
		time.Sleep(5 * time.Minute)
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
		p.seed = "seed"
		i, s := newIssuer(), newStorage()
		i.noObtain = true
		i.unused["seed"] = true
		fails := 3
		i.before = func(context.Context, tokenCall) error {
			if fails--; fails >= 0 {
				return &Failure{Kind: Ambiguous, Status: 503}
			}
			return nil
		}
		k, _ := keeping(t, p, i, s)
		k.Start()
		time.Sleep(time.Minute)
		if tok := must(t, k); tok.refresh != "refresh-1" || i.calls() != 4 {
			t.Errorf("%d calls", i.calls())
		}
		if tok := untilDue(t, k); tok.refresh != "refresh-2" {
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
		if none, ok := errors.AsType[*NoTokenError](err); !ok || none.RetryAfter < time.Minute {
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
		i.grant = func(g *Grant) {
			if i.made > 1 {
				g.Refresh = ""
			}
			i.unused["refresh-1"] = true
		}
		k, _ := keeping(t, testPolicy(), i, newStorage())
		k.Start()
		for range 5 {
			untilDue(t, k)
		}
		if i.calls(howObtain) != 1 || i.calls(howRefresh) != 5 {
			t.Errorf("%d obtained, %d refreshed", i.calls(howObtain), i.calls(howRefresh))
		}
	})
}

// must_differ off: WeCom and others give the same token until shortly before
// its end. That is not an error, and no reason to ask all the time.
func TestUnchangedToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := testPolicy()
		p.mustDiffer = false
		i := newIssuer()
		i.noRefresh = true
		var access string
		var until time.Time
		i.grant = func(g *Grant) { // a new token in the last 5 minutes only
			if now := time.Now(); until.Sub(now) < 5*time.Minute {
				access, until = g.Access, now.Add(2*time.Hour)
			}
			g.Access, g.Lifetime = access, time.Until(until).Truncate(time.Second)
		}
		k, l := keeping(t, p, i, newStorage())
		k.Start()
		for range 10 {
			first := must(t, k)
			if next := untilDue(t, k); next.Access == first.Access || next.Generation != first.Generation+1 {
				t.Errorf("generation %d after %d", next.Generation, first.Generation)
			}
		}
		if n := i.calls(); n > 11+10*8 {
			t.Errorf("%d calls for 11 tokens", n)
		}
		if _, failed := l.heard(); len(failed) != 0 || l.count(zapcore.WarnLevel, "") != 0 {
			t.Errorf("failed %v", failed)
		}
		if err := k.Renew(t.Context()); err != nil {
			t.Errorf("Renew with an unchanged token: %v", err)
		}
	})
}

// must_differ off: the same token with a later expiry is a success (DingTalk).
func TestExtendedToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := testPolicy()
		p.mustDiffer = false
		i := newIssuer()
		i.grant = func(g *Grant) { g.Access = "always" }
		k, _ := keeping(t, p, i, newStorage())
		k.Start()
		first := must(t, k)
		next := untilDue(t, k)
		if next.Access != first.Access || next.Generation != 2 || !next.Expires.After(first.Expires.Add(time.Hour)) {
			t.Errorf("token %d until %v", next.Generation, next.Expires)
		}
		// and when the API has refused it, the endpoint has the last word
		k.Invalidate(2, "status 401")
		if tok := must(t, k); tok.Access != first.Access || tok.Generation != 3 {
			t.Errorf("generation %d", tok.Generation)
		}
	})
}

// must_differ on, and nothing but the same token: the old one is served to its
// end, and then nothing.
func TestTokenThatNeverDiffers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newIssuer()
		i.grant = func(g *Grant) { g.Access = "always" }
		k, _ := keeping(t, testPolicy(), i, newStorage())
		k.Start()
		first := must(t, k)
		time.Sleep(time.Until(first.Expires) - time.Second)
		if must(t, k) != first {
			t.Error("not served to its end")
		}
		log := i.log()
		if gap := log[2].at.Sub(log[1].at); gap < time.Second {
			t.Errorf("signed in %v after the refresh, with a valid token in hand", gap)
		}
		if i.calls(howRefresh) != 1 || i.calls() > 30 {
			t.Errorf("%d refreshed of %d calls", i.calls(howRefresh), i.calls())
		}
		time.Sleep(2 * time.Second)
		if k.Current() != nil {
			t.Error("served beyond its end")
		}
		if _, err := k.Token(within(t, time.Second)); !errors.Is(err, errSame) {
			t.Errorf("Token: %v", err)
		}
	})
}

func TestLifetime(t *testing.T) {
	tests := map[string]struct {
		stated     time.Duration
		absolute   time.Duration
		configured time.Duration
		want       time.Duration
	}{
		"stated":     {stated: time.Hour, configured: 3 * time.Hour, want: time.Hour},
		"absolute":   {absolute: 30 * time.Minute, want: 30 * time.Minute},
		"configured": {configured: 3 * time.Hour, want: 3 * time.Hour},
		"assumed":    {want: 2 * time.Hour},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := testPolicy()
				p.lifetime = tt.configured
				i := newIssuer()
				i.lifetime = tt.stated
				i.grant = func(g *Grant) {
					if tt.absolute > 0 {
						g.Expires = time.Now().Add(tt.absolute - i.latency/2)
					}
				}
				k, _ := keeping(t, p, i, nil)
				tok := must(t, k)
				if got := tok.Expires.Sub(tok.Obtained); got != tt.want {
					t.Errorf("lifetime %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// T14: a machine whose clock is wrong signs with the endpoint's time after one
// refusal, and goes on so after a restart.
func TestClockSkew(t *testing.T) {
	for _, off := range []time.Duration{10 * time.Minute, -10 * time.Minute} {
		t.Run(off.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				i, s := newIssuer(), newStorage()
				i.noRefresh = true
				i.before = func(_ context.Context, c tokenCall) error {
					if signed := c.at.Add(-off).Add(c.skew); signed.Sub(c.at).Abs() > time.Minute {
						return &Failure{Kind: Refused, Status: 401, Date: c.at.Truncate(time.Second)}
					}
					return nil
				}
				k, l := keeping(t, testPolicy(), i, s)
				k.clock = func() time.Time { return time.Now().Add(-off) }
				k.Start()
				tok, err := k.Token(within(t, 2*time.Second))
				if err != nil || tok.Generation != 1 || i.calls() != 2 {
					t.Fatalf("%v after %d calls", err, i.calls())
				}
				if n := l.count(zapcore.WarnLevel, "clock differs"); n != 1 {
					t.Errorf("%d warnings", n)
				}
				time.Sleep(3 * time.Hour)
				if i.calls() != 3 || k.Current() == nil {
					t.Errorf("%d calls: the skew was not kept", i.calls())
				}
				_ = k.Destruct()
				after, _ := keeping(t, testPolicy(), i, s)
				after.clock = k.clock
				after.Start()
				time.Sleep(2 * time.Hour)
				if i.calls() != 4 || after.Current() == nil {
					t.Errorf("%d calls: the skew was not kept over the restart", i.calls())
				}
			})
		})
	}
}

// A Date that is wrong must not spoil the signatures: the skew is kept only if
// it helped.
func TestClockSkewThatDidNotHelp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newIssuer()
		i.before = func(_ context.Context, c tokenCall) error {
			return &Failure{Kind: Refused, Status: 401, Date: c.at.Add(time.Hour)}
		}
		k, _ := keeping(t, testPolicy(), i, newStorage())
		if _, err := k.Token(within(t, time.Second)); err == nil || i.calls() != 2 {
			t.Fatalf("%v after %d calls", err, i.calls())
		}
		i.set(func() { i.before = nil })
		time.Sleep(6 * time.Minute)
		must(t, k)
		if c := i.log()[2]; c.skew != 0 {
			t.Errorf("signed with a skew of %v", c.skew)
		}
	})
}

// A forward jump of the wall clock ends the token, a backward jump doesn't
// freeze the source.
func TestWallClockJumps(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newIssuer()
		k, _ := keeping(t, testPolicy(), i, newStorage())
		var jump atomic.Int64
		k.clock = func() time.Time { return time.Now().Add(time.Duration(jump.Load())) }
		first, err := k.Token(within(t, time.Second))
		if err != nil {
			t.Fatal(err)
		}
		jump.Store(int64(3 * time.Hour))
		if k.Current() != nil {
			t.Error("served after its wall-clock expiry")
		}
		time.Sleep(longestSleep + time.Second)
		if now := k.Current(); now == nil || now == first {
			t.Fatal("not renewed after the jump")
		}
		i.set(func() { i.before = down })
		k.Invalidate(2, "status 401")
		time.Sleep(10 * time.Minute)
		i.set(func() { i.before = nil })
		jump.Store(int64(-3 * time.Hour))
		time.Sleep(longestSleep + time.Second)
		if k.Current() == nil {
			t.Error("waiting for a time that is hours ahead")
		}
	})
}

// An absolute expiry is the endpoint's time.
func TestAbsoluteExpiryWithSkew(t *testing.T) {
	ours := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	theirs := ours.Add(10 * time.Minute)
	at, assumed := expiry(Grant{Expires: theirs.Add(time.Hour)}, &policy{}, ours, 10*time.Minute)
	if !at.Equal(ours.Add(time.Hour)) || assumed {
		t.Errorf("expires %v, assumed %v", at, assumed)
	}
}
