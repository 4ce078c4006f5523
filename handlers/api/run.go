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
	response responseBuffer

	trace  traceState
	worked bool // this call did the work itself

	breakerReport atomic.Pointer[breakerReport]

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
		return append(c.RequestSteps(c.asked(), c.secrets(), c.requireSteps()...), c.Work...)
	}
	if c.response.passing {
		c.KeepFailure(steps)
		return nil
	}
	c.copyResults()
	return c.Finish(c.response.scratch(), steps)
}

// tell notes the steps of the work, before the memory of the answer is used for
// another one: those of a call that failed, and of one that somebody watches.
func (c *run) recordSteps() {
	if c.attempt.Replayed {
		c.Route.Metrics.Replayed()
	}
	if c.Test == nil && c.Outcome.Answered() {
		return
	}
	c.copyResults()
	c.RecordSteps(c.workSteps())
}

// asked tells whether the API was to be asked, by this call or one forked from it.
func (c *run) asked() bool { return c.worked || c.Asked() }

// note hands what the exchange has shown to what tells of the call. Where another
// call has done the work, its result tells that.
func (c *run) copyResults() {
	if !c.worked {
		return
	}
	if c.Received = c.response.status; c.attempt.Err != nil { // our own answer
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
	c.copyResults()
	c.response.free()
	c.End()
}
