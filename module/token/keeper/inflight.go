package keeper

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/module/storage"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// inflight is one renewal under way, shared by all who need its result. It runs in a
// goroutine of its own: it goes on when a caller leaves, a panic in it is an error for
// everybody, and each caller waits on its own context.
type inflight struct {
	done     chan struct{}
	err      error          // valid after done
	store    *store         // nil without a storage
	replaces uint64         // the generation to replace
	forced   bool           // whatever the state
	saveOnly bool           // not a renewal: it changes nothing in the schedule
	consent  *token.Consent // what to exchange; a failure changes nothing in the schedule
}

// attempted reports, when the work is done, whether it tried to renew.
func (f *inflight) attempted() bool {
	return !f.saveOnly && f.consent == nil && !errors.Is(f.err, errTooEarly) && !errors.Is(f.err, errElsewhere)
}

// outcome is the result of the work in flight.
type outcome struct {
	how   string
	token *token.Token // the token that is served now, if it changed
	err   error
}

var (
	// errTooEarly: no call may be made yet. The state says until when and why.
	errTooEarly = errors.New("waiting before the next attempt")
	// errElsewhere: another instance sent the refresh token a moment ago.
	errElsewhere = errors.New("another instance is renewing")
	// errUnchanged: the endpoint gave the token that is held, with its expiry.
	errUnchanged = errors.New("the endpoint gave the same token")
	errNothing   = errors.New("the source has no token endpoint")
	errRenewal   = errors.New("the renewal gave no valid token")
)

// noConsentError says that there is nothing to renew before somebody consents.
type noConsentError struct{ why string }

func (e *noConsentError) Error() string { return e.why }

func isNoConsent(err error) bool {
	_, ok := errors.AsType[*noConsentError](err)
	return ok
}

// waitForToken is Token when no valid token is held.
func (k *Keeper) waitForToken(ctx context.Context) (*token.Token, error) {
	if !k.renewable() {
		return nil, &token.NoTokenError{Source: k.policy.Name, RetryAfter: token.MaxWait, Cause: errNothing}
	}
	k.Start()
	for {
		k.mu.Lock()
		if t := k.Current(); t != nil {
			k.mu.Unlock()
			return t, nil
		}
		if !k.wanted {
			k.wanted = true
			k.wakeLoop()
		}
		if k.awaitsConsent() {
			cause := k.consentCause()
			k.mu.Unlock()
			return nil, &token.NoTokenError{Source: k.policy.Name, RetryAfter: pollEvery, Cause: cause}
		}
		changed := k.changed
		var done <-chan struct{}
		var expire <-chan time.Time
		now := k.now()
		wait, cause := k.backoffLeft(now)
		if wait > 0 && k.inflight == nil {
			if k.record.RefusedUntil.After(now) || patienceLeft(ctx) < wait {
				k.mu.Unlock()
				return nil, &token.NoTokenError{Source: k.policy.Name, RetryAfter: wait, Cause: cause}
			}
			expire = time.After(wait)
		} else {
			done = k.joinOrStart(false).done
		}
		k.mu.Unlock()

		select {
		case <-done:
		case <-changed:
		case <-expire:
		case <-ctx.Done():
		}
		if ctx.Err() != nil && k.Current() == nil {
			return nil, &token.NoTokenError{Source: k.policy.Name, RetryAfter: time.Second, Cause: ctx.Err()}
		}
	}
}

// joinOrStart returns the renewal under way, or starts one. The caller holds k.mu.
func (k *Keeper) joinOrStart(forced bool) *inflight {
	if k.inflight == nil {
		k.start(&inflight{replaces: k.record.Generation, forced: forced}, k.renew)
	}
	return k.inflight
}

// start starts work. The caller holds k.mu and has checked that none is in flight.
func (k *Keeper) start(f *inflight, work func(context.Context, *inflight) outcome) {
	f.done = make(chan struct{})
	k.inflight = f
	go k.run(f, work)
}

// run does the work. Its context holds nothing of the request that
// happened to start it: the values that reverse_proxy leaves there would make
// Caddy's transport dial the API instead of the token endpoint.
func (k *Keeper) run(f *inflight, work func(context.Context, *inflight) outcome) {
	limit := attachGrace + lockWait + 3*k.policy.Timeout + 6*storage.Limit
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	began := k.clock()

	var o outcome
	if err := storage.Recover(func() error { o = work(ctx, f); return nil }); err != nil {
		o = outcome{how: howObtain, err: err}
	}

	k.mu.Lock()
	k.finish(f, &o)
	failures := k.failures
	if f.forced {
		failures = 1 // somebody waits for it
	}
	f.err = o.err
	k.inflight = nil
	k.wakeLoop()
	k.mu.Unlock()
	close(f.done)
	k.report(o, failures, k.clock().Sub(began))
}

