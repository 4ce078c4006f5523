package keeper

import (
	"cmp"
	"errors"
	"time"

	"github.com/switchboard-ivr/switchboard/module/token"
)

var (
	errRefusedBefore = errors.New("signing in was refused")
	errBackingOff    = errors.New("backing off")
)

// hold is how long no call may be made, and why; 0 when one may. A wait that is
// longer than it can be means that the wall clock was set back; it is over
// then. The caller holds k.mu.
func (k *Keeper) backoffLeft(now time.Time) (wait time.Duration, cause error) {
	consider := func(until time.Time, limit time.Duration, why error) {
		if w := until.Sub(now); w > wait && w <= limit {
			wait, cause = w, why
		}
	}
	consider(k.backoffUntil, k.backoffFor, cmp.Or(k.lastErr, errBackingOff))
	consider(k.record.RefusedUntil, token.MaxWait, k.refusedCause())
	return wait, cause
}

// pause lets no call be made for so long. The caller holds k.mu.
func (k *Keeper) startBackoff(now time.Time, wait time.Duration) {
	k.backoffUntil, k.backoffFor = now.Add(wait), wait
}

// release ends the wait after failures. The caller holds k.mu.
func (k *Keeper) endBackoff() {
	k.failures, k.lastErr, k.backoffUntil, k.quickRetries = 0, nil, time.Time{}, 0
}

// refusedCause is the refusal that is waited for, or the memory of one before
// a restart.
func (k *Keeper) refusedCause() error {
	if _, ok := errors.AsType[*token.Failure](k.lastErr); ok {
		return k.lastErr
	}
	return errRefusedBefore
}

// refusedNow tells whether the wait is for a refusal. The caller holds k.mu.
func (k *Keeper) signInRefused() bool {
	return k.record.RefusedUntil.After(k.now())
}
