package token

import (
	"cmp"
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
)

// clockTolerance is by how much clocks may differ before a refusal is put
// down to them (T14).
const clockTolerance = 30 * time.Second

// call gets a token from the endpoint: by the refresh token if there is one
// whose fate is known, else, or if that fails, by signing in.
func (k *Keeper) call(ctx context.Context, v *vault, f *flight) outcome {
	obtains := k.endpoint.canObtain()
	if r := k.snapshot(); k.endpoint.canRefresh() && (r.Refresh != "" || k.policy.seed != "") {
		// A source that can't sign in has only its refresh token, spent or not:
		// sending it again is the one way on.
		if r.Spent.IsZero() || !obtains {
			if o, done := k.refresh(ctx, v, f); done {
				return o
			}
		}
	}
	if !obtains {
		return outcome{how: howRefresh, err: &Failure{Kind: Invalid, Reason: "there is no refresh token"}}
	}
	return k.obtain(ctx, v)
}

// refresh sends the refresh token. It isn't done when signing in should follow.
func (k *Keeper) refresh(ctx context.Context, v *vault, f *flight) (outcome, bool) {
	k.mark(ctx, v, howRefresh)
	g, asked, err := k.ask(ctx, howRefresh)
	o, err := k.take(ctx, v, g, asked, howRefresh, err)
	if err == nil {
		return o, true
	}
	if errors.Is(err, errSame) && k.Current() != nil {
		return outcome{how: howRefresh, err: err}, true // no hurry: sign in after the back-off
	}
	if !k.endpoint.canObtain() {
		return k.conclude(ctx, v, err, howRefresh), true
	}
	env := k.around.Load()
	env.Logger.Warn("refresh token not accepted; signing in", zap.Error(err))
	if env.Events != nil {
		env.Events.Failed(k.policy.name, err, howRefresh)
	}
	// Whoever else sent the same refresh token may have stored what it gave.
	return k.look(ctx, v, f)
}

// obtain signs in.
func (k *Keeper) obtain(ctx context.Context, v *vault) outcome {
	k.mark(ctx, v, howObtain)
	g, asked, err := k.ask(ctx, howObtain)
	o, err := k.take(ctx, v, g, asked, howObtain, err)
	if err != nil {
		return k.conclude(ctx, v, err, howObtain)
	}
	return o
}

// mark writes down, in memory and in the vault, that this instance is about to
// make a call. A refresh token counts as spent from then on, so a process that
// finds the mark after a crash doesn't send it again (T7). It tells whether the
// mark is in the vault.
func (k *Keeper) mark(ctx context.Context, v *vault, how string) bool {
	k.mu.Lock()
	r := &k.record
	r.Asking, r.Asker = k.now(), k.id
	if how == howRefresh {
		r.Refresh = cmp.Or(r.Refresh, k.policy.seed)
		r.Spent = r.Asking
	}
	c := *r
	k.mu.Unlock()
	err := k.save(ctx, v, c)
	if err != nil && !errors.Is(err, errNoStorage) {
		k.around.Load().Logger.Debug("token call not marked", zap.Error(err))
	}
	return err == nil
}

// ask makes one call, or two when the first was refused and the endpoint's
// clock differs from what was assumed: then the second is signed by its clock.
// The difference is kept only if that helped. A refresh is not repeated where
// signing in follows anyway.
func (k *Keeper) ask(ctx context.Context, how string) (g Grant, asked time.Time, err error) {
	r := k.snapshot()
	g, asked, err = k.once(ctx, how, &r, r.Skew)
	fail, ok := errors.AsType[*Failure](err)
	if !ok || fail.Kind != Refused || fail.Date.IsZero() || how == howRefresh && k.endpoint.canObtain() {
		return g, asked, err
	}
	skew := fail.Date.Sub(k.now()).Round(time.Second)
	if (skew - r.Skew).Abs() <= clockTolerance {
		return g, asked, err
	}
	g, asked, err = k.once(ctx, how, &r, skew)
	if err == nil {
		k.mu.Lock()
		k.record.Skew, k.ownSkew = skew, true
		k.mu.Unlock()
		k.around.Load().Logger.Warn("this machine's clock differs from the token endpoint's", zap.Duration("skew", skew))
	}
	return g, asked, err
}

func (k *Keeper) once(ctx context.Context, how string, r *record, skew time.Duration) (g Grant, asked time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, k.policy.timeout)
	defer cancel()
	asked = k.now()
	err = recovered(func() (err error) {
		if how == howRefresh {
			g, err = k.endpoint.refresh(ctx, r.token(), skew)
		} else {
			g, err = k.endpoint.obtain(ctx, skew)
		}
		return err
	})
	return g, asked, err
}

// errSame is an unchanged token where a new one was needed.
var errSame error = &Failure{Kind: Invalid, Reason: "the endpoint gave the same token again"}

// take judges what the endpoint gave (T10) and makes it the current token.
func (k *Keeper) take(ctx context.Context, v *vault, g Grant, asked time.Time, how string, err error) (outcome, error) {
	if err != nil {
		return outcome{}, err
	}
	prev := k.snapshot()
	r := prev.successor(g, how, asked, &k.policy)
	switch same := g.Access == prev.Access; {
	case g.Access == "":
		return outcome{}, &Failure{Kind: Invalid, Reason: "the endpoint gave an empty token"}
	case !k.now().Before(r.Expires):
		return outcome{}, &Failure{Kind: Invalid, Reason: "the endpoint gave a token that has expired"}
	case same && k.policy.mustDiffer:
		return outcome{}, errSame
	case same && !prev.Dead && !r.Expires.After(prev.Expires.Add(extension)):
		k.unchanged(ctx, v, &r)
		return outcome{how: how, err: errUnchanged}, nil
	}
	return k.store(ctx, v, prev, r, how), nil
}

// unchanged notes a successful call that moved nothing: the generation stays,
// and so does its expiry, but the refresh token counts as what came back.
func (k *Keeper) unchanged(ctx context.Context, v *vault, r *record) {
	k.mu.Lock()
	if r.Refresh != "" {
		k.record.Refresh = r.Refresh
		k.record.Spent = time.Time{}
	}
	k.record.RefusedUntil, k.record.RefusedCount = time.Time{}, 0
	c := k.record
	k.mu.Unlock()
	if err := k.save(ctx, v, c); err != nil && !errors.Is(err, errNoStorage) {
		k.around.Load().Logger.Debug("token record not stored", zap.Error(err))
	}
}

// conclude ends a renewal that got no token. A refusal is remembered in the
// vault, so neither a restart nor another instance asks again too soon.
func (k *Keeper) conclude(ctx context.Context, v *vault, err error, how string) outcome {
	o := outcome{how: how, err: err}
	if fail, ok := errors.AsType[*Failure](err); !ok || fail.Kind != Refused {
		return o
	}
	if adopted := k.read(ctx, v); adopted != nil {
		return outcome{how: howAdopt, token: adopted}
	}
	k.mu.Lock()
	r := &k.record
	r.RefusedCount++
	r.RefusedUntil = k.now().Add(refusal(r.RefusedCount, k.policy.retryRefused))
	c := *r
	k.mu.Unlock()
	log := k.around.Load().Logger
	log.Error("signing in was refused; not trying again before", zap.Time("until", c.RefusedUntil), zap.Error(err))
	if err := k.save(ctx, v, c); err != nil && !errors.Is(err, errNoStorage) {
		log.Debug("refusal not stored", zap.Error(err))
	}
	return o
}

func (k *Keeper) snapshot() record {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.record
}
