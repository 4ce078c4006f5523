package keeper

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// must_differ off: WeCom and others give the same token until shortly before
// its end. That is not an error, and no reason to ask all the time.
func TestUnchangedToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := testPolicy()
		p.MustDiffer = false
		i := newIssuer()
		i.noRefresh = true
		var access string
		var until time.Time
		i.grant = func(g *token.Grant) { // a new token in the last 5 minutes only
			if now := time.Now(); until.Sub(now) < 5*time.Minute {
				access, until = g.Access, now.Add(2*time.Hour)
			}
			g.Access, g.Lifetime = access, time.Until(until).Truncate(time.Second)
		}
		k, l := keeping(t, p, i, newMemory())
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
		before, first := i.calls(), must(t, k)
		for range 3 {
			if err := k.Renew(t.Context()); err != nil {
				t.Errorf("Renew with an unchanged token: %v", err)
			}
		}
		if n := i.calls() - before; n != 3 || must(t, k) != first {
			t.Errorf("%d calls for 3 renewals", n)
		}
	})
}

// must_differ off: the same token with a later expiry is a success (DingTalk).
func TestExtendedToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := testPolicy()
		p.MustDiffer = false
		i := newIssuer()
		i.grant = func(g *token.Grant) { g.Access = "always" }
		k, _ := keeping(t, p, i, newMemory())
		k.Start()
		first := must(t, k)
		next := untilDue(t, k)
		if next.Access != first.Access || next.Generation != 2 || !next.Expires.After(first.Expires.Add(time.Hour)) {
			t.Errorf("token %d until %v", next.Generation, next.Expires)
		}
		// and when the API has refused it, the endpoint has the last word
		k.Invalidate(2, 0, "status 401")
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
		i.grant = func(g *token.Grant) { g.Access = "always" }
		k, _ := keeping(t, testPolicy(), i, newMemory())
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

// The endpoint gives the same token with the seconds that are left, and a new one
// when it ends. Lives of less than 30 s were refused, with back-off: up to 24 s
// without a token at each end.
func TestRemainingLife(t *testing.T) {
	rounded := map[string]func(time.Duration) time.Duration{
		"down": func(d time.Duration) time.Duration { return d.Truncate(time.Second) },
		"up":   func(d time.Duration) time.Duration { return (d + time.Second - 1).Truncate(time.Second) },
	}
	for name, round := range rounded {
		for _, life := range []int{40, 75, 90, 120, 150, 200, 1800} {
			life := time.Duration(life) * time.Second
			t.Run(life.String()+" "+name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					p := testPolicy()
					p.MustDiffer = false
					i := newIssuer()
					i.noRefresh = true
					access, until := "access-0", time.Now().Add(20*time.Second) // somebody else has it already
					i.grant = func(g *token.Grant) {
						if !time.Now().Before(until) {
							access, until = g.Access, time.Now().Add(life)
						}
						g.Access, g.Lifetime = access, round(time.Until(until))
						g.Ended = g.Lifetime <= 0
					}
					k, l := keeping(t, p, i, newMemory())
					k.Start()
					longest, _ := asking(t, k, 10*life, nil)
					if longest > 2*time.Second {
						t.Errorf("%v without an answer", longest)
					}
					if _, failed := l.heard(); len(failed) != 0 {
						t.Errorf("failed %v", failed)
					}
					if n := i.calls(); n > 10*11 {
						t.Errorf("%d token calls for 11 lives", n)
					}
				})
			})
		}
	}
}

// The endpoint says that the token that is held ends earlier than it said before.
func TestSameTokenEndsEarlier(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := testPolicy()
		p.MustDiffer = false
		i := newIssuer()
		i.grant = func(g *token.Grant) {
			if g.Access = "always"; i.made > 1 {
				g.Lifetime = time.Minute
			}
		}
		k, _ := keeping(t, p, i, newMemory())
		must(t, k)
		if err := k.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left := time.Until(must(t, k).Expires); left > time.Minute {
			t.Errorf("%v left", left)
		}
	})
}
