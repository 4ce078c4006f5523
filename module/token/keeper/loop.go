package keeper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/module/storage"
)

const (
	// pollEvery is how often a keeper that waits for its turn to renew, or has
	// no token, looks into the store for another instance's.
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

// wakeLoop makes the loop check the state again.
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
		select {
		case <-ctx.Done():
		case <-k.wake:
		case <-time.After(sleep):
		}
	}
}

// step does what is due, and returns how long nothing else will be.
func (k *Keeper) step(ctx context.Context) time.Duration {
	st := k.env.Load().store
	k.testLock(ctx, st)
	k.poll(ctx, st)

	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	valid := k.current.Load().Valid(now)
	wait, _ := k.backoffLeft(now)
	switch {
	case k.inflight != nil: // its end wakes the loop
	case k.awaitsConsent(): // poll finds it
	case wait <= 0 && valid && !now.Before(k.due), wait <= 0 && !valid && k.wanted:
		k.joinOrStart(false)
	case k.unsaved && st != nil && !now.Before(k.saveAt):
		k.start(&inflight{saveOnly: true}, k.retrySave)
	}

	next := now.Add(longestSleep)
	consider := func(t time.Time) {
		if t.After(now) {
			next = earlier(next, t)
		}
	}
	consider(now.Add(wait))
	if valid {
		consider(windowStart(k.record.Obtained, k.record.Expires, &k.policy))
		consider(k.due)
		consider(k.record.Expires)
	}
	if k.unsaved {
		consider(k.saveAt)
	}
	if k.wantsStored(st, valid, now) {
		consider(k.pollAt)
	}
	return next.Sub(now)
}

// awaitsConsent is lacksConsent once the store has been read, while nothing is under
// way. The caller holds k.mu.
func (k *Keeper) awaitsConsent() bool {
	return k.policy.Consent && k.unconsented && k.record.Refresh == "" && k.inflight == nil
}

// wantsStored reports whether another instance's token would be welcome. The caller
// holds k.mu.
func (k *Keeper) wantsStored(st *store, valid bool, now time.Time) bool {
	if st == nil {
		return false
	}
	if !valid {
		return k.wanted || k.pollAt.IsZero()
	}
	return k.doubted || k.inWindow(now)
}

// inWindow reports whether the token that is held should be replaced. The caller
// holds k.mu.
func (k *Keeper) inWindow(now time.Time) bool {
	return k.record.Suspect || !now.Before(windowStart(k.record.Obtained, k.record.Expires, &k.policy))
}

// poll reads the store when that is due. The first time is the warm
// start: the record makes a restart cost no call.
func (k *Keeper) poll(ctx context.Context, st *store) {
	k.mu.Lock()
	now := k.now()
	valid := k.current.Load().Valid(now)
	due := k.inflight == nil && k.wantsStored(st, valid, now) && !now.Before(k.pollAt)
	if due {
		k.doubted = false
		every := pollEvery
		if k.record.RefusedUntil.After(now) {
			every = pollRefused
		}
		k.pollAt = now.Add(scale(every, 0.5+0.5*k.random()))
	}
	k.mu.Unlock()
	if due {
		if t := k.loadStored(ctx, st); t != nil {
			k.notifyRenewed(t, howAdopt, k.now().Sub(now))
		}
	}
}

// testLock tests once, in the background, whether the storage's lock excludes anybody.
func (k *Keeper) testLock(ctx context.Context, st *store) {
	if st == nil {
		return
	}
	kind := fmt.Sprintf("%T", st.Backend)
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
		err := st.TestLock(ctx, storageName)
		k.lockExcludes.Store(err == nil)
		switch {
		case errors.Is(err, storage.ErrNoExclusion):
			log.Warn("the storage's lock excludes nobody; instances keep apart by chance and by reading again", zap.Error(err))
		case err != nil && ctx.Err() == nil:
			log.Warn("the storage's lock doesn't work", zap.Error(err))
		}
	}()
}
