package keeper

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/switchboard-ivr/switchboard/module/token"
)

func refuse(context.Context, tokenCall) error {
	return &token.Failure{Kind: token.Refused, Status: 401, Code: "400100", Reason: "bad signature"}
}

// A wrong secret can lock the account: few attempts, remembered over a restart
// and by the fleet, forgotten when the credentials change.
func TestRefusedSignIn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newMemory()
		i.before = refuse
		k, l := keeping(t, testPolicy(), i, s)
		k.Start()
		began := time.Now()
		_, err := k.Token(within(t, 2*time.Second))
		none, ok := errors.AsType[*token.NoTokenError](err)
		if !ok || none.RetryAfter != 5*time.Minute {
			t.Fatalf("Token: %v", err)
		}
		if fail, ok := errors.AsType[*token.Failure](err); !ok || fail.Code != "400100" {
			t.Errorf("cause %v", none.Cause)
		}
		if s := k.State(); s.Phase != "failing" || !s.NextAttempt.Equal(time.Now().Add(5*time.Minute)) {
			t.Errorf("state %+v", s)
		}
		// requests don't wait for minutes, with or without a deadline
		waiting := time.Now()
		if _, err := k.Token(t.Context()); err == nil || time.Since(waiting) > 0 {
			t.Errorf("%v after %v", err, time.Since(waiting))
		}
		time.Sleep(time.Minute)
		_ = k.Destruct()

		after, _ := keeping(t, testPolicy(), i, s)
		after.Start()
		if _, err := after.Token(within(t, time.Second)); err == nil || i.calls() != 1 {
			t.Errorf("after a restart: %v after %d calls", err, i.calls())
		}
		time.Sleep(10 * time.Hour)
		var at []time.Duration
		for _, c := range i.log() {
			at = append(at, c.at.Sub(began).Round(time.Minute))
		}
		// 5, 10, 20, 40, then 60 minutes apart
		if len(at) < 12 || len(at) > 14 || at[1] != 5*time.Minute || at[2] != 15*time.Minute || at[3] != 35*time.Minute || at[5]-at[4] != time.Hour {
			t.Errorf("calls at %v", at)
		}
		if n := l.count(zapcore.ErrorLevel, "refused"); n != 1 {
			t.Errorf("%d alarms", n)
		}

		i.set(func() { i.before = nil })
		changed := testPolicy()
		changed.Identity = "other credentials"
		fixed, _ := keeping(t, changed, i, s)
		must(t, fixed)
	})
}

func TestRefusedSignInKeepsTheValidToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newMemory()
		i.noRefresh = true
		k, _ := keeping(t, testPolicy(), i, s)
		other, _ := keeping(t, testPolicy(), i, s)
		first := must(t, k)
		must(t, other)
		i.set(func() { i.before = refuse })
		time.Sleep(time.Until(first.Expires) - time.Second)
		if must(t, k) != first || k.State().LastError == "" {
			t.Error("the valid token isn't served")
		}
		// one instance's refusal is the other's: 1 at the start, then at most
		// one, since the next is 5 minutes later, and one more
		if n := i.calls(); n > 3 {
			t.Errorf("%d calls", n)
		}
		i.set(func() { i.before = nil })
		time.Sleep(30 * time.Minute)
		if tok := must(t, k); tok.Generation != 2 {
			t.Errorf("generation %d", tok.Generation)
		}
		if r := s.stored(t, testPolicy()); r.RefusedCount != 0 || !r.RefusedUntil.IsZero() {
			t.Errorf("refusal not forgotten: %+v", r)
		}
	})
}

// A hundred requests find out at once that their token is dead.
func TestAHundredInvalidations(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newIssuer()
		k, l := keeping(t, testPolicy(), i, newMemory())
		dead := must(t, k)
		time.Sleep(time.Hour)
		i.kill()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				k.Invalidate(dead.Generation, 0, "status 401")
				tok, err := k.Token(within(t, time.Second))
				if err != nil || tok.Generation != 2 || !i.accepts(tok) {
					t.Errorf("%v, %v", tok, err)
				}
				k.Invalidate(dead.Generation, 0, "status 401") // a straggler
			})
		}
		wg.Wait()
		if i.calls() != 2 || i.calls(howRefresh) != 1 {
			t.Errorf("%d calls", i.calls())
		}
		if k.Current() == nil || k.Current().Generation != 2 {
			t.Error("a straggler killed the new token")
		}
		if n := l.count(zapcore.WarnLevel, "the API refused the token"); n != 1 {
			t.Errorf("%d warnings", n)
		}
		k.Invalidate(0, 0, "")
		k.Invalidate(99, 0, "")
		if k.Current() == nil {
			t.Error("another generation was invalidated")
		}
	})
}

