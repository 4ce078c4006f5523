package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// ErrQueueing says that earlier waits for locks were given up, but the storage
// didn't notice; another one would only pile up.
var ErrQueueing = errors.New("an abandoned wait for the lock still lasts")

// Lease is a storage's lock, or the wait for it. A lock is a hint: some storages'
// locks exclude nobody, and others stay locked forever after a crash. What follows
// the lock must be right without it.
type Lease struct {
	storage Storage
	name    string
	// The context outlives the critical section: the Redis storage refreshes a lock
	// only while the context of Lock lives.
	ctx    context.Context
	cancel context.CancelFunc
	got    chan error
	fate   atomic.Int32
	err    error // what Lock returned, once fate is lockDecided
}

// What became of a wait for a lock.
const (
	lockAwaited int32 = iota
	lockDecided
	lockAbandoned
)

// Lock starts to wait for a lock. The result comes on Got; after nil there, Release
// must be called, after an error nothing, and without waiting for it Abandon.
func (s Storage) Lock(name string) *Lease {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Lease{storage: s, name: name, ctx: ctx, cancel: cancel, got: make(chan error, 1)}
	if s.Health.abandoned.Load() >= max(1, s.Health.MaxAbandoned) {
		l.decide(ErrQueueing)
		return l
	}
	go func() {
		err := Recover(func() error { return s.Backend.Lock(ctx, name) })
		if l.decide(err) {
			return
		}
		s.Health.abandoned.Add(-1)
		if err == nil {
			_ = l.Release() // it came too late; nobody else frees it
		}
	}()
	return l
}

// decide ends the wait, unless it was abandoned.
func (l *Lease) decide(err error) bool {
	l.err = err
	if !l.fate.CompareAndSwap(lockAwaited, lockDecided) {
		return false
	}
	if err != nil {
		l.cancel() // there is nothing to keep or to free
	}
	l.got <- err
	return true
}

// Got receives what became of the lock: nil when it is held, or an error.
func (l *Lease) Got() <-chan error { return l.got }

// Abandon gives up waiting. A lock that is gained nevertheless is freed.
func (l *Lease) Abandon() {
	l.storage.Health.abandoned.Add(1)
	if l.fate.CompareAndSwap(lockAwaited, lockAbandoned) {
		l.cancel()
		return
	}
	l.storage.Health.abandoned.Add(-1)
	if l.err == nil {
		_ = l.Release()
	}
}

// Wait waits for the lock for so long, and abandons it then.
func (l *Lease) Wait(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case err := <-l.got:
		return err
	case <-ctx.Done():
		l.Abandon()
		return ctx.Err()
	}
}

// Release frees the lock after the critical section. It does so even when the
// storage hung just now: an unlock left out is a lock that stays as long as this
// process lives.
func (l *Lease) Release() error {
	defer l.cancel()
	h := l.storage.Health
	_, err := bounded(context.Background(), h, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, l.storage.Backend.Unlock(ctx, l.name)
	}, &h.abandoned)
	if err != nil {
		return fmt.Errorf("unlocking: %w", err)
	}
	return nil
}

// ErrNoExclusion is what TestLock is for.
var ErrNoExclusion = errors.New("the storage's lock was given out twice")

// TestLock takes a lock of a random name and tries to take it again. It returns
// ErrNoExclusion when that works, another error when the lock itself fails, and nil when
// the lock excludes others. name gives the random text the form of the caller's names.
func (s Storage) TestLock(ctx context.Context, name func(of string) string) error {
	random := name("test\x00" + rand.Text())
	first := s.Lock(random)
	if err := first.Wait(ctx, Limit); err != nil {
		return err
	}
	second := s.Lock(random)
	if second.Wait(ctx, 200*time.Millisecond) == nil {
		return errors.Join(ErrNoExclusion, second.Release(), first.Release())
	}
	return first.Release()
}
