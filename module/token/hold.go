package token

import (
	"cmp"
	"errors"
	"time"

	"go.uber.org/zap"
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
	consider(k.holdTill, longestBackoff, cmp.Or(k.lastErr, errBackingOff))
	consider(k.record.RefusedUntil, longestRefusal, k.refusedCause())
	return wait, cause
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

// Invalidate says that the API refused the token of this generation. If that
// is the generation held, it isn't served any more and one renewal follows;
// any number of calls for one generation cause one renewal (T11). reason is
// for the log: a status or a business code.
//
// A generation that replaced a refused one less than 30 s ago goes on being
// served, and is renewed when the 30 s are over: the renewal didn't help, so
// either another system takes the token away each time, or the API answers so
// for another reason, and then others' requests need the token. A static token
// stays what it is.
func (k *Keeper) Invalidate(generation uint64, reason string) {
	log := k.around.Load().Logger
	if k.static() {
		now := time.Now().UnixNano()
		if last := k.staticWarned.Load(); now-last > int64(time.Minute) && k.staticWarned.CompareAndSwap(last, now) {
			log.Warn("the API refused the static token", zap.String("reason", reason))
		}
		return
	}
	k.mu.Lock()
	r := &k.record
	if generation != r.Generation || r.Access == "" || r.Dead || r.Suspect {
		k.mu.Unlock()
		return
	}
	now := k.now()
	learned := r.refuse(now)
	if r.Suspect {
		k.due = earlier(k.due, r.Died.Add(pingPong))
		k.pollAt = now
	} else {
		k.current.Store(nil)
	}
	suspect, t := r.Suspect, r.token()
	k.wanted = true
	k.nudge()
	k.mu.Unlock()

	log = log.With(zap.Uint64("generation", generation), zap.String("fingerprint", t.Fingerprint()),
		zap.String("reason", reason), zap.Duration("age", now.Sub(t.Obtained)))
	switch {
	case suspect:
		log.Error("the API refused a token that had just replaced a refused one; " +
			"another system may sign in with the same credentials, or token_expired matches too much")
	case learned > 0:
		log.Warn("tokens die before their time; taking their lifetime to be shorter", zap.Duration("lifetime", learned))
	default:
		log.Warn("the API refused the token")
	}
}
