package api

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/internal/mask"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// parts are the answers of other APIs that one call is made of, as they come. Only
// calls of an API with `with` have them.
type parts struct {
	running atomic.Bool                   // for Overdue
	runs    [maxParts]atomic.Pointer[run] // of those that have begun, for Overdue
	// until is when the callers of a detached call give up; zero for a call that ends
	// with its budget.
	until time.Time

	done   []donePart // in the order of `with`
	values []any      // of their variables

	ended   *donePart // that ended the call
	missing *donePart // optional, with its defaults, or partial itself
	older   *donePart // the oldest stale one
}

// donePart is a part that has ended.
type donePart struct {
	with    *With // nil if it was never called
	run     *run  // nil if there were no params to call it with
	value   any
	outcome call.Outcome
	reason  string
	step    adminapi.Step // blank if all went well and the call is no test
}

// usable reports whether the part has an answer to work with.
func (d *donePart) usable() bool {
	return d.outcome == call.OK || d.outcome == call.Stale || d.outcome == call.Partial
}

// why returns the outcome's reason with the part that it is about.
func (d *donePart) why() string {
	return fmt.Sprintf("%s (api %s): %s", d.with.Var, d.with.API, d.reason)
}

// callParts calls the other APIs that the answer is made of. It returns false if one
// of them ended the call.
func (c *run) callParts() bool {
	p := c.parts
	c.trace.stage = atChain
	if err := c.api.Link(); err != nil { // before the app has started, and only then
		c.call.Uncharged = true
		return c.call.Fail(call.BadAnswer, err.Error())
	}
	begin := time.Now()
	p.running.Store(true)
	p.done, p.values = make([]donePart, len(c.api.With)), make([]any, len(c.api.With))
	ctx, cancel := context.WithCancelCause(c.call.Ctx)
	s := &schedule{run: c, ctx: ctx, end: cancel}
	s.from(s.next())
	s.group.Wait()
	cancel(nil)
	p.running.Store(false)
	c.call.Timing.Chain = time.Since(begin)
	return c.judgeParts()
}

// judgeParts ends the call if a part has ended it. That says nothing about the API.
func (c *run) judgeParts() bool {
	p := c.parts
	d := p.ended
	if d == nil && c.call.Ctx.Err() == nil {
		return true
	}
	c.call.Uncharged = true
	if d == nil || d.outcome == call.Canceled {
		return c.call.Expire("")
	}
	if d.run != nil {
		c.call.RetryAfter = d.run.call.RetryAfter
	}
	c.call.Part = d.with.Var
	outcome := d.outcome
	if outcome == call.BadRequest { // what it can't work with is what our program made
		outcome = call.Incomplete
	}
	return c.call.Fail(outcome, d.why())
}

// complete makes the outcome of an answer say that a part is missing or older.
func (c *run) complete() {
	p := c.parts
	switch {
	case c.call.Outcome != call.OK:
	case p.missing != nil:
		c.call.Outcome, c.call.Uncharged = call.Partial, true
		c.call.Part, c.call.Reason = p.missing.with.Var, p.missing.why()
	case p.older != nil:
		c.call.Older(p.older.run.call.Age())
		c.call.Part, c.call.Reason = p.older.with.Var, p.older.why()
	}
}

// schedule runs the parts of a call. A part begins when those are done whose answers
// its program uses. Parts that run side by side have a goroutine each, except the
// first; a single part has none.
type schedule struct {
	*run
	ctx   context.Context // ends when a part ends the call
	end   context.CancelCauseFunc
	group sync.WaitGroup

	mu      sync.Mutex // guards the call's request, replacer and parts while they run
	started [maxParts]bool
	done    [maxParts]bool
}

// from runs a part, and then one that waited for it. A negative number stands for none.
func (s *schedule) from(i int) {
	for i >= 0 {
		s.finish(i, s.part(i))
		i = s.next()
	}
}

// next starts the parts that can begin, except one, which it returns for this
// goroutine; -1 for none.
func (s *schedule) next() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	mine := -1
	if s.parts.ended != nil {
		return mine
	}
	for i := range s.api.With {
		if s.started[i] || slices.ContainsFunc(s.api.programs.with[i].after, func(before int) bool { return !s.done[before] }) {
			continue
		}
		s.started[i] = true
		if mine < 0 {
			mine = i
			continue
		}
		s.group.Go(func() { s.from(i) })
	}
	return mine
}

