package module

import (
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// The events that this app emits.
const (
	EventTokenRenewed = "token_renewed"
	EventTokenFailed  = "token_failed"
	EventAPIDegraded  = "api_degraded"
	EventAPIHeld      = "api_held"
)

// emitter sends Caddy events. Their handlers may take their time, so nobody
// waits for them.
type emitter struct {
	ctx caddy.Context
	app *caddyevents.App
}

func newEmitter(ctx caddy.Context) (*emitter, error) {
	app, err := ctx.App("events")
	if err != nil {
		return nil, err
	}
	return &emitter{ctx: ctx, app: app.(*caddyevents.App)}, nil
}

func (e *emitter) emit(name string, data map[string]any) {
	if e == nil || !e.app.ShouldEmit(name) {
		return
	}
	go e.app.Emit(e.ctx, name, data)
}

// observer turns what keepers tell into metrics and events.
type observer struct {
	metrics *Metrics
	events  *emitter
}

// Renewed tells that a source holds a new token.
func (o observer) Renewed(name string, t *token.Token, how string, took time.Duration) {
	o.metrics.renewed(name, how, "ok", took)
	o.events.emit(EventTokenRenewed, map[string]any{
		"token": name, "how": how, "generation": t.Generation,
		"expires": t.Expires, "fingerprint": t.Fingerprint(),
	})
}

// Failed tells that an attempt to get a token failed.
func (o observer) Failed(name string, err error, how string) {
	o.metrics.renewed(name, how, "failed", 0)
	o.events.emit(EventTokenFailed, map[string]any{
		"token": name, "how": how, "error": err.Error(),
	})
}

var _ token.Observer = observer{}
