package token

import (
	"cmp"
	"errors"
	"time"
)

var (
	errRefusedBefore = errors.New("signing in was refused")
	errBackingOff    = errors.New("backing off")
)

// hold is how long no call may be made, and why; 0 when one may. A wait that is
// longer than it can be means that the wall clock was set back; it is over
// then. The caller holds k.mu.
func (k *Keeper) hold(now time.Time) (wait time.Duration, cause error) {
	consider := func(until time.Time, limit time.Duration, why error) {
		if w := until.Sub(now); w > wait && w <= limit {
			wait, cause = w, why
		}
	}
	consider(k.holdTill, k.holdFor, cmp.Or(k.lastErr, errBackingOff))
	consider(k.record.RefusedUntil, longestRefusal, k.refusedCause())
	return wait, cause
}

// pause lets no call be made for so long. The caller holds k.mu.
func (k *Keeper) pause(now time.Time, wait time.Duration) {
	k.holdTill, k.holdFor = now.Add(wait), wait
}

// release ends the wait after failures. The caller holds k.mu.
func (k *Keeper) release() {
	k.failures, k.lastErr, k.holdTill, k.quick = 0, nil, time.Time{}, 0
}

// refusedCause is the refusal that is waited for, or the memory of one before
// a restart.
func (k *Keeper) refusedCause() error {
	if _, ok := errors.AsType[*Failure](k.lastErr); ok {
		return k.lastErr
	}
	return errRefusedBefore
}

// refusedNow tells whether the wait is for a refusal. The caller holds k.mu.
func (k *Keeper) refusedNow() bool {
	return k.record.RefusedUntil.After(k.now())
}
