package api

import (
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/token"
	"github.com/switchboard-ivr/switchboard/module/transport"
)

// run is one call on its way through the stages.
type run struct {
	endpoint.Call
	api *API

	upstream string // host:port of a target that is kept with the token
	attempt  transport.Attempt
	recorder recorder

	found  findings
	worked bool // this call did the work itself

	verdict atomic.Pointer[verdict]

	vars [4]any // of programs that look at the answer; see answerVars
	doc  any    // the API's answer
}

func (a *API) begin(w http.ResponseWriter, r *http.Request) *run {
	c := &run{api: a}
	c.Begin(a.route, w, r)
	c.attempt.Part, c.attempt.Room = a.programs.part, &c.Room
	c.Repl.Map(c.placeholder)
	return c
}

// placeholder gives the placeholders of a call.
func (c *run) placeholder(key string) (any, bool) {
	switch key {
	case "http.api.name":
		return c.api.Name, true
	case "http.api.outcome":
		return string(c.Outcome), true
	case "http.api.call_id":
		return c.ID, true
	case "http.api.upstream":
		return c.upstream, true
	default:
		return nil, false
	}
}

// answer writes what the phone system gets, unless it streams already.
func (c *run) answer() error {
	steps := func() []adminapi.Step {
		return append(c.Begun(c.asked(), c.secrets(), c.checks()...), c.Work...)
	}
	if c.recorder.passing {
		c.KeepFailure(steps)
		return nil
	}
	c.note()
	return c.Finish(c.recorder.spare(), steps)
}

// tell notes the steps of the work, before the memory of the answer is used for
// another one: those of a call that failed, and of one that somebody watches.
func (c *run) tell() {
	if c.attempt.Replayed {
		c.Route.Metrics.Replayed()
	}
	if c.Trial == nil && c.Outcome.Answered() {
		return
	}
	c.note()
	c.Told(c.steps())
}

// asked tells whether the API was to be asked, by this call or one forked from it.
func (c *run) asked() bool { return c.worked || c.Asked() }

// note hands what the exchange has shown to what tells of the call. Where another
// call has done the work, its result tells that.
func (c *run) note() {
	if !c.worked {
		return
	}
	if c.Received = c.recorder.status; c.attempt.Err != nil { // our own answer
		c.Received = c.attempt.Refused
	}
	c.Replayed = c.attempt.Replayed
	if used := c.attempt.Used; used != nil {
		c.Obtained = used.Obtained
	}
	c.Timing.Token, c.Timing.Upstream = c.attempt.TokenWait, c.attempt.Upstream
	if lack, ok := errors.AsType[*token.NoTokenError](c.attempt.Err); ok {
		c.RetryAfter = lack.RetryAfter
	}
}

func (c *run) end() {
	c.note()
	c.recorder.free()
	c.End()
}
