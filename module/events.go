package switchboard

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// An API that fails every other call must not change its state with every other
// call. An API that rejects some callers, or accepts no token for some records,
// is healthy.
const (
	// How long after the last failed call a real answer ends the degradation.
	recoverAfter = 5 * time.Second
	// How long after the last failed call the degradation ends without a real
	// answer, because the API may no longer be called.
	quietPeriod = 5 * time.Minute
	// How many refusals in a row count as a failure.
	manyRefusals = 10
)

// degraded tracks whether callers get the API's own answers, or stale answers,
// defaults and errors.
type degraded struct {
	on       atomic.Bool
	refusals atomic.Int32 // in a row

	transitions sync.Mutex // guards the fields below, and keeps reports in order
	last        time.Time  // when the last call failed
	since       time.Time  // when it turned on
	timer       *time.Timer
	stopped     bool // no configuration uses the API any more
}

// Degraded reports whether callers get stale answers, defaults or errors.
func (s *APIState) Degraded() bool { return !s.DegradedSince().IsZero() }

// DegradedSince returns since when callers get stale answers, defaults or errors;
// the zero time if they get the API's own.
func (s *APIState) DegradedSince() time.Time {
	if s == nil || !s.on.Load() {
		return time.Time{}
	}
	s.transitions.Lock()
	defer s.transitions.Unlock()
	if !s.on.Load() || time.Since(s.last) >= quietPeriod {
		return time.Time{}
	}
	return s.since
}

// transition is a change of the state. outcome is that of the call that caused it, ""
// if no call did.
type transition struct {
	degraded bool
	since    time.Time
	outcome  call.Outcome
}

// count counts an outcome, and calls report if it changes the state. Changes are
// reported one at a time. If the degradation ends without a call, later is
// called.
func (d *degraded) count(outcome call.Outcome, report, later func(transition)) {
	own := outcome.Answered() && outcome != call.Stale
	switch {
	case outcome.CausedByCaller():
		return // says nothing about the API
	case outcome == call.Rejected, outcome == call.TokenRefused:
		if d.refusals.Load() < manyRefusals && d.refusals.Add(1) < manyRefusals {
			return
		}
	case own && d.refusals.Load() != 0:
		d.refusals.Store(0)
	}
	if own && !d.on.Load() {
		return // the usual case
	}
	d.transitions.Lock()
	defer d.transitions.Unlock()
	now := time.Now()
	if !own {
		d.last = now
	}
	if own && now.Sub(d.last) < recoverAfter || !d.on.CompareAndSwap(own, !own) {
		return
	}
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if own {
		report(transition{since: d.since, outcome: outcome})
		return
	}
	d.since = now
	d.await(quietPeriod, later)
	report(transition{true, now, outcome})
}

// await ends the degradation if no call fails for long enough. d.transitions must be
// held.
func (d *degraded) await(after time.Duration, report func(transition)) {
	if d.stopped {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(after, func() {
		d.transitions.Lock()
		defer d.transitions.Unlock()
		if d.timer != timer {
			return // it has ended, or a new timer is set
		}
		if left := quietPeriod - time.Since(d.last); left > 0 {
			d.await(left, report)
			return
		}
		d.timer = nil
		d.on.Store(false)
		d.refusals.Store(0)
		report(transition{since: d.since})
	})
	d.timer = timer
}

// stop cancels the timer that await has set.
func (d *degraded) stop() {
	d.transitions.Lock()
	defer d.transitions.Unlock()
	d.stopped = true
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

// Answered tracks how a call of an API ended. It reports when callers begin to
// get stale answers and defaults, and when the API recovers. An outcome that says
// nothing about the API doesn't count: the caller sent too little, was refused or
// disconnected.
func (a *App) Answered(s *APIState, outcome call.Outcome) {
	s.count(outcome, func(t transition) { a.reportTransition(s, t) }, func(t transition) {
		if now, err := running(); err == nil { // it may have been replaced since
			now.reportTransition(s, t)
		}
	})
}

// reportTransition logs a change of the state, and emits its event.
func (a *App) reportTransition(s *APIState, t transition) {
	fields := []zap.Field{zap.String("api", s.name), zap.Time("since", t.since)}
	data := map[string]any{"api": s.name, "degraded": t.degraded, "since": t.since.UTC().Format(time.RFC3339)}
	if t.outcome != "" {
		fields = append(fields, zap.String("outcome", string(t.outcome)))
		data["outcome"] = string(t.outcome)
	}
	if t.degraded {
		a.logger.Warn("api degraded: serving stale answers, defaults or errors", fields...)
	} else {
		a.logger.Info("api recovered", fields...)
	}
	a.events.emit(EventAPIDegraded, data)
}

// The events that this app emits.
const (
	EventTokenRenewed = "token_renewed"
	EventTokenFailed  = "token_failed"
	EventAPIDegraded  = "api_degraded"
	EventAPIHeld      = "api_held"
)

// emitter sends Caddy events. Their handlers may be slow, so events are sent in
// the background, but events with the same name arrive in order.
type emitter struct {
	ctx caddy.Context
	app *caddyevents.App

	mu      sync.Mutex
	waiting map[string][]map[string]any // queues by name, each with its own goroutine
}

func newEmitter(ctx caddy.Context) (*emitter, error) {
	app, err := ctx.App("events")
	if err != nil {
		return nil, err
	}
	return &emitter{ctx: ctx, app: app.(*caddyevents.App), waiting: make(map[string][]map[string]any)}, nil
}

func (e *emitter) emit(name string, data map[string]any) {
	if e == nil || !e.app.ShouldEmit(name) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	queue, working := e.waiting[name]
	e.waiting[name] = append(queue, data)
	if !working {
		go e.deliver(name)
	}
}

// deliver sends the queued events with one name.
func (e *emitter) deliver(name string) {
	for {
		data, ok := e.next(name)
		if !ok {
			return
		}
		e.app.Emit(e.ctx, name, data)
	}
}

func (e *emitter) next(name string) (data map[string]any, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	queue := e.waiting[name]
	if len(queue) == 0 {
		delete(e.waiting, name)
		return nil, false
	}
	e.waiting[name] = queue[1:]
	return queue[0], true
}

// observer turns the keepers' reports into metrics and events.
type observer struct {
	metrics *Metrics
	events  *emitter
}

// Renewed reports that a source has a new token.
func (o observer) Renewed(name string, t *token.Token, how string, took time.Duration) {
	o.metrics.renewed(name, how, "ok", took)
	o.events.emit(EventTokenRenewed, map[string]any{
		"token": name, "how": how, "generation": t.Generation,
		"expires": t.Expires, "fingerprint": t.Fingerprint(),
	})
}

// Failed reports that an attempt to get a token failed.
func (o observer) Failed(name string, err error, how string) {
	o.metrics.renewed(name, how, "failed", 0)
	o.events.emit(EventTokenFailed, map[string]any{
		"token": name, "how": how, "error": err.Error(),
	})
}

var _ token.Observer = observer{}
