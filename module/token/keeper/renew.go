package keeper

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/module/storage"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// clockTolerance is how much clocks may differ before a refusal is attributed to
// the difference.
const clockTolerance = 30 * time.Second

// renew is one renewal, from reading the store to publishing a token.
// The store comes first: a token that another instance or an earlier process
// got costs no call. The lock keeps instances apart where it can; what
// makes the renewal right without it is reading again at each turn.
func (k *Keeper) renew(ctx context.Context, f *inflight) outcome {
	f.store = k.awaitStore(ctx)
	if o, done := k.checkStore(ctx, f); done {
		return o
	}
	if k.lacksConsent() {
		return outcome{how: howAdopt, err: k.consentCause()}
	}
	if f.store != nil {
		unlock, o, done := k.acquireLock(ctx, f)
		if done {
			return o
		}
		defer unlock()
		if o, done := k.waitTurn(ctx, f); done {
			return o
		}
	}
	return k.requestToken(ctx, f)
}

// lacksConsent reports whether there is nothing to renew before somebody consents.
func (k *Keeper) lacksConsent() bool { return k.policy.Consent && k.snapshot().Refresh == "" }

// awaitStore returns the store, after the first Attach or the time allowed for it.
func (k *Keeper) awaitStore(ctx context.Context) *store {
	select {
	case <-k.attached:
	case <-time.After(attachGrace):
	case <-ctx.Done():
	}
	return k.env.Load().store
}

// checkStore reads the store, applies what is newer there, and reports whether that
// ends the renewal.
func (k *Keeper) checkStore(ctx context.Context, f *inflight) (outcome, bool) {
	adopted := k.loadStored(ctx, f.store)
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if k.current.Load().Valid(now) {
		if k.record.Generation > f.replaces {
			return outcome{how: howAdopt, token: adopted}, true
		}
		if !f.forced && k.sinceMark(now) < k.policy.Timeout {
			return outcome{how: howAdopt, err: errElsewhere}, true
		}
	}
	if wait, _ := k.backoffLeft(now); wait > 0 && !f.forced {
		return outcome{how: howAdopt, err: errTooEarly}, true
	}
	return outcome{}, false
}

// requestToken gets a token from the endpoint: by the refresh token if it has one
// that was not sent before, else, or if that fails, by signing in.
func (k *Keeper) requestToken(ctx context.Context, f *inflight) outcome {
	obtains := k.endpoint.CanObtain()
	if r := k.snapshot(); k.endpoint.CanRefresh() && (r.Refresh != "" || k.policy.Seed != "") {
		// A source that can't sign in has only its refresh token, spent or not:
		// sending it again is the only way on.
		if r.Spent.IsZero() || !obtains {
			if o, done := k.refresh(ctx, f); done {
				return o
			}
		}
	}
	if !obtains {
		return outcome{how: howRefresh, err: &token.Failure{Kind: token.Invalid, Reason: "there is no refresh token"}}
	}
	o, err := k.call(ctx, f, howObtain)
	if err != nil {
		return k.endFailed(ctx, f, err, howObtain)
	}
	return o
}

// refresh sends the refresh token. It isn't done when signing in should follow.
func (k *Keeper) refresh(ctx context.Context, f *inflight) (outcome, bool) {
	o, err := k.call(ctx, f, howRefresh)
	if err == nil {
		return o, true
	}
	if errors.Is(err, errSame) && k.Current() != nil {
		return outcome{how: howRefresh, err: err}, true // no hurry: sign in after the back-off
	}
	if o, done := k.endBusy(ctx, f, err); done {
		return o, true
	}
	if !k.endpoint.CanObtain() {
		return k.endFailed(ctx, f, k.withConsentAdvice(err), howRefresh), true
	}
	env := k.env.Load()
	env.Logger.Warn("refresh token not accepted; signing in", zap.Error(err))
	if env.Events != nil {
		env.Events.Failed(k.policy.Name, err, howRefresh)
	}
	// Another instance that sent the same refresh token may have stored its result.
	return k.checkStore(ctx, f)
}

// call marks, makes and evaluates one call of the endpoint.
func (k *Keeper) call(ctx context.Context, f *inflight, how string) (outcome, error) {
	k.markCall(ctx, f.store, how)
	g, asked, err := k.fetch(ctx, how)
	if err != nil {
		return outcome{}, err
	}
	return k.accept(ctx, f.store, g, asked, how)
}

// markCall writes down, in memory and in the store, that this instance is about to
// make a call. A refresh token counts as spent from then on, so a process that
// finds the mark after a crash doesn't send it again. It reports whether the
// mark is stored.
func (k *Keeper) markCall(ctx context.Context, st *store, how string) bool {
	return k.updateRecord(ctx, st, "token call not marked", func(r *record) {
		r.CallAt, r.CallBy = k.now(), k.id
		if how == howRefresh {
			r.Refresh = cmp.Or(r.Refresh, k.policy.Seed)
			r.Spent = r.CallAt
		}
	})
}

// fetch makes one call, or two when the first was refused and the endpoint's
// clock differs from what was assumed: then the second is signed by its clock.
// The difference is kept only if that helped. A refresh is not repeated where
// signing in follows anyway.
func (k *Keeper) fetch(ctx context.Context, how string) (g token.Grant, asked time.Time, err error) {
	r := k.snapshot()
	g, asked, err = k.callOnce(ctx, how, r.params(r.Skew))
	fail, ok := errors.AsType[*token.Failure](err)
	if !ok || fail.Kind != token.Refused || fail.Date.IsZero() || how == howRefresh && k.endpoint.CanObtain() {
		return g, asked, err
	}
	skew := fail.Date.Sub(k.now()).Round(time.Second)
	if (skew - r.Skew).Abs() <= clockTolerance {
		return g, asked, err
	}
	g, asked, err = k.callOnce(ctx, how, r.params(skew))
	if err == nil {
		k.mu.Lock()
		k.record.Skew, k.ownSkew = skew, true
		k.mu.Unlock()
		k.env.Load().Logger.Warn("this machine's clock differs from the token endpoint's", zap.Duration("skew", skew))
	}
	return g, asked, err
}

