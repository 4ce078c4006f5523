package endpoint

import (
	"context"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/internal/mask"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/span"
)

// Call is one call on its way through the stages of its handler. It belongs to
// one goroutine.
type Call struct {
	Route *Route
	W     http.ResponseWriter
	R     *http.Request
	Repl  *caddy.Replacer
	Ctx   *Budget      // the context of everything; ends with the budget
	Room  jsonval.Room // the memory of large documents, until the call ends

	ID        string         // of the phone call
	Principal string         // who calls, as far as the handler's auth can tell
	Input     *call.Input    // what the phone system sent; nil when unread
	Request   map[string]any // $request, once a program asks for it

	Result
	Output any // what the phone system is to know
	// FromCaller reports that the output depends on what the caller sent: where it
	// can't be written, the API isn't at fault.
	FromCaller bool

	// Test are the options of a test call; nil in production.
	Test *TestOptions

	started      time.Time
	waitedBefore time.Duration // when it began, see jsonval.Crowded
	detached     bool
	span         span.Span
	cached       cacheUse
	text         []byte        // the answer, when it is written already
	age          time.Duration // of an older answer
}

// Result is how a call ended: what all calls that share a detached one get of it.
type Result struct {
	Outcome    call.Outcome
	Reason     string // why, for the log; safe to show
	Status     int    // HTTP status, when not the outcome's own
	RetryAfter time.Duration

	Received int // HTTP status of the API's answer, 0 for none
	Replayed bool
	// Uncharged reports that the outcome says nothing about the API: the caller, or
	// this instance, is at fault.
	Uncharged bool
	Obtained  time.Time // when the token that was sent was obtained; zero for none
	Timing    Timing
	// Work holds the steps between the cache and the contract. It is empty unless the
	// call failed or is a test.
	Work []adminapi.Step
}

// Timing is where the time of a call went.
type Timing struct {
	Receive, Request, Token, Upstream, Output time.Duration
}

// Begin starts the call's budget.
func (c *Call) Begin(route *Route, w http.ResponseWriter, r *http.Request) {
	c.Route, c.W, c.R, c.started = route, w, r, time.Now()
	c.Repl = r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if ctx, traced := span.Start(r.Context(), span.Call, false); traced.Recorded() {
		c.R, c.span = r.WithContext(ctx), traced
	}
	c.Ctx = route.budgets.Start(c.R.Context())
	c.waitedBefore = jsonval.Crowded()
	c.Room.Context = c.Ctx //nolint:fatcontext // one call has one context
	if c.Test = testOf(r.Context()); c.Test != nil {
		c.Route = route.uncounted()
	}
}

// Fail ends the call with an outcome and its reason. It returns false, for a
// stage to return.
func (c *Call) Fail(outcome call.Outcome, reason string) bool {
	c.Outcome, c.Reason = outcome, reason
	return false
}

// Refuse ends the call because of what the caller sent.
func (c *Call) Refuse(status int, outcome call.Outcome, reason string) bool {
	c.Status = status
	return c.Fail(outcome, reason)
}

// Ended ends a call whose time is over or whose phone system hung up, or, when
// neither is the case, as a bad answer.
func (c *Call) Expire(reason string) bool {
	switch {
	case c.Ctx.Spent() && c.Busy():
		return c.Overloaded()
	case c.Ctx.Spent() && c.slowCaller():
		c.Uncharged = true
		return c.Fail(call.Timeout, "the budget ended; much of it was spent on waiting for the caller's request")
	case c.Ctx.Spent():
		return c.Fail(call.Timeout, "the budget ended")
	case c.R.Context().Err() != nil:
		return c.Fail(call.Canceled, "the phone system hung up")
	default:
		return c.Fail(call.BadAnswer, reason)
	}
}

// Crowded reports whether calls have waited for room during much of this one, so
// that its time says nothing of the API. Any goroutine may ask.
func (c *Call) Busy() bool {
	crowded := jsonval.Crowded() - c.waitedBefore
	return crowded > 0 && crowded > c.Route.budgets.Each/4
}

// slowCaller reports whether the caller took so long to send the request that the
// API had too little time left.
func (c *Call) slowCaller() bool { return c.Timing.Receive > c.Ctx.of.Each/4 }

// Overloaded ends a call because this instance had no memory or no time for a large
// answer within the budget, which says nothing of the API.
func (c *Call) Overloaded() bool {
	if c.R.Context().Err() != nil && !c.Ctx.Spent() {
		return c.Fail(call.Canceled, "the phone system hung up")
	}
	c.Uncharged = true
	return c.Fail(call.Timeout, overloadedReason)
}

// noRoom is the reason of a call that was overloaded.
const overloadedReason = "this instance had too many large documents at once to read the answer within the budget"

