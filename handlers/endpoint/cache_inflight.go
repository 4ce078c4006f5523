package endpoint

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/switchboard-ivr/switchboard/internal/cache"
	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/module/once"
)

// inflight holds the detached calls of one API that are running. A call with the
// same key joins the running one, and waits for it within its own budget. A
// detached call without waiters continues in the background, up to a limit.
type inflight struct {
	limit  int           // of background calls
	budget time.Duration // of the calls that wait

	mu         sync.Mutex
	calls      map[cache.Key]*inflightCall
	background int // calls without waiters
}

// inflightCall is one detached call.
type inflightCall struct {
	done   chan struct{}
	result DetachedResult // once done

	group   *inflight
	renewal bool // renews a stale answer, so it started without waiters
	waiting int  // number of waiters; guarded by inflight's lock, like the fields below
	cancel  context.CancelFunc
	work    DetachedCall // nil until it starts
	overdue bool         // Overdue has been called
	timer   *time.Timer  // calls Overdue while there are no waiters
}

// join returns the running call of a key, or a new one, which the caller has to start.
// cancel ends a new one when nobody waits for it and the background is full.
func (s *inflight) join(key cache.Key, cancel context.CancelFunc) (f *inflightCall, created bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.calls[key]; ok {
		if f.waiting == 0 {
			s.background--
		}
		f.waiting++
		return f, false
	}
	f = s.add(key, cancel)
	f.waiting = 1
	return f, true
}

// renew returns a new background call, or nil if a call with that key is running
// or the background is full.
func (s *inflight) renew(key cache.Key, cancel context.CancelFunc) (f *inflightCall, created bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls[key] != nil || s.background >= s.limit {
		return nil, false
	}
	s.background++
	f = s.add(key, cancel)
	f.renewal = true
	return f, true
}

func (s *inflight) add(key cache.Key, cancel context.CancelFunc) *inflightCall {
	f := &inflightCall{group: s, done: make(chan struct{}), cancel: cancel}
	if s.calls == nil {
		s.calls = make(map[cache.Key]*inflightCall)
	}
	s.calls[key] = f
	return f
}

// begin sets the work of a call, before it starts.
func (s *inflight) begin(f *inflightCall, work DetachedCall) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.work = work
	if f.waiting == 0 {
		s.startTimer(f)
	}
}

// startTimer makes a background call overdue after as long as a caller would have
// waited for it.
func (s *inflight) startTimer(f *inflightCall) {
	if f.work != nil && !f.overdue && f.timer == nil {
		f.timer = time.AfterFunc(s.budget, func() { f.work.Overdue() })
	}
}

// has reports whether a call with that key is running.
func (s *inflight) has(key cache.Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[key] != nil
}

// leave stops waiting for a running call. When the last waiter leaves, the call
// continues in the background, or is canceled if the background is full. With
// tooLong it returns the outcome for the caller who leaves.
func (s *inflight) leave(key cache.Key, f *inflightCall, tooLong bool) (late call.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if tooLong && f.work != nil {
		late, f.overdue = f.work.Overdue(), true
	}
	f.waiting--
	if f.waiting > 0 || s.calls[key] != f {
		return late
	}
	if s.background < s.limit {
		s.background++
		s.startTimer(f)
		return late
	}
	delete(s.calls, key) // a new call must not get the canceled result
	f.cancel()
	return late
}

// finish publishes the result to all waiters, and reports whether there are any.
func (s *inflight) finish(key cache.Key, f *inflightCall, result DetachedResult) (awaited bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls[key] == f {
		delete(s.calls, key)
		if f.waiting == 0 {
			s.background--
		}
	}
	if f.timer != nil {
		f.timer.Stop()
	}
	f.result = result
	close(f.done)
	f.cancel()
	return f.waiting > 0
}

// DetachedResult is the result of a detached call, for its waiters and for the
// cache.
type DetachedResult struct {
	Result

	// NotStored is why the answer must not be stored; "" if it may be.
	NotStored string
	// Doubtful reports that a rejected write may have been done nevertheless.
	Doubtful bool
	// Placeholders are those that the handler chain set, for the access log line
	// of the call that started the detached one.
	Placeholders map[string]any

	text   []byte // the rendered answer
	source []byte // the output that text was written from
	began  time.Time
	stored bool
}

