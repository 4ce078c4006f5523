package storage

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s := on(m)
		first := s.Lock("a")
		if err := first.Wait(t.Context(), time.Second); err != nil {
			t.Fatal(err)
		}
		if err := s.Lock("a").Wait(t.Context(), time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a lock that is held: %v", err)
		}
		if err := first.Release(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		third := s.Lock("a")
		if err := <-third.Got(); err != nil {
			t.Errorf("after the release: %v", err)
		}
		if err := third.Release(); err != nil || m.held() != 0 || s.Health.AbandonedLocks() != 0 {
			t.Errorf("%v, %d held, %d abandoned", err, m.held(), s.Health.AbandonedLocks())
		}
	})
}

// Some locks refresh themselves only as long as the context of Lock lives.
func TestLockContextOutlivesLock(t *testing.T) {
	contexts := make(chan context.Context, 1)
	m := newMemory()
	m.hook = func(ctx context.Context, op string) error {
		if op == "lock" {
			contexts <- ctx
		}
		return nil
	}
	l := on(m).Lock("a")
	err := l.Wait(t.Context(), time.Second)
	held := <-contexts
	if err != nil || held.Err() != nil {
		t.Errorf("%v; the lock's context: %v", err, held.Err())
	}
	if err := l.Release(); err != nil || held.Err() == nil {
		t.Errorf("%v; the context lives after the release", err)
	}
}

// A lock that is gained after nobody waits any more is given back. Until then no
// other is waited for.
func TestAbandonedLockIsFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, release := newMemory(), make(chan struct{})
		s := on(m)
		m.hook = func(_ context.Context, op string) error {
			if op == "lock" {
				<-release
			}
			return nil
		}
		s.Lock("a").Abandon()
		if err := <-s.Lock("a").Got(); !errors.Is(err, ErrQueueing) {
			t.Errorf("queueing: %v", err)
		}
		close(release)
		synctest.Wait()
		if m.held() != 0 || s.Health.AbandonedLocks() != 0 {
			t.Errorf("%d locks held", m.held())
		}
		again := s.Lock("a")
		synctest.Wait()
		again.Abandon() // it had come already
		if m.held() != 0 {
			t.Error("not freed")
		}
	})
}

// An unlock that hangs is bounded too, and counts as a lock that is still busy.
func TestUnlockHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, release := newMemory(), make(chan struct{})
		s := on(m)
		m.hook = func(_ context.Context, op string) error {
			if op == "unlock" {
				<-release
			}
			return nil
		}
		l := s.Lock("a")
		if err := l.Wait(t.Context(), time.Second); err != nil {
			t.Fatal(err)
		}
		if err := l.Release(); !errors.Is(err, ErrDown) || s.Health.AbandonedLocks() != 1 {
			t.Errorf("%v, %d abandoned", err, s.Health.AbandonedLocks())
		}
		close(release)
		synctest.Wait()
		if m.held() != 0 || s.Health.AbandonedLocks() != 0 {
			t.Errorf("%d held, %d abandoned", m.held(), s.Health.AbandonedLocks())
		}
	})
}

func TestTestLock(t *testing.T) {
	name := func(of string) string { return of }
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		if err := on(m).TestLock(t.Context(), name); err != nil {
			t.Errorf("a lock: %v", err)
		}
		m.hook = func(_ context.Context, op string) error {
			if op == "lock" {
				return errors.ErrUnsupported
			}
			return nil
		}
		if err := on(m).TestLock(t.Context(), name); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("a lock that fails: %v", err)
		}
		if err := (Storage{Backend: noLock{newMemory()}, Health: new(Health)}).TestLock(t.Context(), name); !errors.Is(err, ErrNoExclusion) {
			t.Errorf("no lock: %v", err)
		}
		synctest.Wait()
		if m.held() != 0 {
			t.Errorf("%d locks left", m.held())
		}
	})
}

// noLock gives its locks to everybody.
type noLock struct{ *memory }

func (noLock) Lock(context.Context, string) error   { return nil }
func (noLock) Unlock(context.Context, string) error { return nil }
