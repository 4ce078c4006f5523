package endpoint

import (
	"container/list"
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
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

// Call is one call on its way through the stages of its handler. It must be used
// by one goroutine only.
type Call struct {
	Route *Route
	W     http.ResponseWriter
	R     *http.Request
	Repl  *caddy.Replacer
	Ctx   *Budget      // the context of all work; ends with the budget
	Room  jsonval.Room // memory reserved for large documents, until the call ends

	ID        string         // of the phone call
	Principal string         // who calls, as far as auth knows
	Input     *call.Input    // what the phone system sent; nil if unread
	Request   map[string]any // $request, if a program uses it

	Result
	Output any // the answer, before contract and format
	// FromCaller reports that the output depends on what the caller sent. If it
	// can't be rendered then, the API isn't at fault.
	FromCaller bool

	// Test holds the options of a test call; nil in production.
	Test *TestOptions

	started      time.Time
	waitedBefore time.Duration // waits for memory before the call began; see Busy
	detached     bool
	span         span.Span
	cached       cacheUse
	once         writeUse
	sends        *write        // the write that this detached call sends
	givenID      string        // the call id, if the phone system sent it as a param
	text         []byte        // the answer, if it is already rendered
	source       []byte        // the output that text was written from, where the cache keeps it
	age          time.Duration // of a stale answer
	part         *partOf       // nil unless the call is a part of a chain
}

// Result is how a call ended. All calls that share a detached one get the same
// Result.
type Result struct {
	Outcome    call.Outcome
	Reason     string // why it ended so, for the log; holds no secrets
	Status     int    // HTTP status, if not the outcome's default
	RetryAfter time.Duration

	Received int // HTTP status of the API's answer, 0 for none
	Replayed bool
	// Uncharged reports that the outcome says nothing about the API: the caller,
	// or this instance, is at fault. Breaker and metrics of the API's health
	// leave it out.
	Uncharged bool
	// Check is where to look, instead of [Check]; "" for that.
	Check string
	// Part is the part of a chain that decided the outcome; "" for none.
	Part     string
	Obtained time.Time // when the token that was sent was obtained; zero for none
	Timing   Timing
	// Work holds the steps between the cache and the contract. It is empty unless
	// the call failed or is a test.
	Work []adminapi.Step
}

// Timing is how long the parts of a call took.
type Timing struct {
	Receive, Chain, Request, Token, Upstream, Output time.Duration
}

// Begin prepares the call and starts its budget.
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

// ServeCached answers a call from the cache, from a running call with the same
// key, or by starting a detached call. It returns true when the cache doesn't
// apply to this call, so that the handler must do the work itself.
func (c *Call) ServeCached(q Cacheable) bool { return c.Route.cache == nil || c.serveCached(q) }

// Fail ends the call with an outcome and its reason. It returns false, so that a
// stage can return its result.
func (c *Call) Fail(outcome call.Outcome, reason string) bool {
	c.Outcome, c.Reason = outcome, reason
	return false
}

// Refuse ends the call because of what the caller sent.
func (c *Call) Refuse(status int, outcome call.Outcome, reason string) bool {
	c.Status = status
	return c.Fail(outcome, reason)
}

// Expire ends a call whose budget ran out or whose client disconnected. If
// neither is the case, the outcome is bad_answer, with the given reason.
func (c *Call) Expire(reason string) bool {
	switch {
	case c.Ctx.Spent() && c.Busy():
		return c.Overloaded()
	case c.Ctx.Spent() && c.part.beganLate():
		c.Uncharged = true
		return c.Fail(call.Timeout, "the budget ran out, mostly before this part of the chain began")
	case c.Ctx.Spent() && c.slowCaller():
		c.Uncharged = true
		return c.Fail(call.Timeout, "the budget ran out, mostly while waiting for the caller's request")
	case c.Ctx.Spent():
		return c.Fail(call.Timeout, "the budget ran out")
	case c.part != nil && errors.Is(context.Cause(c.R.Context()), ErrChainEnded):
		return c.Fail(call.Canceled, "another part ended the chain")
	case c.R.Context().Err() != nil:
		return c.Fail(call.Canceled, "the phone system hung up")
	default:
		return c.Fail(call.BadAnswer, reason)
	}
}

// Busy reports whether calls waited for memory during much of this call, so that
// its duration says nothing about the API. It is safe for concurrent use.
func (c *Call) Busy() bool {
	crowded := jsonval.Crowded() - c.waitedBefore
	return crowded > 0 && crowded > c.Route.budgets.Each/4
}

// slowCaller reports whether the caller took so long to send the request that too
// little time was left for the API.
func (c *Call) slowCaller() bool {
	return c.Timing.Receive > c.Ctx.of.Each/4 || c.part.beganLate()
}

// Overloaded ends a call because this instance had no memory or no time for a
// large answer within the budget. That says nothing about the API.
func (c *Call) Overloaded() bool {
	if c.R.Context().Err() != nil && !c.Ctx.Spent() {
		return c.Fail(call.Canceled, "the phone system hung up")
	}
	c.Uncharged = true
	return c.Fail(call.Timeout, overloadedReason)
}

// overloadedReason is the reason of a call that was overloaded.
const overloadedReason = "this instance had too many large documents at once to read the answer within the budget"

// End counts and logs the call. Every call must end with it.
func (c *Call) End() {
	c.Ctx.Stop()
	if c.part == nil { // a part's answer is used on; see ReleasePart
		c.Room.Release()
	}
	took := time.Since(c.started)
	if !c.cached.isHit && !c.Uncharged { // otherwise it says nothing about the API
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
	case c.Part != "" && c.Outcome.Answered(): // the part has logged why
	case !c.Outcome.Answered(), c.Reason != "": // answered, but a predicate failed
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

// endSpan ends the call's span, where requests are traced.
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

// noteForAccessLog adds the call's fields to its access log line, where there is
// one.
func (c *Call) noteForAccessLog() {
	ctx := c.R.Context()
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); !ok || server == nil || server.Logs == nil {
		return
	}
	if extra, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Add(zap.Inline(logged{c.Route.Name, string(c.Outcome), c.ID, c.cached.result(), c.tokenAge()}))
	}
}

// logged holds the call's fields of an access log line.
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

// tokenAge returns the age in seconds of the token that was sent; negative if
// none was.
func (c *Call) tokenAge() int64 {
	if c.Obtained.IsZero() {
		return -1
	}
	return max(0, int64(time.Since(c.Obtained)/time.Second))
}

// uncounted returns the route for a test. A test is not traffic: it counts in no
// metric and changes no API's state.
func (r *Route) uncounted() *Route {
	u := *r
	u.Metrics, u.app = nil, nil
	return &u
}

// answered records in the API's state whether the answer was the API's own.
func (r *Route) answered(outcome call.Outcome) {
	if r.app != nil {
		r.app.Answered(r.State, outcome)
	}
}

type testKey struct{}

func testOf(ctx context.Context) *TestOptions {
	t, _ := ctx.Value(testKey{}).(*TestOptions)
	return t
}

// RecordSteps stores the steps of the call's work, and publishes them to a test.
func (c *Call) RecordSteps(steps []adminapi.Step) {
	c.Work = steps
	c.Test.record(steps)
}

// errBudget is the cancellation cause of a context whose budget ran out.
var errBudget = errors.New("the budget ran out")

// Budgets ends the calls of one API when their budget runs out. All calls have
// the same budget, so they expire in the order in which they began (or
// restarted), and one timer serves them all. A timer for each call would cost
// more than most of a call's stages.
type Budgets struct {
	Each time.Duration

	mu      sync.Mutex
	running list.List // of *Budget, oldest first
	timer   *time.Timer
	armed   bool
}

// Start begins a call's budget.
func (s *Budgets) Start(parent context.Context) *Budget {
	ctx, cancel := context.WithCancelCause(parent)
	b := &Budget{Context: ctx, cancel: cancel, of: s, deadline: time.Now().Add(s.Each)}
	s.mu.Lock()
	defer s.mu.Unlock()
	b.place = s.running.PushBack(b)
	if !s.armed {
		s.arm(s.Each)
	}
	return b
}

func (s *Budgets) arm(in time.Duration) {
	s.armed = true
	if s.timer == nil {
		s.timer = time.AfterFunc(in, s.expire)
		return
	}
	s.timer.Reset(in)
}

// expire ends the calls whose budget ran out, and sets the timer for the next
// one.
func (s *Budgets) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = false
	for oldest := s.running.Front(); oldest != nil; oldest = s.running.Front() {
		b := oldest.Value.(*Budget)
		if left := time.Until(b.deadline); left > 0 {
			s.arm(left)
			return
		}
		s.leave(b)
		b.cancel(errBudget)
	}
}

