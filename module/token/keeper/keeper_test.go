package keeper

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/switchboard-ivr/switchboard/module/token"
)

func TestTokenIsObtainedOnceForAHundredRequests(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newIssuer()
		k, l := keeping(t, testPolicy(), i, newMemory())
		hundred(t, k, 1)
		if n := i.calls(); n != 1 {
			t.Errorf("%d calls, want 1", n)
		}

		// the same when the token has expired: the endpoint was down meanwhile
		i.set(func() { i.before = down })
		time.Sleep(2 * time.Hour)
		if k.Current() != nil {
			t.Fatal("an expired token is served")
		}
		i.set(func() { i.before = nil; i.ledger = nil })
		synctest.Wait()
		hundred(t, k, 2)
		if n := i.calls(); n != 1 {
			t.Errorf("after the expiry: %d calls, want 1", n)
		}
		synctest.Wait()
		if renewed, failed := l.heard(); fmt.Sprint(renewed) != "[obtain obtain]" || len(failed) == 0 {
			t.Errorf("observed %v, %v", renewed, failed)
		}
	})
}

// hundred asks a hundred times at once and wants the same generation each time.
func hundred(t *testing.T, k *Keeper, generation uint64) {
	t.Helper()
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			tok, err := k.Token(within(t, 2*time.Minute))
			if err != nil {
				t.Error(err)
			} else if tok.Generation != generation || !tok.Valid(time.Now()) {
				t.Errorf("generation %d, want %d", tok.Generation, generation)
			}
		})
	}
	wg.Wait()
}

func TestTokenIsRenewedInTheWindow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newIssuer()
		k, l := keeping(t, testPolicy(), i, newMemory())
		k.Start()
		k.Start()
		last := must(t, k)
		for range 50 {
			for k.Current().Generation == last.Generation {
				time.Sleep(time.Second)
				if k.Current() == nil {
					t.Fatal("there is a time without a token")
				}
			}
			now := time.Now()
			if left := last.Expires.Sub(now); left > 10*time.Minute || left < 2*time.Minute-2*time.Second {
				t.Errorf("renewed %v before the expiry", left)
			}
			last = k.Current()
		}
		if _, failed := l.heard(); i.calls(howObtain) != 1 || i.calls(howRefresh) != 50 || len(failed) != 0 {
			t.Errorf("%d obtained, %d refreshed, failed %v", i.calls(howObtain), i.calls(howRefresh), failed)
		}
		if last.Generation != 51 {
			t.Errorf("generation %d", last.Generation)
		}
	})
}

func TestValidTokenIsServedWhileTheEndpointHangs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newIssuer()
		k, _ := keeping(t, testPolicy(), i, newMemory())
		first := must(t, k)
		i.set(func() {
			i.before = func(ctx context.Context, _ tokenCall) error {
				_ = pause(ctx, 30*time.Second)
				return &token.Failure{Kind: token.Ambiguous, Reason: "timed out"}
			}
		})
		for time.Until(first.Expires) > 2*time.Second {
			before := time.Now()
			if must(t, k) != first {
				t.Fatal("another token")
			}
			if time.Since(before) != 0 {
				t.Fatal("a request waited while a valid token was held")
			}
			time.Sleep(time.Second)
		}
		if s := k.State(); s.Phase != "failing" && s.Phase != "renewing" {
			t.Errorf("phase %s", s.Phase)
		}
		time.Sleep(3 * time.Second)
		_, err := k.Token(within(t, time.Second))
		none, ok := errors.AsType[*token.NoTokenError](err)
		if !ok || none.RetryAfter <= 0 || none.Source != "crm" {
			t.Fatalf("after the expiry: %v", err)
		}
	})
}

// At most 30 calls in 10 minutes, and requests neither cause calls nor
// wait for one that they can't live to see.
func TestEndpointIsDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newIssuer()
		i.before = down
		k, l := keeping(t, testPolicy(), i, newMemory())
		k.Start()
		var waited atomic.Int64
		for range 600 {
			go func() {
				began := time.Now()
				_, err := k.Token(within(t, 500*time.Millisecond))
				if _, ok := errors.AsType[*token.NoTokenError](err); !ok {
					t.Errorf("Token: %v", err)
				}
				if time.Since(began) > 0 {
					waited.Add(1)
				}
			}()
			time.Sleep(time.Second)
		}
		if n := i.calls(); n < 10 || n > 30 {
			t.Errorf("%d calls in 10 minutes", n)
		}
		log := i.log()
		for n := range len(log) - 1 {
			if gap := log[n+1].at.Sub(log[n].at); gap < time.Second {
				t.Errorf("two calls within %v", gap)
			}
		}
		if waited.Load() > 60 {
			t.Errorf("%d of 600 requests waited in vain", waited.Load())
		}
		if n := l.count(zapcore.WarnLevel, "renewal failed"); n > 4 {
			t.Errorf("%d warnings", n)
		}

		i.set(func() { i.before = nil })
		time.Sleep(time.Minute)
		must(t, k)
		if s := k.State(); s.Phase != "fresh" || s.LastError != "" {
			t.Errorf("state %+v", s)
		}
	})
}

func TestRequestWaitsForTheNextAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newIssuer()
		i.before = down
		k, _ := keeping(t, testPolicy(), i, nil)
		_, err := k.Token(within(t, time.Second)) // the first attempt fails, the next is too far
		if none, ok := errors.AsType[*token.NoTokenError](err); !ok || none.RetryAfter < time.Second {
			t.Fatalf("Token: %v", err)
		}
		i.set(func() { i.before = nil })
		if tok, err := k.Token(t.Context()); err != nil || tok.Generation != 1 {
			t.Fatalf("Token: %v, %v", tok, err)
		}
		if n := i.calls(); n != 2 {
			t.Errorf("%d calls", n)
		}
	})
}

// Work that goes on for longer than anybody waits for it doesn't wait for a token
// that comes too late for them.
func TestPatienceIsShorterThanTheContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newIssuer()
		i.before = down
		k, _ := keeping(t, testPolicy(), i, nil)
		patient := func(d time.Duration) context.Context {
			return WithPatience(within(t, 10*time.Minute), time.Now().Add(d))
		}
		began := time.Now()
		if _, err := k.Token(patient(time.Second)); err == nil || time.Since(began) > 0 {
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
		i.set(func() { i.before, i.latency = nil, 5*time.Second })
		// an attempt that is under way is worth the wait, for what is done behind
		if tok, err := k.Token(patient(4 * time.Second)); err != nil || tok.Generation != 1 || time.Since(began) < 5*time.Second {
			t.Fatalf("after %v: %v, %v", time.Since(began), tok, err)
		}
	})
}

func TestRequestEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newIssuer()
		i.latency = 5 * time.Second
		k, _ := keeping(t, testPolicy(), i, newMemory())
		began := time.Now()
		_, err := k.Token(within(t, time.Second))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
		if !strings.HasPrefix(err.Error(), "no token from crm: ") {
			t.Errorf("error %q", err)
		}
		// the renewal goes on for others
		time.Sleep(5 * time.Second)
		if k.Current() == nil || i.calls() != 1 {
			t.Errorf("%v after %d calls", k.Current(), i.calls())
		}
	})
}