// callOnce calls the endpoint, bounded in time, and remembers the exchange for people
// to look at.
func (k *Keeper) callOnce(ctx context.Context, how string, p token.Params) (g token.Grant, asked time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, k.policy.Timeout)
	defer cancel()
	asked = k.now()
	err = storage.Recover(func() (err error) {
		if how == howRefresh {
			g, err = k.endpoint.Refresh(ctx, p)
		} else {
			g, err = k.endpoint.Obtain(ctx, p)
		}
		return err
	})
	exchange := g.Exchange
	if fail, ok := errors.AsType[*token.Failure](err); ok {
		exchange = fail.Exchange
	}
	if exchange != nil { // something was sent
		k.mu.Lock()
		k.exchange = exchange
		k.mu.Unlock()
	}
	return g, asked, err
}

var (
	// errSame is an unchanged token where a new one was needed.
	errSame    error = &token.Failure{Kind: token.Invalid, Reason: "the endpoint gave the same token again"}
	errExpired error = &token.Failure{Kind: token.Invalid, Reason: "the endpoint gave a token that has expired"}
	// errShort is the second of two different tokens that live for seconds.
	errShort error = &token.Failure{Kind: token.Invalid, Reason: "expires_in is below 30 s for the second time in a row; its unit may be wrong"}
)

// accept evaluates what the endpoint gave and makes it the current token.
func (k *Keeper) accept(ctx context.Context, st *store, g token.Grant, asked time.Time, how string) (outcome, error) {
	k.logWarnings(g)
	prev := k.snapshot()
	r := prev.successor(g, how, asked, &k.policy)
	switch same := g.Access == prev.Access; {
	case g.Access == "":
		return outcome{}, &token.Failure{Kind: token.Invalid, Reason: "the endpoint gave an empty token"}
	case same && k.policy.MustDiffer:
		return outcome{}, errSame
	case same && !prev.Dead && (g.Ended || r.Expires.Sub(prev.Expires).Abs() <= extension):
		k.acceptUnchanged(ctx, st, r.Refresh)
		return outcome{how: how, err: errUnchanged}, nil
	case !k.now().Before(r.Expires):
		return outcome{}, errExpired
	case !same && r.short() && prev.short():
		return outcome{}, errShort
	}
	return k.storeAndPublish(ctx, st, prev, r, how), nil
}

func (k *Keeper) logWarnings(g token.Grant) {
	for _, warning := range g.Warnings {
		k.env.Load().Logger.Warn("the token endpoint's answer is odd", zap.String("warning", warning))
	}
}

// acceptUnchanged notes a successful call that changed nothing: the generation stays,
// and so does its expiry, but the refresh token is the one that came back.
func (k *Keeper) acceptUnchanged(ctx context.Context, st *store, refresh string) {
	k.updateRecord(ctx, st, "token record not stored", func(r *record) {
		if refresh != "" {
			r.Refresh, r.Spent = refresh, time.Time{}
		}
		r.RefusedUntil, r.RefusedCount = time.Time{}, 0
	})
}

// endBusy ends a renewal that the endpoint has put off, instead of signing in right
// after it. It isn't done when that was tried before and no token is held.
func (k *Keeper) endBusy(ctx context.Context, f *inflight, err error) (outcome, bool) {
	fail, ok := errors.AsType[*token.Failure](err)
	if !ok || fail.Kind != token.Busy {
		return outcome{}, false
	}
	again := false
	k.updateRecord(ctx, f.store, "token record not stored", func(r *record) {
		before, ok := errors.AsType[*token.Failure](k.lastErr)
		again = ok && before.Kind == token.Busy
		if fail.Status == http.StatusTooManyRequests {
			r.Spent = time.Time{} // it was turned away unread
		}
	})
	if again && k.Current() == nil && k.endpoint.CanObtain() {
		return outcome{}, false
	}
	return outcome{how: howRefresh, err: err}, true
}

// endFailed ends a renewal that got no token. A refusal is remembered in the
// store, so neither a restart nor another instance asks again too soon: until the
// end of a token that is held at the latest, and right after it at once. What an
// operator tried by hand is not.
func (k *Keeper) endFailed(ctx context.Context, f *inflight, err error, how string) outcome {
	o := outcome{how: how, err: err}
	if fail, ok := errors.AsType[*token.Failure](err); !ok || fail.Kind != token.Refused || f.forced {
		return o
	}
	if adopted := k.loadStored(ctx, f.store); adopted != nil {
		return outcome{how: howAdopt, token: adopted}
	}
	k.mu.Lock()
	now := k.now()
	held := k.current.Load().Valid(now)
	quick := !held && k.quickRetries > 0
	k.mu.Unlock()
	if quick {
		return o
	}
	var until time.Time
	k.updateRecord(ctx, f.store, "refusal not stored", func(r *record) {
		r.RefusedCount++
		until = now.Add(refusalWait(r.RefusedCount, k.policy.RetryRefused))
		if held {
			until = earlier(until, r.Expires)
		}
		r.RefusedUntil = until
	})
	k.env.Load().Logger.Error("the token endpoint refused us; not trying again before", zap.Time("until", until), zap.Error(err))
	return o
}
