package keeper

import (
	"cmp"
	"errors"
	"time"

	"github.com/switchboard-ivr/switchboard/module/token"
)

var (
	errRefusedBefore  = errors.New("signing in was refused")
	errRenewalRefused = errors.New("the renewal was refused")
	errBackingOff     = errors.New("backing off")
)

// backoffLeft returns how long no call may be made, and why; 0 when one may. A wait that is
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

// startBackoff lets no call be made for so long. The caller holds k.mu.
func (k *Keeper) startBackoff(now time.Time, wait time.Duration) {
	k.backoffUntil, k.backoffFor = now.Add(wait), wait
}

// endBackoff ends the wait after failures. The caller holds k.mu.
func (k *Keeper) endBackoff() {
	k.failures, k.lastErr, k.backoffUntil, k.quickRetries = 0, nil, time.Time{}, 0
}

// refusedCause is the refusal that is waited for, or the memory of one before
// a restart.
func (k *Keeper) refusedCause() error {
	if _, ok := errors.AsType[*token.Failure](k.lastErr); ok {
		return k.lastErr
	}
	if k.policy.Consent {
		return k.withConsentAdvice(errRenewalRefused)
	}
	return errRefusedBefore
}

// What follows is arithmetic only: when to renew, when to try again. Random
// numbers come in as r in [0, 1).

const (
	// assumedLifetime counts when neither the endpoint's answer nor the
	// configuration states a lifetime.
	assumedLifetime = 2 * time.Hour
	// defaultBefore is the window when the configuration has none.
	defaultBefore = 10 * time.Minute
	// shortestBackoff and longestBackoff bound the wait after any other failure.
	shortestBackoff = time.Second
	longestBackoff  = time.Minute
	// maxQuickRetries is how often a renewal that failed while a token was held is
	// tried again a second apart, once that token has ended: its end is by our
	// clock, and by the endpoint's a moment later.
	maxQuickRetries = 2
	// suspectPause bounds the wait after an unchanged token that is suspect.
	suspectPause = 5 * time.Minute
	// extension is by how much an unchanged token's expiry must move to count:
	// remaining lifetimes come in whole seconds and over a network.
	extension = 5 * time.Second
)

// expiry is when a grant's token ends on our clock, and whether that had to be
// assumed. A lifetime counts from when it was asked for, which is the safe
// side; an absolute time is the endpoint's, so the skew comes off.
func expiry(g token.Grant, p *token.Policy, asked time.Time, skew time.Duration) (at time.Time, assumed bool) {
	switch {
	case !g.Expires.IsZero():
		return g.Expires.Add(-skew).Round(0), false
	case g.Lifetime > 0:
		return asked.Add(g.Lifetime), false
	case p.Lifetime > 0:
		return asked.Add(p.Lifetime), true
	default:
		return asked.Add(assumedLifetime), true
	}
}

// windowStart is when a token falls due: refresh_before its expiry, or that
// part of its lifetime, but never before half of its life.
func windowStart(obtained, expires time.Time, p *token.Policy) time.Time {
	lifetime := expires.Sub(obtained)
	before := p.RefreshBefore
	if before <= 0 {
		before = time.Duration(float64(lifetime) * p.RefreshFraction)
	}
	if before <= 0 {
		before = defaultBefore
	}
	return expires.Add(-min(before, lifetime/2))
}

// startWithin picks when to renew inside the window: anywhere in its first
// 80 %, so a fleet's instances don't wake together. A keeper that comes
// late takes the start of what is left.
func startWithin(start, expires, now time.Time, r float64) time.Time {
	end := start.Add(scale(expires.Sub(start), 0.8))
	if now.After(start) {
		start = now
		end = later(end, now.Add(scale(expires.Sub(now), 0.2)))
	}
	return start.Add(scale(end.Sub(start), r))
}

// unchangedPause is how long to leave an endpoint alone that gave the same
// token with the same expiry: many make a new one only shortly before the end.
func unchangedPause(remaining time.Duration, r float64) time.Duration {
	return max(10*time.Second, scale(remaining, 0.25+0.25*r))
}

// backoffAfter is the wait after the nth failure in a row: exponential, jittered
// over the upper three quarters. Jitter from zero would be 30 calls and more
// in 10 minutes; this is about 20.
func backoffAfter(n int, r float64) time.Duration {
	top := longestBackoff
	if n < 6 {
		top = shortestBackoff << n
	}
	low := max(shortestBackoff, top/4)
	return low + scale(top-low, r)
}

// refusalWait is the wait after the nth refused sign-in in a row: retry_refused,
// doubling up to an hour, because a wrong secret can lock an account.
func refusalWait(n int, base time.Duration) time.Duration {
	for ; n > 1 && base < token.MaxWait; n-- {
		base = min(2*base, token.MaxWait)
	}
	return base
}

func scale(d time.Duration, f float64) time.Duration {
	return time.Duration(float64(d) * f)
}
