package endpoint

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/switchboard-ivr/switchboard/internal/answer"
	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/module/span"
)

// Part is a call that another call makes: a part of its chain (`with`).
type Part struct {
	Params map[string]any
	// Raw is the params as JSON, where the API's request takes the caller's body.
	Raw []byte
	// Deadline ends the part before the call's budget does; zero for no such limit.
	Deadline time.Time
	// Placeholders keep the values that they have for the call.
	Placeholders []string
	// Request reports that a program uses $request.
	Request bool
	// Test holds the options of a test; nil in production.
	Test *TestOptions
}

// ErrChainEnded is the cancellation cause of parts that are still running when
// another one has ended the chain.
var ErrChainEnded = errors.New("the chain has ended")

// partOf is what a part knows of the call that it belongs to.
type partOf struct {
	late bool // it began when a large part of the budget was over
}

// beganLate reports whether so much of the budget was over when the part began that
// a timeout says nothing about its API.
func (p *partOf) beganLate() bool { return p != nil && p.late }

// BeganLate reports whether the call is a part that began so late that a timeout says
// nothing about its API.
func (c *Call) BeganLate() bool { return c.part.beganLate() }

// BeginPart prepares a part of the call of. It must not run at the same time for two
// parts of a call. ctx is derived from the call's Ctx. The part has a request, a
// writer and a replacer of its own, because parts run side by side, and Caddy doesn't
// guard those of the call against a second goroutine.
//
// The part ends with the call's budget. Its caller is that of the call: nobody is
// authorized a second time. It must end with End and ReleasePart.
func (c *Call) BeginPart(ctx context.Context, of *Call, route *Route, p Part) {
	if p.Test != nil {
		ctx = WithTest(ctx, p.Test)
	}
	if of.sends != nil { // a part sends no write
		ctx = context.WithValue(ctx, writeOf{}, (*write)(nil))
	}
	if inner, traced := span.Start(ctx, span.Call, false); traced.Recorded() {
		ctx, c.span = inner, traced
	}
	r := of.R.WithContext(ctx)
	u := *r.URL
	u.RawQuery, u.ForceQuery = "", false
	r.URL = &u
	if r.Method == http.MethodHead { // the answer is needed
		r.Method = http.MethodGet
	}
	c.R, c.W, c.Repl = of.unconnected(r, p.Placeholders)
	c.Ctx = of.Ctx.part(c.R.Context(), p.Deadline)
	c.Room.Context = c.Ctx //nolint:fatcontext // one call has one context
	c.started, c.waitedBefore = time.Now(), jsonval.Crowded()
	c.part = &partOf{late: c.started.Sub(of.started) > of.Route.Budget()/4}
	c.Route, c.Test = route, p.Test
	if p.Test != nil {
		c.Route = route.uncounted()
	}
	c.ID, c.Principal = of.ID, of.Route.principalElsewhere(of.Principal)
	c.Input = &call.Input{Params: call.Given(p.Params), Body: p.Params, Raw: p.Raw, ContentType: "application/json"}
	if p.Request || route.asksRequest() {
		ip, _ := caddyhttp.GetVar(c.R.Context(), caddyhttp.ClientIPVarKey).(string)
		c.Request = c.Input.Request(c.R, ip)
	}
}

// principalElsewhere returns a principal of this route as other routes may know it.
// The name of a key or of an issuer's client means nothing beyond the route.
func (r *Route) principalElsewhere(principal string) string {
	if principal == "" || r.Gate == nil || r.Gate.mode == "user" {
		return principal
	}
	return r.Name + ": " + principal
}

// part returns the budget of a part of the call: it ends with the call's, or at the
// deadline, unless that is zero.
func (b *Budget) part(ctx context.Context, deadline time.Time) *Budget {
	end, _ := b.Deadline()
	if deadline.IsZero() || !deadline.Before(end) {
		ctx, cancel := context.WithCancelCause(ctx)
		return &Budget{Context: ctx, cancel: cancel, of: b.of, deadline: end}
	}
	ctx, cancel := context.WithDeadlineCause(ctx, deadline, errBudget)
	return &Budget{Context: ctx, cancel: func(error) { cancel() }, of: b.of, deadline: deadline}
}

// KeepsValues makes the route's cache keep answers as values too, for chains. It is
// safe for concurrent use.
func (r *Route) KeepsValues() {
	if r.cache != nil {
		r.cache.values.Store(true)
	}
}

// Value returns the answer of a part: the output under the contract, or the defaults
// where there is none, with the outcome in statusField, "" for no such key. It is a
// value as of format json, whatever the route's own format is.
func (c *Call) Value(statusField string) (v any, err error) {
	switch {
	case c.Outcome == call.NotFound || !c.Outcome.Answered():
	case c.text != nil:
		if v, err = jsonval.Decode(c.source, jsonval.Limits{Bytes: len(c.source), Room: &c.Room}); err != nil {
			return nil, err
		}
	default:
		v = c.Output
	}
	object, ok := v.(map[string]any)
	switch {
	case c.Route.Contract != nil:
		if object, err = c.Route.Contract.Apply(c.Route.named(v), answer.JSON); err != nil {
			return nil, err
		}
	case v == nil:
		object = map[string]any{}
	case !ok:
		return v, nil
	default:
		object = maps.Clone(object)
	}
	if statusField != "" {
		c.mark(object, statusField)
	}
	return object, nil
}

// ReleasePart releases the memory of a part's answer. It must be called when the call
// that the part belongs to has ended.
func (c *Call) ReleasePart() { c.Room.Release() }

// Age returns the age of a stale answer.
func (c *Call) Age() time.Duration { return c.age }

// Older makes the answer a stale one, because a part of it is that old. It says
// nothing about the API itself.
func (c *Call) Older(age time.Duration) { c.Outcome, c.age, c.Uncharged = call.Stale, age, true }

// NotStored returns why the answer of the call was not stored; "" if it was, or if
// there is no cache.
func (c *Call) NotStored() string { return c.cached.notStored }