// leave removes a call from the list, if it is still there.
func (s *Budgets) leave(b *Budget) {
	if b.place != nil {
		s.running.Remove(b.place)
		b.place = nil
	}
}

// Budget is a context that ends with a call's budget, unless the budget is lifted
// first: a stream must begin in time, but may last.
type Budget struct {
	context.Context
	cancel   context.CancelCauseFunc
	of       *Budgets
	place    *list.Element // in Budgets.running; guarded by its lock
	deadline time.Time     // guarded by the lock of Budgets
	lifted   atomic.Bool
}

// Deadline returns when the budget ends. A lifted budget has no deadline.
func (b *Budget) Deadline() (time.Time, bool) {
	parent, ok := b.Context.Deadline()
	b.of.mu.Lock()
	deadline := b.deadline
	b.of.mu.Unlock()
	if b.lifted.Load() || (ok && parent.Before(deadline)) {
		return parent, ok
	}
	return deadline, true
}

// Restart begins the budget anew, e.g. when more of an upload arrives: the time
// that an upload takes is the caller's, not the API's. It has no effect once the
// budget has ended or is lifted.
func (b *Budget) Restart() {
	s := b.of
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.place != nil {
		b.deadline = time.Now().Add(s.Each)
		s.running.MoveToBack(b.place)
	}
}

// Lift removes the time limit from what runs under the budget.
func (b *Budget) Lift() {
	b.lifted.Store(true)
	b.leave()
}

func (b *Budget) leave() {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	b.of.leave(b)
}

// Spent reports whether the call ended because the budget ran out.
func (b *Budget) Spent() bool { return errors.Is(context.Cause(b.Context), errBudget) }

// Stop cancels whatever still runs under the budget.
func (b *Budget) Stop() {
	b.leave()
	b.cancel(nil)
}
