package token

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"
)

// errQueueing: an earlier wait for the lock was given up, but the storage
// didn't notice; another one would only pile up.
var errQueueing = errors.New("an abandoned wait for the lock still lasts")

// lease is the storage's lock, or the wait for it. A lock is a hint: some
// storages' locks exclude nobody, and others stay locked forever. What follows the lock must be right without it.
type lease struct {
	v      *vault
	name   string
	ctx    context.Context // outlives the critical section: redis refreshes a lock only while it lives
	cancel context.CancelFunc
	got    chan error // what Lock returned, unless abandoned before; nil once dropped

	mu        sync.Mutex
	abandoned bool
}

// lock starts to wait for the lock. The result comes on lease.got; then either
// release or abandon must be called.
func (v *vault) lock(name string) *lease {
	ctx, cancel := context.WithCancel(context.Background())
	l := &lease{v: v, name: name, ctx: ctx, cancel: cancel, got: make(chan error, 1)}
	if v.queueing.Load() > 0 {
		l.got <- errQueueing
		return l
	}
	go l.wait()
	return l
}

func (l *lease) wait() {
	err := recovered(func() error { return l.v.storage.Lock(l.ctx, l.name) })
	l.mu.Lock()
	abandoned := l.abandoned
	if !abandoned {
		l.got <- err
	}
	l.mu.Unlock()
	if abandoned {
		l.v.queueing.Add(-1)
		if err == nil {
			_ = l.unlock() // it came too late; nobody else frees it
		}
	}
}

// drop is for when Lock gave an error: there is nothing to wait for or to free.
func (l *lease) drop() {
	l.cancel()
	l.got = nil
}

// abandon gives up waiting. A lock that is gained nevertheless is freed.
func (l *lease) abandon() {
	l.cancel()
	if l.got == nil {
		return
	}
	l.mu.Lock()
	var err error
	decided := true
	select {
	case err = <-l.got:
	default:
		decided = false
		l.abandoned = true
		l.v.queueing.Add(1)
	}
	l.mu.Unlock()
	if decided && err == nil {
		_ = l.unlock()
	}
}

// release frees the lock after the critical section.
func (l *lease) release() error {
	defer l.cancel()
	return l.unlock()
}

func (l *lease) unlock() error {
	// Even when the storage hung just now: an unlock left out is a lock that
	// stays as long as this process lives.
	_, err := insist(context.Background(), l.v, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, l.v.storage.Unlock(ctx, l.name)
	})
	if err != nil {
		return fmt.Errorf("unlocking: %w", err)
	}
	return nil
}

// errNoExclusion is what the self-test is for.
var errNoExclusion = errors.New("the storage's lock was given out twice")

// testLock takes a lock of a random name and tries to take it again.
// It gives errNoExclusion when that works, another error when the lock itself
// fails, nil when the lock is a lock.
func (v *vault) testLock(ctx context.Context) error {
	name := storageName("test\x00" + rand.Text())
	first := v.lock(name)
	if err := first.within(ctx, storageLimit); err != nil {
		return err
	}
	second := v.lock(name)
	err := second.within(ctx, 200*time.Millisecond)
	if err == nil {
		return errors.Join(errNoExclusion, second.release(), first.release())
	}
	return first.release()
}

// within waits for the lock for so long, and abandons it then.
func (l *lease) within(ctx context.Context, limit time.Duration) error {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case err := <-l.got:
		if err != nil {
			l.drop()
		}
		return err
	case <-t.C:
		l.abandon()
		return context.DeadlineExceeded
	case <-ctx.Done():
		l.abandon()
		return ctx.Err()
	}
}
