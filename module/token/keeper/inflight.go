package token

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"go.uber.org/zap"
)

// flight is one renewal, shared by all who need its result. Its worker is a
// goroutine of its own: no caller's end ends it, a panic in it is an error for
// everybody, and each caller waits on its own context.
type flight struct {
	done   chan struct{}
	err    error  // valid after done
	basis  uint64 // the generation to replace
	forced bool   // whatever the state
	aside  bool   // not a renewal: it changes nothing in the schedule
}

// settles tells, when the flight is done, whether it tried to renew.
func (f *flight) settles() bool {
	return !f.aside && !errors.Is(f.err, errHeld) && !errors.Is(f.err, errElsewhere)
}

// outcome is how a flight ended.
type outcome struct {
	how   string
	token *Token // the token that is served now, if it changed
	err   error
}

var (
	// errHeld: no call may be made yet. The state tells until when and why.
	errHeld = errors.New("waiting before the next attempt")
	// errElsewhere: another instance sent the refresh token a moment ago.
	errElsewhere = errors.New("another instance is renewing")
	// errUnchanged: the endpoint gave the token that is held, with its expiry.
	errUnchanged = errors.New("the endpoint gave the same token")
	errNothing   = errors.New("the source has no token endpoint")
	errRenewal   = errors.New("the renewal gave no valid token")
)

type panicError struct {
	value string
	stack []byte
}

func (e *panicError) Error() string { return "panic (" + e.value + ")" }

func stack() []byte { return debug.Stack() }

// await is Token without a valid token.
func (k *Keeper) await(ctx context.Context) (*Token, error) {
	if !k.able() {
		return nil, &NoTokenError{Source: k.policy.name, RetryAfter: longestRefusal, Cause: errNothing}
	}
	k.Start()
	for {
		k.mu.Lock()
		if t := k.Current(); t != nil {
			k.mu.Unlock()
			return t, nil
		}
		k.wanted = true
		changed := k.changed
		var done <-chan struct{}
		var timer *time.Timer
		var expire <-chan time.Time
		wait, cause := k.hold(k.now())
		if wait > 0 && k.flight == nil {
			if k.refusedNow() || patience(ctx) < wait {
				k.mu.Unlock()
				return nil, &NoTokenError{Source: k.policy.name, RetryAfter: wait, Cause: cause}
			}
			timer = time.NewTimer(wait)
			expire = timer.C
		} else {
			done = k.join(false).done
		}
		k.mu.Unlock()

		select {
		case <-done:
		case <-changed:
		case <-expire:
		case <-ctx.Done():
		}
		if timer != nil {
			timer.Stop()
		}
		if ctx.Err() != nil && k.Current() == nil {
			return nil, &NoTokenError{Source: k.policy.name, RetryAfter: time.Second, Cause: ctx.Err()}
		}
	}
}

// join gives the flight that runs, or starts one. The caller holds k.mu.
func (k *Keeper) join(forced bool) *flight {
	if k.flight == nil {
		k.launch(&flight{done: make(chan struct{}), basis: k.record.Generation, forced: forced}, k.renew)
	}
	return k.flight
}

// launch starts a flight. The caller holds k.mu and has looked that none runs.
func (k *Keeper) launch(f *flight, work func(context.Context, *flight) outcome) {
	k.flight = f
	go k.fly(f, work)
}

// fly does a flight's work. Its context holds nothing of the request that
// happened to start it: the values that reverse_proxy leaves there would make
// Caddy's transport dial the API instead of the token endpoint.
func (k *Keeper) fly(f *flight, work func(context.Context, *flight) outcome) {
	limit := attachGrace + lockPatience + 3*k.policy.timeout + 6*storageLimit
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	began := k.clock()

	var o outcome
	if err := recovered(func() error { o = work(ctx, f); return nil }); err != nil {
		o = outcome{how: howObtain, err: err}
	}

	k.mu.Lock()
	k.land(f, &o)
	failures := k.failures
	if f.forced {
		failures = 1 // somebody waits for it
	}
	f.err = o.err
	k.flight = nil
	k.nudge()
	k.mu.Unlock()
	close(f.done)
	k.report(o, failures, k.clock().Sub(began))
}

