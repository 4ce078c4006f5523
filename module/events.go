package switchboard

import (
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/module/token"
)

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
