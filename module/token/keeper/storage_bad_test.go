package keeper

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/switchboard-ivr/switchboard/module/storage"
)

// What a token call gave is stored although the renewal's time is over.
func TestSaveOutlivesTheRenewal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := newMemory(), testPolicy()
		s.hook = func(ctx context.Context, _ string) error { return ctx.Err() }
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := newStore(s, &p).save(ctx, &record{Generation: 4}); err != nil {
			t.Fatal(err)
		}
		if r := s.stored(t, p); r == nil || r.Generation != 4 {
			t.Errorf("stored %+v", r)
		}
	})
}

// A storage that can't be written costs nobody a token.
func TestStoreFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newMemory()
		s.hook = func(_ context.Context, op string) error {
			if op == "Store" {
				return errDisk
			}
			return nil
		}
		k, l := keeping(t, testPolicy(), i, s)
		k.Start()
		tok := must(t, k)
		time.Sleep(5 * time.Minute)
		if must(t, k) != tok || i.calls() != 1 {
			t.Error("the token was dropped")
		}
		if n := l.count(zapcore.ErrorLevel, "token not stored"); n != 1 {
			t.Errorf("%d alarms", n)
		}
		s.setHook(nil)
		time.Sleep(time.Minute)
		if r := s.stored(t, testPolicy()); r == nil || r.Access != tok.Access {
			t.Error("not stored when that was possible again")
		}
		if l.count(zapcore.InfoLevel, "stored at last") != 1 {
			t.Error("nobody was told")
		}
	})
}

// A reload with another storage takes the token along; one with the same
// storage writes nothing.
func TestStorageChanges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newMemory()
		k, l := keeping(t, testPolicy(), i, s)
		tok := must(t, k)
		time.Sleep(time.Second)
		before := s.count("Store")
		for range 60 {
			k.Attach(Env{Storage: s, Logger: l.logger})
			time.Sleep(time.Second)
		}
		if n := s.count("Store") - before; n != 0 {
			t.Errorf("%d stores in 60 reloads", n)
		}
		other := newMemory()
		k.Attach(Env{Storage: other, Logger: l.logger})
		time.Sleep(time.Second)
		if r := other.stored(t, testPolicy()); r == nil || r.Access != tok.Access {
			t.Errorf("stored is %+v", r)
		}
		if k.Current() != tok || i.calls() != 1 {
			t.Error("the reload cost a token")
		}
	})
}

// While a token couldn't be stored, somebody stored a later one that is dead
// by now. Ours isn't put in its place, and nobody tries again and again.
func TestLateRecordIsNotStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newMemory()
		k, _ := keeping(t, testPolicy(), i, s)
		must(t, k)
		time.Sleep(time.Second)
		s.setHook(func(_ context.Context, op string) error {
			if op == "Store" {
				return errDisk
			}
			return nil
		})
		if err := k.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.setHook(nil)
		p := testPolicy()
		theirs := k.snapshot()
		theirs.Generation, theirs.Access, theirs.Dead = 9, "theirs", true
		if err := newStore(s, &p).save(t.Context(), &theirs); err != nil {
			t.Fatal(err)
		}
		before := s.count("Load")
		time.Sleep(10 * time.Minute)
		if n := s.count("Load") - before; n > 2 {
			t.Errorf("%d loads in 10 minutes", n)
		}
		if r := s.stored(t, p); r.Generation != 9 {
			t.Errorf("generation %d was stored over 9", r.Generation)
		}
	})
}

// Whatever a storage does, there are tokens, within the time that it may take.
func TestBadStorage(t *testing.T) {
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	tests := map[string]struct {
		hook   func(release chan struct{}) func(context.Context, string) error
		within time.Duration
	}{
		"every operation fails": {func(chan struct{}) func(context.Context, string) error {
			return func(context.Context, string) error { return errDisk }
		}, lockErrorWait + time.Second},
		"every operation panics": {func(chan struct{}) func(context.Context, string) error {
			return func(context.Context, string) error { panic("storage") }
		}, lockErrorWait + time.Second},
		"every operation hangs": {func(chan struct{}) func(context.Context, string) error {
			return func(ctx context.Context, _ string) error { return hang(ctx) }
		}, storage.Limit + time.Second},
		"every operation hangs and ignores its context": {func(release chan struct{}) func(context.Context, string) error {
			return func(context.Context, string) error { <-release; return errDisk }
		}, storage.Limit + time.Second},
		"the lock hangs": {func(chan struct{}) func(context.Context, string) error {
			return func(ctx context.Context, op string) error {
				if op == "Lock" {
					return hang(ctx)
				}
				return nil
			}
		}, lockWait + time.Second},
		"the lock hangs and ignores its context": {func(release chan struct{}) func(context.Context, string) error {
			return func(_ context.Context, op string) error {
				if op == "Lock" {
					<-release
				}
				return nil
			}
		}, lockWait + time.Second},
		"unlocking hangs": {func(chan struct{}) func(context.Context, string) error {
			return func(ctx context.Context, op string) error {
				if op == "Unlock" {
					return hang(ctx)
				}
				return nil
			}
		}, time.Second},
		"slow": {func(chan struct{}) func(context.Context, string) error {
			return func(ctx context.Context, _ string) error { return pause(ctx, 500*time.Millisecond) }
		}, 4 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				release := make(chan struct{})
				i, s := newIssuer(), newMemory()
				s.hook = tt.hook(release)
				k, _ := keeping(t, testPolicy(), i, s)
				t.Cleanup(func() { close(release) })
				k.Start()
				tok, err := k.Token(within(t, tt.within))
				if err != nil {
					t.Fatal(err)
				}
				// a day, and nobody waits
				for end := time.Now().Add(24 * time.Hour); time.Now().Before(end); time.Sleep(time.Minute) {
					if k.Current() == nil {
						t.Fatalf("no token %v before the next", time.Since(tok.Expires))
					}
				}
				if n := i.calls(); n > 20 {
					t.Errorf("%d token calls in a day", n)
				}
				if n := s.count("Lock"); n > 200 {
					t.Errorf("%d locks in a day", n)
				}
				if n := k.env.Load().store.Health.AbandonedLocks(); n > 2 || n > 0 && !strings.Contains(name, "ignores") {
					t.Errorf("%d abandoned waits", n)
				}
			})
		})
	}
}

func TestStorageThatKeepsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newMemory()
		s.noop, s.noLock = true, true
		k, _ := keeping(t, testPolicy(), i, s)
		k.Start()
		must(t, k)
		time.Sleep(24 * time.Hour)
		if k.Current() == nil || i.calls() > 14 || i.calls(howObtain) != 1 {
			t.Errorf("%d calls", i.calls())
		}
	})
}