// Nobody asks, and yet a dead token is replaced; although the renewal that
// made it still has to give the lock back.
func TestDeadTokenIsReplacedInTheBackground(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newMemory()
		s.hook = func(ctx context.Context, op string) error {
			if op == "Unlock" {
				return pause(ctx, 300*time.Millisecond)
			}
			return nil
		}
		k, _ := keeping(t, testPolicy(), i, s)
		began := time.Now()
		k.Invalidate(must(t, k).Generation, 0, "code 401000")
		if took := time.Since(began); took > 260*time.Millisecond { // the call and the mark
			t.Errorf("the request waited %v", took)
		}
		if k.Current() != nil {
			t.Error("a dead token is served")
		}
		time.Sleep(600 * time.Millisecond)
		if tok := k.Current(); tok == nil || tok.Generation != 2 {
			t.Errorf("token %v, state %+v", tok, k.State())
		}
	})
}

// Two systems with the same credentials throw each other out, where a sign-in ends
// the token before, as WeChat's does. The ping-pong is bounded, and told.
func TestAnotherSystemStealsTheToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newMemory()
		k, l := keeping(t, testPolicy(), i, s)
		fleetmate, _ := keeping(t, testPolicy(), i, s)
		thief, _ := keeping(t, testPolicy(), i, newMemory())
		for range 600 {
			for _, k := range []*Keeper{k, fleetmate, thief} {
				tok, err := k.Token(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if !i.accepts(tok) {
					k.Invalidate(tok.Generation, 0, "status 401")
				}
			}
			time.Sleep(time.Second)
		}
		// each side: one at the start, then at most 6 in 10 minutes
		if n := i.calls(); n < 8 || n > 2*(1+maxRenewals) {
			t.Errorf("%d token calls in 10 minutes", n)
		}
		if n := l.count(zapcore.ErrorLevel, "another system"); n < 2 || n > maxRenewals {
			t.Errorf("%d alarms", n)
		}
		if why := k.Refusal(); !strings.Contains(why, "another system may sign in with the same credentials") {
			t.Errorf("Refusal: %q", why)
		}
	})
}

// An API that answers 401 for one resource, whatever the token: its callers
// must not take the token away from all others.
func TestRefusalThatNoRenewalCures(t *testing.T) {
	for _, differ := range []bool{true, false} {
		bubble(t, func(t *testing.T) {
			p := testPolicy()
			p.MustDiffer = differ
			i := newIssuer()
			pause := refusalWindow
			if !differ { // and the endpoint doesn't give another token either
				pause = suspectPause
				until := time.Now().Add(24 * time.Hour)
				i.grant = func(g *token.Grant) { g.Access, g.Expires = "always", until }
			}
			k, l := keeping(t, p, i, newMemory())
			k.Start()
			must(t, k)
			time.Sleep(time.Hour)
			if s := k.State(); s.Phase != "fresh" {
				t.Errorf("phase %s", s.Phase)
			}
			for n := range 1200 {
				tok, err := k.Token(within(t, time.Second))
				if err != nil || !i.accepts(tok) {
					t.Fatalf("request %d: %v", n, err)
				}
				if n%3 == 0 {
					k.Invalidate(tok.Generation, 0, "status 401")
				}
				if n == 100 {
					if s := k.State(); s.Phase != "due" || time.Until(s.NextAttempt) > pause {
						t.Errorf("state %+v", s)
					}
				}
				time.Sleep(500 * time.Millisecond)
			}
			if n := i.calls(); n > 2+600/30 {
				t.Errorf("%d token calls in 10 minutes", n)
			}
			if n := l.count(zapcore.ErrorLevel, "token_expired matches too much"); n == 0 || n > 600/30 {
				t.Errorf("%d alarms", n)
			}
		})
	}
}

// An API that forgets its tokens earlier than the endpoint says.
func TestLearnedLifetime(t *testing.T) {
	tests := map[string]struct {
		stated time.Duration
		deaths int // that it takes to learn
	}{
		"stated":  {2 * time.Hour, 2},
		"assumed": {0, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				i, s := newIssuer(), newMemory()
				i.lifetime = tt.stated
				k, l := keeping(t, testPolicy(), i, s)
				deaths := func(for_ time.Duration) (n int) {
					for end := time.Now().Add(for_); time.Now().Before(end); time.Sleep(30 * time.Second) {
						tok, err := k.Token(t.Context())
						if err != nil {
							t.Fatal(err)
						}
						if time.Since(tok.Obtained) > 50*time.Minute {
							k.Invalidate(tok.Generation, 0, "status 401")
							n++
						}
					}
					return n
				}
				if n := deaths(20 * time.Hour); n != tt.deaths {
					t.Errorf("%d deaths, want %d", n, tt.deaths)
				}
				if tok := must(t, k); tok.Expires.Sub(tok.Obtained) > 50*time.Minute {
					t.Errorf("lifetime %v", tok.Expires.Sub(tok.Obtained))
				}
				if n := l.count(zapcore.WarnLevel, "before their time"); n != 1 {
					t.Errorf("%d warnings", n)
				}
				// a restart remembers
				_ = k.Destruct()
				k, _ = keeping(t, testPolicy(), i, s)
				if n := deaths(3 * time.Hour); n != 0 {
					t.Errorf("%d deaths after a restart", n)
				}
				// it is tried anew after a day
				if n := deaths(48 * time.Hour); n == 0 || n > 6 {
					t.Errorf("%d deaths in two days", n)
				}
			})
		})
	}
}