// Detach returns a call that does the same work as c and may outlive it. It
// shares nothing with c's request, because Caddy doesn't guard a request's
// variables and log fields against a second goroutine. The placeholders in names
// keep the values that they have for c. The request has no body, because c has
// read it.
func (c *Call) Detach(ctx context.Context, names []string) Call {
	r := c.R.Clone(ctx)
	var w http.ResponseWriter
	var repl *caddy.Replacer
	r, w, repl = c.unconnected(r, names)

	sends, _ := ctx.Value(writeOf{}).(*write)
	var budgets *Budgets
	if sends != nil {
		budgets = sends.of.finish
	} else {
		budgets = c.Route.cache.background
	}
	clock := budgets.Start(r.Context())
	return Call{
		Route: c.Route, W: w, R: r, Repl: repl, Ctx: clock, Room: jsonval.Room{Context: clock},
		ID: c.ID, Principal: c.Principal, Input: c.Input, Request: c.Request,
		started: time.Now(), waitedBefore: jsonval.Crowded(), detached: true, sends: sends, Test: testOf(ctx),
	}
}

// unconnected prepares a copy of c's request for a call without a client: with a
// writer, variables and a replacer of its own, and without a body. The placeholders
// in names keep the values that they have for c.
func (c *Call) unconnected(r *http.Request, names []string) (*http.Request, http.ResponseWriter, *caddy.Replacer) {
	r.Body, r.GetBody, r.ContentLength = http.NoBody, nil, 0
	server, _ := c.R.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if server == nil {
		server = new(caddyhttp.Server) // reverse_proxy requires a server, for its logs
	}
	w := &discardWriter{header: make(http.Header)}
	repl := caddy.NewReplacer()
	for _, name := range names {
		if v, ok := c.Repl.Get(name); ok {
			repl.Set(name, v)
		}
	}
	r = caddyhttp.PrepareRequest(r, repl, w, server)
	copyVars(r, c.R)
	return r, w, repl
}

// copyVars copies the variables of a request, except those that describe the
// request itself.
func copyVars(to, from *http.Request) {
	vars, _ := from.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	own, _ := to.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	for name, v := range vars {
		if name != "start_time" && name != "uuid" {
			own[name] = v
		}
	}
}

// Detached reports whether no client is connected to the call.
func (c *Call) Detached() bool { return c.detached }

// FinishDetached renders the answer of a detached call and ends the call. A
// detached call isn't counted in metrics or logged: the calls that wait for it
// are.
func (c *Call) FinishDetached() DetachedResult {
	defer func() {
		c.Ctx.Stop()
		c.Room.Release()
	}()
	var text, source []byte
	if c.Outcome.Answered() {
		var err error
		if text, err = c.Render(nil); err == nil && (c.sends != nil || c.Route.cache.keepsSource()) {
			var limits jsonval.Limits
			if c.sends != nil {
				limits.Bytes = once.MaxAnswer
			}
			source, err = jsonval.Encode(nil, c.Output, limits)
			if err != nil && c.sends != nil {
				source, err = nil, nil // the answer is too large for repeats, but not for this call
			}
		}
		if err != nil {
			c.Status, c.Uncharged = 0, c.Uncharged || c.FromCaller
			c.Fail(outcomeOfFormat(err), err.Error())
		}
	}
	return DetachedResult{Result: c.Result, text: text, source: source, began: c.started}
}

// accept takes over the result of a detached call. own says that the detached
// call was started for c: timing, token and steps belong to that call only, not
// to those that joined it.
func (c *Call) accept(res *DetachedResult, own bool) {
	before := c.Result
	c.Result, c.text, c.source = res.Result, res.text, res.source
	c.cached.answered(res, own)
	if !own {
		c.Work, c.Obtained, c.Timing = before.Work, before.Obtained, before.Timing
		return
	}
	c.Timing.Receive = before.Timing.Receive
	for name, v := range res.Placeholders {
		c.Repl.Set(name, v)
	}
}

// discardWriter is the ResponseWriter of a detached call and of a part of a chain: no
// client is connected to it.
type discardWriter struct{ header http.Header }

func (w *discardWriter) Header() http.Header         { return w.header }
func (w *discardWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *discardWriter) WriteHeader(int)             {}
