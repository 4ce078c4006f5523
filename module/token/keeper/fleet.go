package keeper

import (
	"context"
	"math"
	"time"

	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// This file is how instances that share a storage keep out of each other's way:
// by its lock where it is one, by marks in the record, by reading again.

const (
	// lockWait bounds the wait for the storage's lock.
	lockWait = 15 * time.Second
	// lockErrorWait bounds it when the storage gives errors: some storages
	// answer so when the lock is held, others when they are broken.
	lockErrorWait = 5 * time.Second
	// markWait is how long a caller without a token is kept waiting because
	// another instance has begun a call; with a token it is the call's time-out.
	markWait = 2 * time.Second
	// markSettles is longer than an instance takes from reading the record to
	// writing its mark.
	markSettles = 100 * time.Millisecond
)

// acquireLock waits for the storage's lock, for a limited time, and reads the store
// while it waits: usually the holder of the lock is getting the token that this
// renewal is for. If the lock doesn't come, the renewal goes on without it.
func (k *Keeper) acquireLock(ctx context.Context, f *inflight) (unlock func(), o outcome, done bool) {
	nothing, st := func() {}, f.store
	if st.Health.Down() {
		return nothing, o, false
	}
	log := k.env.Load().Logger
	tooLong := time.After(lockWait)
	began := time.Now()
	l := st.Lock(st.lockName)
	got := l.Got()
	for {
		select {
		case err := <-got:
			if err == nil {
				st.lockDoubt.Store(false)
				return func() {
					if err := l.Release(); err != nil {
						log.Warn("token lock not released", zap.Error(err))
					}
				}, o, false
			}
			got = nil
			if st.lockDoubt.Load() || time.Since(began) > lockErrorWait {
				st.lockDoubt.Store(true)
				log.Warn("renewing without the storage's lock", zap.Error(err))
				return nothing, o, false
			}
		case <-time.After(k.pollInterval()):
			if o, done := k.checkStore(ctx, f); done {
				l.Abandon()
				return nothing, o, true
			}
			if got == nil {
				l = st.Lock(st.lockName)
				got = l.Got()
			}
		case <-tooLong:
			l.Abandon()
			log.Warn("renewing without the storage's lock: it is held for too long")
			return nothing, o, false
		case <-ctx.Done():
			l.Abandon()
			return nothing, outcome{how: howAdopt, err: ctx.Err()}, true
		}
	}
}

// sinceMark returns how long ago another instance began a call that it hasn't ended
// with a new record; very long when there is none. The caller holds k.mu.
func (k *Keeper) sinceMark(now time.Time) time.Duration {
	if k.record.CallBy == k.id {
		return math.MaxInt64
	}
	return now.Sub(k.record.CallAt).Abs()
}

// waitTurn checks whether a renewal is still needed, now that others may have had
// the lock. Unless the lock is known to be one, it then makes sure in another
// way that this instance is alone: it leaves its mark, waits longer than a read
// and a write take, and goes on only if the mark is still its own. Of all who
// saw no mark at the same time, the last to write goes on.
func (k *Keeper) waitTurn(ctx context.Context, f *inflight) (outcome, bool) {
	for {
		if o, done := k.waitForOthers(ctx, f); done || f.forced || k.lockExcludes.Load() {
			return o, done
		}
		if !k.markCall(ctx, f.store, "") {
			return outcome{}, false // not stored: nobody sees it
		}
		if err := sleep(ctx, markSettles); err != nil {
			return outcome{how: howAdopt, err: err}, true
		}
		if o, done := k.checkStore(ctx, f); done {
			return o, true
		}
		if k.snapshot().CallBy == k.id {
			return outcome{}, false
		}
	}
}

// waitForOthers waits until no other instance is in the middle of a call, or has
// been for too long.
func (k *Keeper) waitForOthers(ctx context.Context, f *inflight) (outcome, bool) {
	for {
		if o, done := k.checkStore(ctx, f); done {
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
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pollInterval returns the time between two reads of the store: 50 to 250 ms.
func (k *Keeper) pollInterval() time.Duration {
	return 50*time.Millisecond + scale(200*time.Millisecond, k.random())
}

// loadStored loads the record and applies it if it is newer; then it returns its
// token.
// A record that can't be read is as good as none: it is replaced in time.
func (k *Keeper) loadStored(ctx context.Context, st *store) *token.Token {
	stored, err := st.load(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		log := k.env.Load().Logger.Debug
		if k.unreadable.CompareAndSwap(false, true) {
			log = k.env.Load().Logger.Warn
		}
		log("token record not usable", zap.Error(err))
		return nil
	}
	k.unreadable.Store(false)
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.applyStored(stored)
}

// applyStored takes over what the store knows better. The caller holds k.mu.
func (k *Keeper) applyStored(stored *record) *token.Token {
	if stored == nil {
		return nil
	}
	blind := k.seen == 0
	defer func() { k.ownSkew = true }()
	k.seen = max(k.seen, stored.Generation)
	now := k.now()
	if blind && k.record.valid(now) {
		// Ours was made while the store couldn't be read, so it is the later
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

// publish serves a record's token. The caller holds k.mu.
func (k *Keeper) publish(r record) *token.Token {
	now := k.now()
	t := r.token()
	k.record = r
	k.endBackoff()
	k.refusals.published(&r, k.current.Load(), now)
	k.due = startWithin(windowStart(r.Obtained, r.Expires, &k.policy), r.Expires, now, k.random())
	k.wanted = true
	k.current.Store(t)
	close(k.changed)
	k.changed = make(chan struct{})
	k.wakeLoop()
	return t
}