// finish stores a part that is done. The first one without an answer that the call
// can't do without ends all others.
func (s *schedule) finish(i int, d donePart) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done[i] = true
	p := s.parts
	p.done[i], p.values[i] = d, d.value
	at := &p.done[i]
	switch {
	case d.outcome == call.Stale:
		if p.older == nil || d.run.call.Age() > p.older.run.call.Age() {
			p.older = at
		}
	case d.outcome == call.OK:
	case d.usable(), d.with.Optional && d.outcome != call.DryRun:
		if p.missing == nil {
			p.missing = at
		}
	case p.ended == nil:
		p.ended = at
		if d.outcome != call.DryRun {
			s.end(endpoint.ErrChainEnded)
		}
	}
}

// part calls one API.
func (s *schedule) part(i int) donePart {
	d := donePart{with: &s.api.With[i]}
	begin := time.Now()
	params, raw := s.paramsOf(i, &d)
	if d.outcome != "" { // that is no call of the other API
		to := s.api.links.apis[i]
		never := endpoint.Call{Route: to.route, Result: endpoint.Result{Outcome: d.outcome}}
		d.value, _ = never.Value(to.partStatus()) // the defaults
		d.describe(time.Since(begin), nil, nil)
		return d
	}
	d.run = s.begin(i, params, raw)
	var steps []adminapi.Step
	d.value, steps = d.run.asPart()
	d.outcome, d.reason = d.run.call.Outcome, cmp.Or(d.run.call.Reason, reasons[d.run.call.Outcome])
	if steps != nil {
		d.describe(time.Since(begin), params, steps)
	}
	return d
}

// reasons are those of parts whose outcome needs none by itself.
var reasons = map[call.Outcome]string{
	call.NotFound: "the API found nothing",
	call.Stale:    "an older answer",
}

// paramsOf makes the params of a part, and their text where the API's request takes
// it. If that fails, d has the outcome.
func (s *schedule) paramsOf(i int, d *donePart) (params map[string]any, raw []byte) {
	program := &s.api.programs.with[i]
	vars := make([]any, i+1)
	vars[0] = s.call.Request
	s.mu.Lock()
	for _, before := range program.after {
		vars[before+1] = s.parts.values[before]
	}
	s.mu.Unlock()
	v, err := program.params.Run(s.call.Ctx, s.call.Input.Params, vars...)
	if err == nil {
		params = v.(map[string]any)
		if pass := s.api.links.apis[i].Pass; pass != nil && pass.Body {
			raw, err = jsonval.Encode(nil, v, jsonval.Limits{})
		}
	}
	switch {
	case err == nil:
		return params, raw
	case len(program.after) > 0:
		d.outcome, d.reason = call.BadAnswer, "its params can't be built from the answers before it: "+err.Error()
	default:
		d.outcome, d.reason = call.Incomplete, "its params can't be built from the params: "+err.Error()
	}
	return nil, nil
}

// begin prepares the call of a part.
func (s *schedule) begin(i int, params map[string]any, raw []byte) *run {
	s.mu.Lock()
	defer s.mu.Unlock()
	to := s.api.links.apis[i]
	f := newRun(to)
	f.isPart = true
	f.call.BeginPart(s.ctx, &s.call, to.route, endpoint.Part{
		Params: params, Raw: raw, Deadline: s.deadline(i), Placeholders: to.allPlaceholders(), Request: to.usesRequest(),
		Test: s.testOf(to),
	})
	f.attempt.Reader, f.attempt.Room = to.programs.reader, &f.call.Room
	f.attempt.Params = f.call.Input.Params
	if f.call.Request != nil {
		f.attempt.Request = f.call.Request
	}
	f.call.Repl.Map(f.placeholder)
	s.parts.runs[i].Store(f)
	return f
}

// deadline returns when an optional part is given up: so early that the rest of the
// call has time. If another part or the API itself comes after it, that is half of
// what is left. It is zero for a part that the call can't do without.
func (s *schedule) deadline(i int) time.Time {
	if !s.api.With[i].Optional {
		return time.Time{}
	}
	end := s.parts.until
	if end.IsZero() {
		end, _ = s.call.Ctx.Deadline()
	}
	isLast := s.api.target.none && !slices.ContainsFunc(s.api.programs.with, func(w withProgram) bool { return slices.Contains(w.after, i) })
	if !isLast {
		return time.Now().Add(time.Until(end) / 2)
	}
	return end.Add(-min(s.api.route.Budget()/10, timeToAnswer))
}

