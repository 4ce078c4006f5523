package issuer

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// lockPatience bounds the wait for a storage's lock. Some are never freed,
	// others exclude nobody: a lock is a hint, and what follows it must be right
	// without it.
	lockPatience = 2 * time.Second
	// unlockPatience is how long an answer waits for the unlock, unlockLimit how
	// long the unlock may take.
	unlockPatience = 100 * time.Millisecond
	unlockLimit    = 5 * time.Second
	// mostLoose is how many locks and unlocks may be under way that nobody waits
	// for any more. With so many the storage's locks are broken, and left alone.
	mostLoose = 64
)

// What became of a wait for a lock.
const (
	lockAwaited int32 = iota
	lockDecided
	lockGivenUp
)

// lock waits for a family's lock, and goes on without it when it doesn't come.
// The returned function frees it.
func (s *state) lock(ctx context.Context, st store, of lineage) (unlock func()) {
	if s.loose.Load() >= mostLoose {
		return func() {}
	}
	name := st.name(of)
	// It outlives the critical section: redis refreshes a lock only while its
	// context lives.
	held, cancel := context.WithCancel(context.WithoutCancel(ctx))
	free := func() {
		limited, done := context.WithTimeout(context.WithoutCancel(ctx), unlockLimit)
		defer done()
		_ = recovered(func() error { return st.storage.Unlock(limited, name) })
		cancel()
		s.loose.Add(-1)
	}

	var fate atomic.Int32
	got := make(chan error, 1)
	go func() {
		err := recovered(func() error { return st.storage.Lock(held, name) })
		switch {
		case fate.CompareAndSwap(lockAwaited, lockDecided):
			got <- err
		case err == nil:
			free() // it came too late; nobody else frees it
		default:
			s.loose.Add(-1)
		}
	}()

	timer := time.NewTimer(lockPatience)
	defer timer.Stop()
	select {
	case err := <-got:
		return s.decided(err, free, cancel)
	case <-timer.C:
	case <-ctx.Done():
	}
	s.loose.Add(1)
	if !fate.CompareAndSwap(lockAwaited, lockGivenUp) {
		s.loose.Add(-1)
		return s.decided(<-got, free, cancel)
	}
	cancel()
	return func() {}
}

func (s *state) decided(err error, free, cancel func()) (unlock func()) {
	if err != nil {
		cancel()
		return func() {}
	}
	return func() {
		s.loose.Add(1)
		done := make(chan struct{})
		go func() {
			defer close(done)
			free()
		}()
		timer := time.NewTimer(unlockPatience)
		defer timer.Stop()
		select {
		case <-done:
		case <-timer.C:
		}
	}
}
