package issuer

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLockIsFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		in := start(t, storage)
		p := in.obtain()
		for range 3 {
			p = in.refreshed(p.RefreshToken)
		}
		if n := storage.heldLocks(); n != 0 {
			t.Errorf("%d locks are still held", n)
		}
		if n := storage.count("lock"); n != 4 {
			t.Errorf("%d locks taken, want 4", n)
		}
	})
}

// A process that died holds the lock for ever.
func TestLockThatNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		in := start(t, storage)
		p := in.obtain()
		for _, name := range storage.names() {
			if err := storage.Lock(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		in.refreshed(p.RefreshToken)
		if took := time.Since(began); took != lockWait {
			t.Errorf("took %s, want %s", took, lockWait)
		}
		for _, name := range storage.names() {
			if err := storage.Unlock(t.Context(), name); err != nil {
				t.Errorf("another's lock was freed: %v", err)
			}
		}
		synctest.Wait()
		if n := in.state.health.AbandonedLocks(); n != 0 {
			t.Errorf("%d waits are left", n)
		}
	})
}

// A lock that ignores its context and comes after nobody waits for it.
func TestLockThatComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		in := start(t, storage)
		p := in.obtain()
		storage.fault(func(context.Context) error { time.Sleep(time.Minute); return nil }, "lock")
		in.refreshed(p.RefreshToken)
		synctest.Wait()
		if n := in.state.health.AbandonedLocks(); n != 1 {
			t.Errorf("%d waits, want 1", n)
		}
		time.Sleep(time.Hour)
		if storage.heldLocks() != 0 || in.state.health.AbandonedLocks() != 0 {
			t.Errorf("%d locks held, %d waits", storage.heldLocks(), in.state.health.AbandonedLocks())
		}
	})
}

func TestLockThatFails(t *testing.T) {
	storage := newMemory()
	in := start(t, storage)
	storage.fault(fails, "lock", "unlock")
	p := in.obtain()
	if p = in.refreshed(p.RefreshToken); !in.takes(p.AccessToken) {
		t.Error("the token doesn't open")
	}
}

func TestUnlockThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		in := start(t, storage)
		storage.fault(hangs, "unlock")
		began := time.Now()
		in.obtain()
		if took := time.Since(began); took > unlockWait {
			t.Errorf("the answer waited %s for the unlock", took)
		}
	})
}

// A caller who leaves while the lock is awaited ends nothing but his own wait.
func TestLockOutlivesTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		in := start(t, storage)
		p := in.obtain()
		storage.fault(func(context.Context) error { time.Sleep(time.Second); return nil }, "lock")
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := in.Refresh(ctx, map[string]any{"refresh_token": p.RefreshToken}); err == nil {
			t.Fatal("no error")
		}
		again := in.refreshed(p.RefreshToken)
		if storage.count("store") != 2 || !in.takes(again.AccessToken) {
			t.Errorf("%d stores", storage.count("store"))
		}
	})
}

// Locks that never end pile up to a bound.
func TestLooseLocksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		in := start(t, storage)
		free := make(chan struct{})
		storage.fault(func(context.Context) error { <-free; return nil }, "lock")
		for range 3 {
			var wg sync.WaitGroup
			for range maxLooseLocks {
				wg.Go(func() { in.obtain() })
			}
			wg.Wait()
		}
		if n := storage.count("lock"); n > 2*maxLooseLocks {
			t.Errorf("%d goroutines wait for locks", n)
		}
		close(free)
	})
}