// timeToAnswer is what an optional part leaves of the budget for the answer.
const timeToAnswer = 100 * time.Millisecond

// testOf returns the options of a part in a test; nil in production.
func (s *schedule) testOf(to *API) *endpoint.TestOptions {
	if s.call.Test == nil {
		return nil
	}
	options := new(endpoint.TestOptions)
	to.limit(options, s.call.Test.Asked, s.call.R.Method, s.api.Cache != nil)
	return options
}

// asPart takes a part through the stages of a call, and returns its value. steps is
// nil if all went well and the call is no test.
func (c *run) asPart() (value any, steps []adminapi.Step) {
	defer c.end()
	c.serve()
	value, err := c.call.Value(c.api.partStatus())
	if err != nil {
		c.call.Fail(call.BadAnswer, err.Error())
		value, _ = c.call.Value(c.api.partStatus()) // the defaults
	}
	all := func() []adminapi.Step {
		return append(c.call.RequestSteps(c.asked(), c.secrets(), c.requireSteps()...), c.call.Work...)
	}
	if c.call.Test != nil || c.call.Outcome != call.OK {
		steps = all()
	}
	c.call.KeepFailure(all)
	return value, steps
}

// serve does the work of a part. A panic is turned into an outcome, because it would
// end the process in a goroutine of ours.
func (c *run) serve() {
	defer func() {
		if p := recover(); p != nil {
			c.call.Route.Logger.Error("a handler panicked", zap.String("api", c.api.Name), zap.ByteString("stack", debug.Stack()))
			c.call.Fail(call.BadAnswer, "a handler panicked")
		}
	}()
	_ = c.require() && c.call.ServeCached(c) && c.work()
	c.copyResults()
}

// partStatus returns the name of the status field in the answer of a part, "" for
// none. It has one even if the API has no contract.
func (a *API) partStatus() string {
	if a.StatusField == "off" {
		return ""
	}
	return cmp.Or(a.StatusField, defaultStatusField)
}

// describe adds the step that shows the part.
func (d *donePart) describe(took time.Duration, params map[string]any, steps []adminapi.Step) {
	d.step = adminapi.Step{Step: "chain", Outcome: adminapi.StepOK, MS: adminapi.Millis(took), Note: d.isAnswer(), Steps: steps}
	if d.run != nil {
		secrets := d.run.secrets()
		d.step.In, d.step.Out = mask.Document(params, secrets), mask.Document(d.value, secrets)
	}
	if d.outcome != call.OK {
		d.step.Outcome, d.step.Note = string(d.outcome), mask.Text(d.why())
	}
}

func (d *donePart) isAnswer() string {
	return fmt.Sprintf("$%s is the answer of api %s", d.with.Var, d.with.API)
}

// chainSteps returns the steps of the parts. A part that went well has no steps of its
// own, unless the call is a test.
func (c *run) chainSteps() (steps []adminapi.Step) {
	if c.parts == nil {
		return nil
	}
	for i := range c.parts.done {
		switch d := &c.parts.done[i]; {
		case d.with == nil: // never called
		case d.step.Step == "":
			steps = append(steps, adminapi.Step{Step: "chain", Outcome: adminapi.StepOK, Note: d.isAnswer()})
		default:
			steps = append(steps, d.step)
		}
	}
	if c.trace.stage == atChain && c.parts.ended == nil {
		steps = append(steps, adminapi.Step{Step: "chain", Outcome: string(c.call.Outcome), Note: c.call.Reason})
	}
	return steps
}

// storeRefusal returns why an answer that is made of the parts must not be stored.
func (p *parts) storeRefusal() string {
	if p.missing != nil {
		return "an optional part is missing"
	}
	if p.older != nil {
		return "a part is an older answer"
	}
	for i := range p.done {
		d := &p.done[i]
		if d.run == nil { // it is missing, which is said above; or another one ended the call
			continue
		}
		why := cmp.Or(d.run.call.NotStored(), d.run.storeRefusal())
		if why == "" && d.run.parts != nil {
			why = d.run.parts.storeRefusal()
		}
		if why != "" {
			return d.with.Var + ": " + why
		}
	}
	return ""
}

// release releases the memory of the parts' answers, when the call is over.
func (p *parts) release() {
	for i := range p.done {
		if r := p.done[i].run; r != nil {
			if r.parts != nil {
				r.parts.release()
			}
			r.call.ReleasePart()
		}
	}
}
