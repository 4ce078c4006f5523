package endpoint

import (
	"context"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

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
		Route: c.Route, W: w, R: r, Repl: repl, Ctx: clock, Room: jsonval.Room{Context: clock},
		ID: c.ID, Principal: c.Principal, Input: c.Input, Request: c.Request,
		started: time.Now(), waitedBefore: jsonval.Crowded(), detached: true, Test: testOf(ctx),
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
			source, err = jsonval.Encode(nil, c.Output, jsonval.Limits{})
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
