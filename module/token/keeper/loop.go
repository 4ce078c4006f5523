package keeper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/switchboard-ivr/switchboard/module/storage"

	"go.uber.org/zap"
)

const (
	// pollEvery is how often a keeper that waits for its turn to renew, or has
	// no token, looks into the vault for another instance's.
	pollEvery = 5 * time.Second
	// pollRefused is the same while signing in is refused.
	pollRefused = 30 * time.Second
	// longestSleep bounds the loop's sleep: timers don't follow the wall clock
	// when it is set, nor a machine that slept.
	longestSleep = time.Minute
)

// Start starts the background loop: it loads the record, obtains a token at
// once if the source is warm, and renews in time. Starting twice is once; a
// keeper that was destructed stays without.
func (k *Keeper) Start() {
	if !k.renewable() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stop != nil || k.stopped {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	k.stop = cancel
	go k.loop(ctx)
}

// Destruct stops the background loop and doesn't wait for it. Requests still
// in flight keep the token, and get a new one on demand. A renewal that runs
// goes on to its end: a refresh token that was sent is used up, so what comes
// back must be stored.
func (k *Keeper) Destruct() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stopped = true
	if k.stop != nil {
		k.stop()
	}
	return nil
}

// nudge makes the loop look at the state again.
func (k *Keeper) wakeLoop() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *Keeper) loop(ctx context.Context) {
	k.awaitStore(ctx)
	for ctx.Err() == nil {
		sleep := pollEvery
		if err := storage.Recover(func() error { sleep = k.step(ctx); return nil }); err != nil {
			k.env.Load().Logger.Error("token loop", zap.Error(err))
		}
		t := time.NewTimer(sleep)
		select {
		case <-ctx.Done():
		case <-k.wake:
		case <-t.C:
		}
		t.Stop()
	}
}

// step does what is due, and tells how long nothing will be.
func (k *Keeper) step(ctx context.Context) time.Duration {
	v := k.env.Load().store
	k.testLock(ctx, v)
	k.poll(ctx, v)

	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	valid := k.current.Load().Valid(now)
	hold, _ := k.backoffLeft(now)
	switch {
	case k.inflight != nil: // its end wakes the loop
	case hold <= 0 && valid && !now.Before(k.due), hold <= 0 && !valid && k.wanted:
		k.joinOrStart(false)
	case k.unsaved && v != nil && !now.Before(k.saveAt):
		k.start(&inflight{done: make(chan struct{}), saveOnly: true}, k.retrySave)
	}

	next := now.Add(longestSleep)
	consider := func(t time.Time) {
		if t.After(now) {
			next = earlier(next, t)
		}
	}
	consider(now.Add(hold))
	if valid {
		consider(windowStart(k.record.Obtained, k.record.Expires, &k.policy))
		consider(k.due)
		consider(k.record.Expires)
	}
	if k.unsaved {
		consider(k.saveAt)
	}
	if k.wantsStored(v, valid, now) {
		consider(k.pollAt)
	}
	return next.Sub(now)
}

// waiting tells whether another instance's token would be welcome. The caller
// holds k.mu.
func (k *Keeper) wantsStored(v *store, valid bool, now time.Time) bool {
	if v == nil {
		return false
	}
	if !valid {
		return k.wanted || k.pollAt.IsZero()
	}
	return k.inWindow(now)
}

// inWindow tells whether the token that is held should be replaced. The caller
// holds k.mu.
func (k *Keeper) inWindow(now time.Time) bool {
	return k.record.Suspect || !now.Before(windowStart(k.record.Obtained, k.record.Expires, &k.policy))
}

// poll looks into the vault when that is due. The first time is the warm
// start: the record makes a restart cost no call.
func (k *Keeper) poll(ctx context.Context, v *store) {
	k.mu.Lock()
	now := k.now()
	valid := k.current.Load().Valid(now)
	look := k.inflight == nil && k.wantsStored(v, valid, now) && !now.Before(k.pollAt)
	if look {
		every := pollEvery
		if k.record.RefusedUntil.After(now) {
			every = pollRefused
		}
		k.pollAt = now.Add(scale(every, 0.5+0.5*k.random()))
	}
	k.mu.Unlock()
	if look {
		if t := k.loadStored(ctx, v); t != nil {
			k.notifyRenewed(t, howAdopt, k.now().Sub(now))
		}
	}
}

// testLock looks once, in the background, whether the storage's lock is one.
func (k *Keeper) testLock(ctx context.Context, v *store) {
	if v == nil {
		return
	}
	kind := fmt.Sprintf("%T", v.Backend)
	k.mu.Lock()
	known := k.testedStorage == kind
	k.testedStorage = kind
	k.mu.Unlock()
	if known {
		return
	}
	k.lockExcludes.Store(false)
	go func() {
		log := k.env.Load().Logger.With(zap.String("storage", kind))
		err := v.TestLock(ctx, storageName)
		k.lockExcludes.Store(err == nil)
		switch {
		case errors.Is(err, storage.ErrNoExclusion):
			log.Warn("the storage's lock excludes nobody; instances keep apart by chance and by reading again", zap.Error(err))
		case err != nil && ctx.Err() == nil:
			log.Warn("the storage's lock doesn't work", zap.Error(err))
		}
	}()
}
