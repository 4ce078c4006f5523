package keeper

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zapcore"
)

func TestColdSource(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := testPolicy()
		p.Warm = false
		i, s := newIssuer(), newMemory()
		k, _ := keeping(t, p, i, s)
		if st := k.State(); st.Phase != "none" || !st.NextAttempt.IsZero() {
			t.Errorf("state %+v", st)
		}
		k.Start()
		time.Sleep(time.Hour)
		if i.calls() != 0 || s.count("Load") != 1 {
			t.Errorf("unused, but %d calls and %d loads", i.calls(), s.count("Load"))
		}
		must(t, k)
		time.Sleep(24 * time.Hour)
		if k.Current() == nil {
			t.Error("used, but not kept fresh")
		}
	})
}

func TestWarmSourceObtainsBeforeTheFirstRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newIssuer()
		k, _ := keeping(t, testPolicy(), i, newMemory())
		k.Start()
		time.Sleep(75 * time.Millisecond)
		synctest.Wait()
		if s := k.State(); s.Phase != "obtaining" {
			t.Errorf("phase %s", s.Phase)
		}
		time.Sleep(time.Second)
		if k.Current() == nil {
			t.Fatal("no token")
		}
		s := k.State()
		if s.Phase != "fresh" || s.Name != "crm" || s.Generation != 1 || len(s.Fingerprint) != 8 || s.Expires != k.Current().Expires || s.NextAttempt.IsZero() {
			t.Errorf("state %+v", s)
		}
		for k.State().Phase == "fresh" {
			time.Sleep(time.Second)
		}
		if p := k.State().Phase; p != "due" {
			t.Errorf("phase %s", p)
		}
	})
}

func TestStaticToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := testPolicy()
		p.Static = "fixed"
		k, l := keeping(t, p, nil, newMemory())
		k.Start()
		for range 5 {
			tok := must(t, k)
			if tok.Access != "fixed" || tok != k.Current() {
				t.Fatalf("token %v", tok)
			}
			k.Invalidate(tok.Generation, 0, "status 401")
		}
		if n := l.count(zapcore.WarnLevel, "static"); n != 1 {
			t.Errorf("%d warnings in a minute", n)
		}
		if err := k.Renew(t.Context()); err == nil {
			t.Error("Renew of a static token gave no error")
		}
		if s := k.State(); !s.Static || s.Phase != "fresh" || !s.NextAttempt.IsZero() {
			t.Errorf("state %+v", s)
		}
		if err := k.Destruct(); err != nil {
			t.Error(err)
		}
	})
}

func TestSourceWithoutEndpoint(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k, _ := keeping(t, testPolicy(), &issuer{noObtain: true, noRefresh: true}, nil)
		k.Start()
		if _, err := k.Token(t.Context()); !errors.Is(err, errNothing) {
			t.Errorf("Token: %v", err)
		}
		if err := k.Renew(t.Context()); err == nil {
			t.Error("Renew gave no error")
		}
	})
}

func TestAttachComesLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newMemory()
		before, _ := keeping(t, testPolicy(), i, s)
		must(t, before)

		// a request before the app started: the record saves the call
		k := New(testPolicy(), i)
		defer func() { _ = k.Destruct() }()
		time.AfterFunc(time.Second, func() { k.Attach(Env{Storage: s}) })
		if tok := must(t, k); tok.Generation != 1 || i.calls() != 1 {
			t.Errorf("generation %d after %d calls", tok.Generation, i.calls())
		}

		// nobody attaches: memory only, after the grace
		alone := New(testPolicy(), i)
		defer func() { _ = alone.Destruct() }()
		if tok, err := alone.Token(within(t, 5*time.Second)); err != nil || tok.Generation != 1 || i.calls() != 2 {
			t.Errorf("%v, %v", tok, err)
		}
		// what it got is stored as soon as there is a storage
		other := newMemory()
		alone.Attach(Env{Storage: other})
		time.Sleep(time.Second)
		if r := other.stored(t, testPolicy()); r == nil || r.Access != alone.Current().Access {
			t.Error("not stored after the storage came")
		}
	})
}

func TestDestruct(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newIssuer()
		k, _ := keeping(t, testPolicy(), i, newMemory())
		first := must(t, k)
		began := time.Now()
		if err := errors.Join(k.Destruct(), k.Destruct()); err != nil || time.Since(began) > 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		k.Start()
		if must(t, k) != first {
			t.Error("the token is gone")
		}
		time.Sleep(2 * time.Hour)
		if i.calls() != 1 {
			t.Error("the loop lives on")
		}
		if tok := must(t, k); tok.Generation != 2 {
			t.Errorf("generation %d on demand", tok.Generation)
		}
	})
}

// A keeper that was let go before it was used gives tokens, but has no loop.
func TestDestructBeforeStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newIssuer()
		k, _ := keeping(t, testPolicy(), i, newMemory())
		_ = k.Destruct()
		must(t, k)
		time.Sleep(3 * time.Hour)
		if i.calls() != 1 {
			t.Errorf("%d calls", i.calls())
		}
	})
}

func TestRenew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newIssuer()
		s := newMemory()
		s.hook = func(ctx context.Context, op string) error {
			if op == "Unlock" {
				return pause(ctx, 100*time.Millisecond)
			}
			return nil
		}
		k, _ := keeping(t, testPolicy(), i, s)
		must(t, k) // the renewal that gave it still has to give the lock back
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if err := k.Renew(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if tok := must(t, k); tok.Generation != 2 || i.calls() != 2 {
			t.Errorf("generation %d after %d calls", tok.Generation, i.calls())
		}

		// it doesn't mind the back-off
		i.set(func() { i.before = down })
		if err := k.Renew(t.Context()); err == nil {
			t.Error("no error from a dead endpoint")
		}
		i.set(func() { i.before = nil })
		if err := k.Renew(t.Context()); err != nil {
			t.Error(err)
		}
		if err := k.Renew(within(t, time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Renew: %v", err)
		}
		time.Sleep(time.Second)
	})
}
