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
	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// flights are the calls of one API that are under way. Whoever asks the same
// meanwhile waits for the same answer, each as long as they like; one that
// nobody waits for is finished in the background, as long as those aren't too
// many.
type inflight struct {
	limit  int           // of flights that nobody waits for
	budget time.Duration // of those who wait

	mu         sync.Mutex
	calls      map[cache.Key]*inflightCall
	background int // how many nobody waits for
}

// flight is one call of the API.
type inflightCall struct {
	done   chan struct{}
	result Result // once done

	group   *inflight
	renewal bool // nobody began it by waiting
	waiting int  // under the lock of flights, and so is what follows
	cancel  context.CancelFunc
	work    DetachedCall // once begun
	overdue bool         // it was told that it is
	timer   *time.Timer  // tells it when nobody waits
}

// join gets on a flight, and tells whether it is a new one, which the caller has
// to start. A new flight goes on when nobody waits for it, or ends by cancel
// when there are too many of those.
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

// renew begins a flight that nobody waits for, unless there is one already or
// there are too many.
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

// begin notes the work of a flight, before it is begun.
func (s *inflight) begin(f *inflightCall, work DetachedCall) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.work = work
	if f.waiting == 0 {
		s.startTimer(f)
	}
}

// unawaited gives a flight that nobody waits for as long as a caller would have
// waited. Then it is late, too.
func (s *inflight) startTimer(f *inflightCall) {
	if f.work != nil && !f.overdue && f.timer == nil {
		f.timer = time.AfterFunc(s.budget, func() { f.work.Overdue() })
	}
}

// under tells whether a flight of that key is under way.
func (s *inflight) has(key cache.Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[key] != nil
}

// leave gets off a flight before its end, because it took too long or for another
// reason. The last one off leaves it to the background, or ends it. When it took too
// long, the outcome is how the call has ended.
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
	delete(s.calls, key) // whoever comes now must not get its end for an answer
	f.cancel()
	return late
}

// land hands the result to all who wait, and tells whether anybody does.
func (s *inflight) finish(key cache.Key, f *inflightCall, result Result) (awaited bool) {
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

// Result is how a forked call ended, for all who wait for it.
type Result struct {
	Outcome    call.Outcome
	Reason     string
	Status     int
	RetryAfter time.Duration
	Received   int
	Replayed   bool
	Uncharged  bool
	Obtained   time.Time
	Timing     Timing

	// Unkept says why the answer must not be kept, "" that it may.
	NotStored string
	// Work are the steps of the work, when it failed.
	Work []adminapi.Step
	// Placeholders are what the chain has set, for the caller's logs.
	Placeholders map[string]any

	text   []byte // the answer as the phone system gets it
	source []byte // what it was written of
	began  time.Time
	stored bool
}

// Fork makes a call that does the same as c and may outlive it: nothing of it
// belongs to the request of c (caddy-notes 3). Placeholders that somebody else
// has set for that request keep their values where they are named. The request
// has no body: c has read it.
func (c *Call) Detach(ctx context.Context, names []string) Call {
	r := c.R.Clone(ctx)
	r.Body, r.GetBody, r.ContentLength = http.NoBody, nil, 0
	server, _ := c.R.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if server == nil {
		server = new(caddyhttp.Server) // a reverse_proxy asks it for its logs
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

	clock := c.Route.cache.behind.Start(r.Context())
	return Call{
		Route: c.Route, W: w, R: r, Repl: repl, Ctx: clock, Room: jq.Room{Context: clock},
		ID: c.ID, Principal: c.Principal, Input: c.Input, Request: c.Request,
		started: time.Now(), waitedBefore: jq.Crowded(), detached: true, Test: testOf(ctx),
	}
}

// copyVars gives the variables of a request to another, but not what is its own.
func copyVars(to, from *http.Request) {
	vars, _ := from.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	own, _ := to.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	for name, v := range vars {
		if name != "start_time" && name != "uuid" {
			own[name] = v
		}
	}
}

// Forked tells whether the call is one of its own, that no phone system waits for
// by itself.
func (c *Call) Detached() bool { return c.detached }

// Result writes the answer of a forked call, and ends it. Nobody counts it: those
// who wait are the calls.
func (c *Call) Result() Result {
	defer func() {
		c.Ctx.Stop()
		c.Room.Release()
	}()
	var text, source []byte
	if c.Outcome.Answered() {
		var err error
		if text, err = c.Render(nil); err == nil && c.Route.cache.servesStale() {
			source, err = jq.Encode(nil, c.Output, jq.Limits{})
		}
		if err != nil {
			c.Status, c.Uncharged = 0, c.Uncharged || c.FromCaller
			c.Fail(outcomeOfFormat(err), err.Error())
		}
	}
	return Result{
		Outcome: c.Outcome, Reason: c.Reason, Status: c.Status, RetryAfter: c.RetryAfter,
		Received: c.Received, Replayed: c.Replayed, Uncharged: c.Uncharged, Obtained: c.Obtained, Timing: c.Timing, Work: c.Work, text: text, source: source, began: c.started,
	}
}

// take makes the result of a forked call that of c. What it took is told of the
// call that it was made for, not of those that came along.
func (c *Call) accept(res *Result, own bool) {
	c.Outcome, c.Reason, c.Status, c.RetryAfter = res.Outcome, res.Reason, res.Status, res.RetryAfter
	c.Received, c.Replayed, c.Uncharged, c.text = res.Received, res.Replayed, res.Uncharged, res.text
	c.cached.answered(res, own)
	if !own {
		return
	}
	c.Work, c.Obtained = res.Work, res.Obtained
	receive := c.Timing.Receive
	c.Timing = res.Timing
	c.Timing.Receive = receive
	for name, v := range res.Placeholders {
		c.Repl.Set(name, v)
	}
}

// nobody is the response writer of a call that no phone system waits for by
// itself.
type discardWriter struct{ header http.Header }

func (w *discardWriter) Header() http.Header         { return w.header }
func (w *discardWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *discardWriter) WriteHeader(int)             {}
