package api

import (
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/mask"
	"github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/transport"
)

// run is one call on its way through the stages.
type run struct {
	api   *API
	w     http.ResponseWriter
	r     *http.Request
	repl  *caddy.Replacer
	clock *budget // the context of everything; ends with the budget
	start time.Time

	id       string
	upstream string // host:port of a target that is kept with the token
	input    *call.Input
	request  map[string]any // $request, once a program asks for it
	attempt  transport.Attempt
	recorder recorder

	vars    [4]any // of programs that look at the answer; see answerVars
	doc     any    // the API's answer
	output  any    // ours
	outcome call.Outcome
	reason  string // why, for the log; safe to show
	status  int    // HTTP status of a refusal, when not the outcome's own
	timing  timing
	// reserved gives back the memory of large documents
	reserved []func()
}

// timing is where the time of a call went.
type timing struct {
	receive, request, output time.Duration
}

// noteForAccessLog adds the call's fields to the line of the access log, where
// there is one.
func (c *run) noteForAccessLog() {
	ctx := c.r.Context()
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); !ok || server == nil || server.Logs == nil {
		return
	}
	if extra, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Add(zap.Inline(logged{c.api.Name, string(c.outcome), c.id}))
	}
}

// logged are the fields that an access log line gets of a call.
type logged struct{ api, outcome, callID string }

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (l logged) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("api", l.api)
	enc.AddString("outcome", l.outcome)
	enc.AddString("call_id", l.callID)
	return nil
}

// placeholder gives the placeholders of a call.
func (c *run) placeholder(key string) (any, bool) {
	switch key {
	case "http.api.name":
		return c.api.Name, true
	case "http.api.outcome":
		return string(c.outcome), true
	case "http.api.call_id":
		return c.id, true
	case "http.api.upstream":
		return c.upstream, true
	default:
		return nil, false
	}
}

func (a *API) begin(w http.ResponseWriter, r *http.Request) *run {
	c := &run{api: a, w: w, r: r, start: time.Now()}
	c.repl = r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	c.attempt.Part = a.programs.part
	c.repl.Map(c.placeholder)
	c.clock = a.budgets.start(r.Context())
	return c
}

// fail ends the call with an outcome and its reason. It returns false, for a
// stage to return.
func (c *run) fail(outcome call.Outcome, reason string) bool {
	c.outcome, c.reason = outcome, reason
	return false
}

// refuse ends the call because of what the caller sent.
func (c *run) refuse(status int, outcome call.Outcome, reason string) bool {
	c.status = status
	return c.fail(outcome, reason)
}

// end counts and logs the call, whatever became of it.
func (c *run) end() {
	c.clock.stop()
	c.recorder.free()
	for _, release := range c.reserved {
		release()
	}
	took := time.Since(c.start)
	a := c.api
	a.metrics.Ended(c.outcome, took)
	a.metrics.Step(module.StepReceive, c.timing.receive)
	a.metrics.Step(module.StepRequest, c.timing.request)
	a.metrics.Step(module.StepToken, c.attempt.TokenWait)
	a.metrics.Step(module.StepCall, c.attempt.Upstream)
	a.metrics.Step(module.StepOutput, c.timing.output)

	c.noteForAccessLog()
	level := zapcore.DebugLevel
	if !c.outcome.Answered() && c.outcome != call.Canceled {
		level = zapcore.WarnLevel
	}
	if entry := a.logger.Check(level, "call"); entry != nil {
		entry.Write(
			zap.String("api", a.Name),
			zap.String("outcome", string(c.outcome)),
			zap.String("call_id", c.id),
			zap.String("reason", mask.Text(c.reason)),
			zap.Bool("replayed", c.attempt.Replayed),
			zap.Duration("token_wait", c.attempt.TokenWait),
			zap.Duration("upstream", c.attempt.Upstream),
			zap.Duration("duration", took),
		)
	}
}