// land draws the consequences of a flight's end. The caller holds k.mu.
func (k *Keeper) land(f *flight, o *outcome) {
	now := k.now()
	valid := k.current.Load().Valid(now)
	switch {
	case f.aside, o.err == nil && (valid || k.record.Generation > f.basis):
		// a token that the API refused meanwhile was a token
	case o.err == nil:
		o.err = errRenewal
		k.fail(f, o.err, now)
	case errors.Is(o.err, errElsewhere):
		k.due = now.Add(time.Second + part(k.policy.timeout, k.random()))
	case errors.Is(o.err, errUnchanged):
		k.unchangedUntil(now)
	case errors.Is(o.err, errHeld):
	default:
		k.fail(f, o.err, now)
	}
	if hold, _ := k.hold(now); !valid && o.err != nil && hold <= 0 {
		k.pause(now, shortestBackoff) // whatever went wrong, nobody may spin on it
	}
	if f.forced && errors.Is(o.err, errUnchanged) {
		o.err = nil
	}
}

// unchangedUntil plans the next look after the endpoint gave the token that is
// held: at its end at the latest, as many endpoints give a new one only then. The
// caller holds k.mu.
func (k *Keeper) unchangedUntil(now time.Time) {
	k.release()
	wait := unchangedPause(k.record.Expires.Sub(now), k.random())
	if k.record.Suspect {
		wait = min(wait, suspectPause)
	}
	k.due = earlier(now.Add(wait), later(k.record.Expires, now))
}

// fail counts a failure and backs off, until the end of a token that is held at
// the latest. What an operator tried by hand changes no schedule. The caller
// holds k.mu.
func (k *Keeper) fail(f *flight, err error, now time.Time) {
	k.lastErr = err
	if f.forced {
		return
	}
	held := k.current.Load().Valid(now)
	switch {
	case held:
		k.failures++
		k.quick = quickTries
	case k.quick > 0:
		k.quick--
		k.failures = 1
		k.pause(now, shortestBackoff)
		return
	default:
		k.failures++
	}
	wait := backoff(k.failures, k.random())
	if busy, ok := errors.AsType[*Failure](err); ok && busy.Kind == Busy && busy.RetryAfter > 0 {
		wait = max(busy.RetryAfter, shortestBackoff)
	}
	if held {
		wait = min(wait, k.record.Expires.Sub(now))
	}
	k.pause(now, wait)
}

// report tells the log and the observer. The first failure in a row is a
// warning, then every tenth.
func (k *Keeper) report(o outcome, failures int, took time.Duration) {
	env := k.around.Load()
	switch {
	case o.err == nil && o.token != nil:
		k.renewed(o.token, o.how, took)
	case o.err == nil, errors.Is(o.err, errElsewhere), errors.Is(o.err, errHeld), errors.Is(o.err, errUnchanged):
		if o.err != nil {
			env.Logger.Debug("token not renewed", zap.Error(o.err))
		}
	default:
		log := env.Logger.Debug
		if failures%10 == 1 {
			log = env.Logger.Warn
		}
		fields := []zap.Field{zap.String("how", o.how), zap.Error(o.err), zap.Int("failures", failures)}
		if p, ok := errors.AsType[*panicError](o.err); ok {
			log = env.Logger.Error
			fields = append(fields, zap.ByteString("stack", p.stack))
		}
		log("token renewal failed", fields...)
		if env.Events != nil {
			env.Events.Failed(k.policy.name, o.err, o.how)
		}
	}
}

func (k *Keeper) renewed(t *Token, how string, took time.Duration) {
	env := k.around.Load()
	env.Logger.Info("token renewed", zap.String("how", how),
		zap.Uint64("generation", t.Generation), zap.String("fingerprint", t.Fingerprint()),
		zap.Time("expires", t.Expires), zap.Duration("took", took))
	if env.Events != nil {
		env.Events.Renewed(k.policy.name, t, how, took)
	}
}
