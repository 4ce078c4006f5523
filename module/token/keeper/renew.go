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

// renew is one renewal, from looking into the vault to publishing a token.
// The vault comes first: a token that another instance or an earlier process
// got costs no call. The lock keeps instances apart where it can; what
// makes the renewal right without it is reading again at each turn.
func (k *Keeper) renew(ctx context.Context, f *inflight) outcome {
	v := k.awaitStore(ctx)
	if o, done := k.checkStore(ctx, v, f); done {
		return o
	}
	if v != nil {
		unlock, o, done := k.acquireLock(ctx, v, f)
		if done {
			return o
		}
		defer unlock()
		if o, done := k.waitTurn(ctx, v, f); done {
			return o
		}
	}
	return k.requestToken(ctx, v, f)
}

// vault gives the vault, after the first Attach or a grace for it.
func (k *Keeper) awaitStore(ctx context.Context) *store {
	select {
	case <-k.attached:
	default:
		t := time.NewTimer(attachGrace)
		defer t.Stop()
		select {
		case <-k.attached:
		case <-t.C:
		case <-ctx.Done():
		}
	}
	return k.env.Load().store
}

// look reads the vault, adopts what is newer, and tells whether that settles
// the matter.
func (k *Keeper) checkStore(ctx context.Context, v *store, f *inflight) (outcome, bool) {
	adopted := k.loadStored(ctx, v)
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	r := &k.record
	if t := k.current.Load(); t.Valid(now) {
		if r.Generation > f.replaces {
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

// clockTolerance is by how much clocks may differ before a refusal is put
// down to them.
const clockTolerance = 30 * time.Second

// call gets a token from the endpoint: by the refresh token if there is one
// whose fate is known, else, or if that fails, by signing in.
func (k *Keeper) requestToken(ctx context.Context, v *store, f *inflight) outcome {
	obtains := k.endpoint.CanObtain()
	if r := k.snapshot(); k.endpoint.CanRefresh() && (r.Refresh != "" || k.policy.Seed != "") {
		// A source that can't sign in has only its refresh token, spent or not:
		// sending it again is the one way on.
		if r.Spent.IsZero() || !obtains {
			if o, done := k.refresh(ctx, v, f); done {
				return o
			}
		}
	}
	if !obtains {
		return outcome{how: howRefresh, err: &token.Failure{Kind: token.Invalid, Reason: "there is no refresh token"}}
	}
	return k.obtain(ctx, v, f)
}

// refresh sends the refresh token. It isn't done when signing in should follow.
func (k *Keeper) refresh(ctx context.Context, v *store, f *inflight) (outcome, bool) {
	k.markCall(ctx, v, howRefresh)
	g, asked, err := k.fetch(ctx, howRefresh)
	o, err := k.accept(ctx, v, g, asked, howRefresh, err)
	if err == nil {
		return o, true
	}
	if errors.Is(err, errSame) && k.Current() != nil {
		return outcome{how: howRefresh, err: err}, true // no hurry: sign in after the back-off
	}
	if o, done := k.stopWhenBusy(ctx, v, err); done {
		return o, true
	}
	if !k.endpoint.CanObtain() {
		return k.stopRefused(ctx, v, f, err, howRefresh), true
	}
	env := k.env.Load()
	env.Logger.Warn("refresh token not accepted; signing in", zap.Error(err))
	if env.Events != nil {
		env.Events.Failed(k.policy.Name, err, howRefresh)
	}
	// Whoever else sent the same refresh token may have stored what it gave.
	return k.checkStore(ctx, v, f)
}

// busy ends a renewal that the endpoint has put off, instead of signing in on the
// heels of it. It isn't done when that was tried before and no token is held.
func (k *Keeper) stopWhenBusy(ctx context.Context, v *store, err error) (outcome, bool) {
	fail, ok := errors.AsType[*token.Failure](err)
	if !ok || fail.Kind != token.Busy {
		return outcome{}, false
	}
	k.mu.Lock()
	before, again := errors.AsType[*token.Failure](k.lastErr)
	if fail.Status == http.StatusTooManyRequests {
		k.record.Spent = time.Time{} // it was turned away unread
	}
	c := k.record
	k.mu.Unlock()
	if err := k.saveRecord(ctx, v, c); err != nil && !errors.Is(err, errNoStorage) {
		k.env.Load().Logger.Debug("token record not stored", zap.Error(err))
	}
	if again && before.Kind == token.Busy && k.Current() == nil && k.endpoint.CanObtain() {
		return outcome{}, false
	}
	return outcome{how: howRefresh, err: err}, true
}

// obtain signs in.
func (k *Keeper) obtain(ctx context.Context, v *store, f *inflight) outcome {
	k.markCall(ctx, v, howObtain)
	g, asked, err := k.fetch(ctx, howObtain)
	o, err := k.accept(ctx, v, g, asked, howObtain, err)
	if err != nil {
		return k.stopRefused(ctx, v, f, err, howObtain)
	}
	return o
}

// mark writes down, in memory and in the vault, that this instance is about to
// make a call. A refresh token counts as spent from then on, so a process that
// finds the mark after a crash doesn't send it again. It tells whether the
// mark is in the vault.
func (k *Keeper) markCall(ctx context.Context, v *store, how string) bool {
	k.mu.Lock()
	r := &k.record
	r.CallAt, r.CallBy = k.now(), k.id
	if how == howRefresh {
		r.Refresh = cmp.Or(r.Refresh, k.policy.Seed)
		r.Spent = r.CallAt
	}
	c := *r
	k.mu.Unlock()
	err := k.saveRecord(ctx, v, c)
	if err != nil && !errors.Is(err, errNoStorage) {
		k.env.Load().Logger.Debug("token call not marked", zap.Error(err))
	}
	return err == nil
}

// ask makes one call, or two when the first was refused and the endpoint's
// clock differs from what was assumed: then the second is signed by its clock.
// The difference is kept only if that helped. A refresh is not repeated where
// signing in follows anyway.
func (k *Keeper) fetch(ctx context.Context, how string) (g token.Grant, asked time.Time, err error) {
	r := k.snapshot()
	g, asked, err = k.callOnce(ctx, how, &r, r.Skew)
	fail, ok := errors.AsType[*token.Failure](err)
	if !ok || fail.Kind != token.Refused || fail.Date.IsZero() || how == howRefresh && k.endpoint.CanObtain() {
		return g, asked, err
	}
	skew := fail.Date.Sub(k.now()).Round(time.Second)
	if (skew - r.Skew).Abs() <= clockTolerance {
		return g, asked, err
	}
	g, asked, err = k.callOnce(ctx, how, &r, skew)
	if err == nil {
		k.mu.Lock()
		k.record.Skew, k.ownSkew = skew, true
		k.mu.Unlock()
		k.env.Load().Logger.Warn("this machine's clock differs from the token endpoint's", zap.Duration("skew", skew))
	}
	return g, asked, err
}

func (k *Keeper) callOnce(ctx context.Context, how string, r *record, skew time.Duration) (g token.Grant, asked time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, k.policy.Timeout)
	defer cancel()
	asked = k.now()
	err = storage.Recover(func() (err error) {
		in := token.Params{Access: r.Access, Refresh: r.Refresh, Skew: skew, Refused: r.Dead || r.Suspect}
		if how == howRefresh {
			g, err = k.endpoint.Refresh(ctx, in)
		} else {
			g, err = k.endpoint.Obtain(ctx, in)
		}
		return err
	})
	k.keepExchange(g.Exchange, err)
	return g, asked, err
}

// remember keeps the last call of the endpoint, for people to look at.
func (k *Keeper) keepExchange(e *token.Exchange, err error) {
	if fail, ok := errors.AsType[*token.Failure](err); ok {
		e = fail.Exchange
	}
	if e == nil {
		return // nothing was sent
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.exchange = e
}

var (
	// errSame is an unchanged token where a new one was needed.
	errSame error = &token.Failure{Kind: token.Invalid, Reason: "the endpoint gave the same token again"}
	// errShort is the second of two different tokens that live for seconds.
	errShort error = &token.Failure{Kind: token.Invalid, Reason: "expires_in is below 30 s for the second time in a row; its unit may be wrong"}
)

// take judges what the endpoint gave and makes it the current token.
func (k *Keeper) accept(ctx context.Context, v *store, g token.Grant, asked time.Time, how string, err error) (outcome, error) {
	if err != nil {
		return outcome{}, err
	}
	for _, warning := range g.Warnings {
		k.env.Load().Logger.Warn("the token endpoint's answer is odd", zap.String("warning", warning))
	}
	prev := k.snapshot()
	r := prev.successor(g, how, asked, &k.policy)
	switch same := g.Access == prev.Access; {
	case g.Access == "":
		return outcome{}, &token.Failure{Kind: token.Invalid, Reason: "the endpoint gave an empty token"}
	case same && k.policy.MustDiffer:
		return outcome{}, errSame
	case same && !prev.Dead && (g.Ended || r.Expires.Sub(prev.Expires).Abs() <= extension):
		k.acceptUnchanged(ctx, v, &r)
		return outcome{how: how, err: errUnchanged}, nil
	case !k.now().Before(r.Expires):
		return outcome{}, &token.Failure{Kind: token.Invalid, Reason: "the endpoint gave a token that has expired"}
	case !same && r.short() && prev.short():
		return outcome{}, errShort
	}
	return k.storeAndPublish(ctx, v, prev, r, how), nil
}

// unchanged notes a successful call that moved nothing: the generation stays,
// and so does its expiry, but the refresh token counts as what came back.
func (k *Keeper) acceptUnchanged(ctx context.Context, v *store, r *record) {
	k.mu.Lock()
	if r.Refresh != "" {
		k.record.Refresh = r.Refresh
		k.record.Spent = time.Time{}
	}
	k.record.RefusedUntil, k.record.RefusedCount = time.Time{}, 0
	c := k.record
	k.mu.Unlock()
	if err := k.saveRecord(ctx, v, c); err != nil && !errors.Is(err, errNoStorage) {
		k.env.Load().Logger.Debug("token record not stored", zap.Error(err))
	}
}

// conclude ends a renewal that got no token. A refusal is remembered in the
// vault, so neither a restart nor another instance asks again too soon: until the
// end of a token that is held at the latest, and right after it at once. What an
// operator tried by hand is not.
func (k *Keeper) stopRefused(ctx context.Context, v *store, f *inflight, err error, how string) outcome {
	o := outcome{how: how, err: err}
	if fail, ok := errors.AsType[*token.Failure](err); !ok || fail.Kind != token.Refused || f.forced {
		return o
	}
	if adopted := k.loadStored(ctx, v); adopted != nil {
		return outcome{how: howAdopt, token: adopted}
	}
	k.mu.Lock()
	now := k.now()
	held := k.current.Load().Valid(now)
	if !held && k.quickRetries > 0 {
		k.mu.Unlock()
		return o
	}
	r := &k.record
	r.RefusedCount++
	r.RefusedUntil = now.Add(refusalWait(r.RefusedCount, k.policy.RetryRefused))
	if held {
		r.RefusedUntil = earlier(r.RefusedUntil, r.Expires)
	}
	c := *r
	k.mu.Unlock()
	log := k.env.Load().Logger
	log.Error("the token endpoint refused us; not trying again before", zap.Time("until", c.RefusedUntil), zap.Error(err))
	if err := k.saveRecord(ctx, v, c); err != nil && !errors.Is(err, errNoStorage) {
		log.Debug("refusal not stored", zap.Error(err))
	}
	return o
}

func (k *Keeper) snapshot() record {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.record
}