// finish updates the schedule after the work. The caller holds k.mu.
func (k *Keeper) finish(f *inflight, o *outcome) {
	now := k.now()
	valid := k.current.Load().Valid(now)
	if f.consent != nil {
		return
	}
	if isNoConsent(o.err) {
		k.unconsented = true
		return
	}
	switch {
	case f.saveOnly, o.err == nil && (valid || k.record.Generation > f.replaces):
		// a token that the API refused meanwhile was a token
	case o.err == nil:
		o.err = errRenewal
		k.countFailure(f, o.err, now)
	case errors.Is(o.err, errElsewhere):
		k.due = now.Add(time.Second + scale(k.policy.Timeout, k.random()))
	case errors.Is(o.err, errUnchanged):
		k.scheduleUnchanged(now)
	case errors.Is(o.err, errTooEarly):
	default:
		k.countFailure(f, o.err, now)
	}
	if wait, _ := k.backoffLeft(now); !valid && o.err != nil && wait <= 0 {
		k.startBackoff(now, shortestBackoff) // whatever went wrong, no caller may retry in a tight loop
	}
	if f.forced && errors.Is(o.err, errUnchanged) {
		o.err = nil
	}
}

// scheduleUnchanged schedules the next attempt after the endpoint gave the token that
// is held: at its end at the latest, as many endpoints give a new one only then. The
// caller holds k.mu.
func (k *Keeper) scheduleUnchanged(now time.Time) {
	k.endBackoff()
	wait := unchangedPause(k.record.Expires.Sub(now), k.random())
	if k.record.Suspect {
		wait = min(wait, suspectPause)
	}
	k.due = earlier(now.Add(wait), later(k.record.Expires, now))
}

// countFailure counts a failure and backs off, until the end of a token that is held
// at the latest. What an operator tried by hand doesn't change the schedule. The
// caller holds k.mu.
func (k *Keeper) countFailure(f *inflight, err error, now time.Time) {
	k.lastErr = err
	if f.forced {
		return
	}
	held := k.current.Load().Valid(now)
	switch {
	case held:
		k.failures++
		k.quickRetries = maxQuickRetries
	case k.quickRetries > 0:
		k.quickRetries--
		k.failures = 1
		k.startBackoff(now, shortestBackoff)
		return
	default:
		k.failures++
	}
	wait := backoffAfter(k.failures, k.random())
	if busy, ok := errors.AsType[*token.Failure](err); ok && busy.Kind == token.Busy && busy.RetryAfter > 0 {
		wait = max(busy.RetryAfter, shortestBackoff)
	}
	if held {
		wait = min(wait, k.record.Expires.Sub(now))
	}
	k.startBackoff(now, wait)
}

// report logs the outcome and notifies the observer. The first failure in a row is a
// warning, then every tenth.
func (k *Keeper) report(o outcome, failures int, took time.Duration) {
	env := k.env.Load()
	switch {
	case o.err == nil && o.token != nil:
		k.notifyRenewed(o.token, o.how, took)
	case o.err == nil, errors.Is(o.err, errElsewhere), errors.Is(o.err, errTooEarly), errors.Is(o.err, errUnchanged):
		if o.err != nil {
			env.Logger.Debug("token not renewed", zap.Error(o.err))
		}
	case isNoConsent(o.err):
		env.Logger.Warn("token source waits for a consent", zap.Error(o.err))
	default:
		log := env.Logger.Debug
		if failures%10 == 1 {
			log = env.Logger.Warn
		}
		fields := []zap.Field{zap.String("how", o.how), zap.Error(o.err), zap.Int("failures", failures)}
		if p, ok := errors.AsType[*storage.PanicError](o.err); ok {
			log = env.Logger.Error
			fields = append(fields, zap.ByteString("stack", p.Stack))
		}
		log("token renewal failed", fields...)
		if env.Events != nil {
			env.Events.Failed(k.policy.Name, o.err, o.how)
		}
	}
}

func (k *Keeper) notifyRenewed(t *token.Token, how string, took time.Duration) {
	env := k.env.Load()
	env.Logger.Info("token renewed", zap.String("how", how),
		zap.Uint64("generation", t.Generation), zap.String("fingerprint", t.Fingerprint()),
		zap.Time("expires", t.Expires), zap.Duration("took", took))
	if env.Events != nil {
		env.Events.Renewed(k.policy.Name, t, how, took)
	}
}
