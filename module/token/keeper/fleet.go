package keeper

import (
	"context"
	"crypto/rand"
	"math"
	"time"

	"github.com/switchboard-ivr/switchboard/module/token"

	"go.uber.org/zap"
)

// This file is how instances that share a storage keep out of each other's way:
// by its lock where it is one, by marks in the record, by reading again.

const (
	// lockPatience bounds the wait for the storage's lock.
	lockWait = 15 * time.Second
	// lockErrorPatience bounds it when the storage gives errors: some storages
	// answer so when the lock is held, others when they are broken.
	lockErrorWait = 5 * time.Second
	// markPatience is how long a caller without a token is kept waiting because
	// another instance has begun a call; with a token it is the call's time-out.
	markWait = 2 * time.Second
	// markSettles is longer than an instance takes from reading the record to
	// writing its mark.
	markSettles = 100 * time.Millisecond
)

// newID tells instances apart, and a process from the one before a crash.
func newID() string { return rand.Text() }

// exclusive waits for the storage's lock, bounded, and reads the vault while
// it waits: usually the holder of the lock is getting the very token. Without
// the lock at the end, the renewal goes on without it.
func (k *Keeper) acquireLock(ctx context.Context, v *store, f *inflight) (unlock func(), o outcome, done bool) {
	nothing := func() {}
	if v.Health.Down() {
		return nothing, o, false
	}
	log := k.env.Load().Logger
	patience := time.NewTimer(lockWait)
	defer patience.Stop()
	began := time.Now()
	l := v.Lock(v.lockName)
	got := l.Got()
	for {
		poll := time.NewTimer(k.pollInterval())
		select {
		case err := <-got:
			poll.Stop()
			if err == nil {
				v.lockDoubt.Store(false)
				return func() {
					if err := l.Release(); err != nil {
						log.Warn("token lock not released", zap.Error(err))
					}
				}, o, false
			}
			got = nil
			if v.lockDoubt.Load() || time.Since(began) > lockErrorWait {
				v.lockDoubt.Store(true)
				log.Warn("renewing without the storage's lock", zap.Error(err))
				return nothing, o, false
			}
		case <-poll.C:
			if o, done := k.checkStore(ctx, v, f); done {
				l.Abandon()
				return nothing, o, true
			}
			if got == nil {
				l = v.Lock(v.lockName)
				got = l.Got()
			}
		case <-patience.C:
			poll.Stop()
			l.Abandon()
			log.Warn("renewing without the storage's lock: it is held for too long")
			return nothing, o, false
		case <-ctx.Done():
			poll.Stop()
			l.Abandon()
			return nothing, outcome{how: howAdopt, err: ctx.Err()}, true
		}
	}
}

// marked is how long ago another instance began a call that it hasn't ended
// with a new record; very long when there is none. The caller holds k.mu.
func (k *Keeper) sinceMark(now time.Time) time.Duration {
	if k.record.CallBy == k.id {
		return math.MaxInt64
	}
	return now.Sub(k.record.CallAt).Abs()
}

// turn looks whether a renewal is still needed, now that others may have had
// the lock. Unless the lock is known to be one, it then makes sure in another
// way that this instance is alone: it leaves its mark, waits longer than a read
// and a write take, and goes on only if the mark is still its own. Of all who
// saw no mark at the same time, the last to write goes on.
func (k *Keeper) waitTurn(ctx context.Context, v *store, f *inflight) (outcome, bool) {
	for {
		if o, done := k.waitForOthers(ctx, v, f); done || f.forced || k.lockExcludes.Load() {
			return o, done
		}
		if !k.markCall(ctx, v, "") {
			return outcome{}, false // not stored: nobody sees it
		}
		if err := sleep(ctx, markSettles); err != nil {
			return outcome{how: howAdopt, err: err}, true
		}
		if o, done := k.checkStore(ctx, v, f); done {
			return o, true
		}
		k.mu.Lock()
		mine := k.record.CallBy == k.id
		k.mu.Unlock()
		if mine {
			return outcome{}, false
		}
	}
}

// afterMark looks until no other instance is in the middle of a call, or has
// been for too long.
func (k *Keeper) waitForOthers(ctx context.Context, v *store, f *inflight) (outcome, bool) {
	for {
		if o, done := k.checkStore(ctx, v, f); done {
			return o, true
		}
		k.mu.Lock()
		free := f.forced || k.sinceMark(k.now()) >= markWait
		k.mu.Unlock()
		if free {
			return outcome{}, false
		}
		if err := sleep(ctx, k.pollInterval()); err != nil {
			return outcome{how: howAdopt, err: err}, true
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// napTime is the time between two looks into the vault: 50 to 250 ms.
func (k *Keeper) pollInterval() time.Duration {
	return 50*time.Millisecond + scale(200*time.Millisecond, k.random())
}

// read loads the record and adopts it if it is newer; then it gives its token.
// A record that can't be read is as good as none: it is replaced in time.
func (k *Keeper) loadStored(ctx context.Context, v *store) *token.Token {
	stored, err := v.load(ctx)
	if err != nil && ctx.Err() == nil {
		log := k.env.Load().Logger.Debug
		if k.unreadable.CompareAndSwap(false, true) {
			log = k.env.Load().Logger.Warn
		}
		log("token record not usable", zap.Error(err))
		return nil
	}
	if err != nil {
		return nil
	}
	k.unreadable.Store(false)
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.applyStored(stored)
}

// adopt takes over what the vault knows better. The caller holds k.mu.
func (k *Keeper) applyStored(stored *record) *token.Token {
	if stored == nil {
		return nil
	}
	blind := k.seen == 0
	defer func() { k.ownSkew = true }()
	k.seen = max(k.seen, stored.Generation)
	now := k.now()
	if blind && k.record.valid(now) {
		// Ours was made while the vault couldn't be read, so it is the later
		// one. It takes the number after the stored one's, and is stored.
		k.record.Generation = max(k.record.Generation, stored.Generation+1)
		k.current.Store(k.record.token())
		return nil
	}
	if !stored.newer(&k.record) {
		if stored.Generation == k.record.Generation {
			k.record.merge(stored)
			k.unsaved = false
		}
		return nil
	}
	if !stored.valid(now) && k.record.valid(now) {
		return nil
	}
	r := *stored
	if k.ownSkew {
		r.Skew = k.record.Skew // each machine has its own clock
	}
	r.Died = later(r.Died, k.record.Died)
	if r.Generation == k.record.Generation {
		r.Generation++ // here, the generation names another token already
	}
	k.unsaved = false
	if r.valid(now) {
		return k.publish(r)
	}
	k.record = r
	return nil
}