// End counts and logs the call, whatever became of it.
func (c *Call) End() {
	c.Ctx.Stop()
	c.Room.Release()
	took := time.Since(c.started)
	if !c.cached.isHit && !c.Uncharged { // which says nothing of the API
		c.Route.answered(c.Outcome)
	}
	m := c.Route.Metrics
	m.Ended(c.Outcome, took)
	if c.Test == nil {
		c.Route.State.Count(c.Outcome, took)
	}
	m.Step(switchboard.StepReceive, c.Timing.Receive)
	m.Step(switchboard.StepRequest, c.Timing.Request)
	m.Step(switchboard.StepToken, c.Timing.Token)
	m.Step(switchboard.StepCall, c.Timing.Upstream)
	m.Step(switchboard.StepOutput, c.Timing.Output)

	c.endSpan()
	c.noteForAccessLog()
	level := zapcore.DebugLevel
	switch {
	case c.Test != nil, c.Outcome == call.Canceled, c.Outcome == call.Stale:
	case !c.Outcome.Answered(), c.Reason != "": // a predicate that failed
		level = zapcore.WarnLevel
	}
	if entry := c.Route.Logger.Check(level, "call"); entry != nil {
		entry.Write(
			zap.String("api", c.Route.Name),
			zap.String("outcome", string(c.Outcome)),
			zap.String("call_id", c.ID),
			zap.String("reason", mask.Text(c.Reason)),
			zap.Bool("replayed", c.Replayed),
			zap.String("cache", c.cached.result()),
			c.Test.logged(),
			zap.Duration("token_wait", c.Timing.Token),
			zap.Duration("upstream", c.Timing.Upstream),
			zap.Duration("duration", took),
		)
	}
}

// endSpan tells of the call where requests are traced.
func (c *Call) endSpan() {
	if !c.span.Recorded() {
		return
	}
	c.span.Text("switchboard.api", c.Route.Name)
	c.span.Text("switchboard.outcome", string(c.Outcome))
	c.span.Text("switchboard.cache", c.cached.result())
	if age := c.tokenAge(); age >= 0 {
		c.span.Number("switchboard.token_age", age)
	}
	if !c.Outcome.Answered() {
		c.span.Fail(string(c.Outcome))
	}
	c.span.End()
}

// noteForAccessLog adds the call's fields to the line of the access log, where
// there is one.
func (c *Call) noteForAccessLog() {
	ctx := c.R.Context()
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); !ok || server == nil || server.Logs == nil {
		return
	}
	if extra, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Add(zap.Inline(logged{c.Route.Name, string(c.Outcome), c.ID, c.cached.result(), c.tokenAge()}))
	}
}

// logged are the fields that an access log line gets of a call.
type logged struct {
	api, outcome, callID, cache string
	tokenAge                    int64 // in seconds; negative without a token
}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (l logged) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("api", l.api)
	enc.AddString("outcome", l.outcome)
	enc.AddString("call_id", l.callID)
	if l.cache != "" {
		enc.AddString("cache", l.cache)
	}
	if l.tokenAge >= 0 {
		enc.AddInt64("token_age", l.tokenAge)
	}
	return nil
}

// tokenAge is how old the token was that the call was made with, in seconds;
// negative when none was sent.
func (c *Call) tokenAge() int64 {
	if c.Obtained.IsZero() {
		return -1
	}
	return max(0, int64(time.Since(c.Obtained)/time.Second))
}

// uncounted returns the route for a test, which is no traffic: it counts nothing and
// changes the health of no API.
func (r *Route) uncounted() *Route {
	u := *r
	u.Metrics, u.app = nil, nil
	return &u
}

// answered notes how an answer was come by, for those who watch the API.
func (r *Route) answered(outcome call.Outcome) {
	if r.app != nil {
		r.app.Answered(r.State, outcome)
	}
}

// Trial is what a test asks of a call, and what it is told of it. It is in the
// context of the test's request, and nowhere else: a call without one is not
// traced.
type TestOptions struct {
	DryRun       bool   // stop before the API is called
	DryRunReason string // why it is a dry run: its reason
	NoCache      bool   // ask the API, whatever is cached, and keep nothing

	began    time.Time       // when the test was asked for
	work     []adminapi.Step // once told
	recorded chan struct{}
}

type testKey struct{}

// WithTrial returns a context for a call that is traced.
func WithTest(ctx context.Context, t *TestOptions) context.Context {
	t.recorded, t.began = make(chan struct{}), time.Now()
	return context.WithValue(ctx, testKey{}, t)
}

// apart returns a context for work that a test has begun and doesn't wait for: it
// is no traffic either, and nobody reads its steps.
func (t *TestOptions) detached(ctx context.Context) context.Context {
	if t == nil {
		return ctx
	}
	return WithTest(ctx, new(TestOptions))
}

func testOf(ctx context.Context) *TestOptions {
	t, _ := ctx.Value(testKey{}).(*TestOptions)
	return t
}

// logged marks the line of a test.
func (t *TestOptions) logged() zap.Field {
	if t == nil {
		return zap.Skip()
	}
	return zap.Bool("test", true)
}

// asksAnew reports whether the cache is to be left alone.
func (t *TestOptions) bypassesCache() bool { return t != nil && (t.DryRun || t.NoCache) }

// Tell notes the steps of the work: what is between the cache and the contract. A
// trial has one work, which tells once.
func (t *TestOptions) record(steps []adminapi.Step) {
	if t != nil {
		t.work = steps
		close(t.recorded)
	}
}

// Told keeps the steps of the call's work, and tells them to who watches it.
func (c *Call) RecordSteps(steps []adminapi.Step) {
	c.Work = steps
	c.Test.record(steps)
}

// Work returns the steps of the work, once they are told; none when ctx ends before.
func (t *TestOptions) Work(ctx context.Context) []adminapi.Step {
	select {
	case <-t.recorded:
		return t.work
	case <-ctx.Done():
		return nil
	}
}
