package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/token"
	"github.com/switchboard-ivr/switchboard/module/transport"
)

// run is one call on its way through the stages.
type run struct {
	call endpoint.Call
	api  *API

	upstream string // host:port of a target whose base is kept with the token
	attempt  transport.Attempt
	response responseBuffer

	trace  traceState
	parts  *parts // nil for an API without `with`
	isPart bool   // the call is a part of another one
	worked bool   // this call did the work itself

	breakerReport atomic.Pointer[breakerReport]

	vars [4]any // of programs on the answer; see answerVars
	doc  any    // the API's answer
}

func (a *API) begin(w http.ResponseWriter, r *http.Request) *run {
	c := newRun(a)
	c.call.Begin(a.route, w, r)
	c.attempt.Reader, c.attempt.Room = a.programs.reader, &c.call.Room
	c.call.Repl.Map(c.placeholder)
	return c
}

func newRun(a *API) *run {
	c := &run{api: a}
	if a.links != nil {
		c.parts = new(parts)
	}
	return c
}

// placeholder returns the value of a call's placeholder.
func (c *run) placeholder(key string) (any, bool) {
	switch key {
	case "http.api.name":
		return c.api.Name, true
	case "http.api.outcome":
		return string(c.call.Outcome), true
	case "http.api.call_id":
		return c.call.ID, true
	case "http.api.upstream":
		return c.upstream, true
	default:
		return nil, false
	}
}

// answer sends the response, unless the API's answer was passed through.
func (c *run) answer() error {
	steps := func() []adminapi.Step {
		return append(c.call.RequestSteps(c.asked(), c.secrets(), c.requireSteps()...), c.call.Work...)
	}
	if c.response.passing {
		c.call.KeepFailure(steps)
		if c.response.broken {
			panic(http.ErrAbortHandler) // so that the phone system sees that the answer broke off
		}
		return nil
	}
	c.copyResults()
	return c.call.Finish(c.response.scratch(), steps)
}

// recordSteps records the steps of the work, if the call failed or is a test. It
// must run before the memory of the answer is reused.
func (c *run) recordSteps() {
	if c.attempt.Replayed {
		c.call.Route.Metrics.Replayed()
	}
	if c.call.Test == nil && c.call.Outcome.Answered() && !c.call.Failed() {
		return
	}
	c.copyResults()
	c.call.RecordSteps(c.workSteps())
}

// asked reports whether the API was called for this call: by itself, or by a call
// that was detached from it.
func (c *run) asked() bool { return c.worked || c.call.Asked() }

// copyResults copies the exchange's results into the call, for logs, headers and
// metrics. If another call did the work, its Result has them.
func (c *run) copyResults() {
	if !c.worked {
		return
	}
	if c.call.Received = c.response.status; c.attempt.Err != nil { // the transport's own answer
		c.call.Received = c.attempt.Refused
	}
	c.call.Replayed = c.attempt.Replayed
	if used := c.attempt.Used; used != nil {
		c.call.Obtained = used.Obtained
	}
	c.call.Timing.Token, c.call.Timing.Upstream = c.attempt.TokenWait, c.attempt.Upstream
	if lack, ok := errors.AsType[*token.NoTokenError](c.attempt.Err); ok {
		c.call.RetryAfter = lack.RetryAfter
	}
}

func (c *run) end() {
	c.copyResults()
	c.response.free()
	c.call.End()
	if c.parts != nil && !c.isPart { // otherwise the call that it is a part of uses their answers
		c.parts.release()
	}
}

// receive reads the incoming request. A sidecar's request is not read, unless a
// program uses it.
func (c *run) receive() bool {
	begin := time.Now()
	defer func() { c.call.Timing.Receive = time.Since(begin) }()
	a := c.api
	if a.readsInput() {
		if !c.call.Receive(a.usesRequest()) {
			return false
		}
		c.attempt.Params = c.call.Input.Params
		if c.call.Request != nil {
			c.attempt.Request = c.call.Request
		}
	}
	c.call.Identify()
	return true
}

// readsInput reports whether params are needed. An API call always needs them; a
// sidecar's body is only read if a program uses it, and is streamed otherwise.
func (a *API) readsInput() bool {
	return !a.target.sidecar || a.programs.makesRequest || a.Require != nil || a.route.CallID != nil || a.buffered
}

// usesRequest reports whether a program of the API or of its parts uses $request.
func (a *API) usesRequest() bool {
	return a.programs.request || a.links != nil && a.Link() == nil && a.links.request
}

// failed ends the call because a request program can't build the API's request. The
// API is not called. It is the caller's fault where the program uses what came in.
func (c *run) failed(program string, err error) bool {
	if c.call.Ctx.Err() != nil {
		c.call.Uncharged = true // the API wasn't called yet
		return c.call.Expire("")
	}
	if c.api.ignoresCaller(program) {
		c.call.Uncharged, c.call.Check = true, endpoint.CheckProgram
		return c.call.Fail(call.BadAnswer, program+" can't be built, whatever the caller sends: "+err.Error())
	}
	if c.api.usesParts(program) {
		c.call.Uncharged = true
		return c.call.Fail(call.BadAnswer, program+" can't be built from the params and the answers of other apis: "+err.Error())
	}
	return c.call.Fail(call.Incomplete, program+" can't be built from the params: "+err.Error())
}

// callMethods are those of an API call.
var callMethods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
}

// neverSent reports whether a method must not be sent to an API: the answer to
// TRACE and TRACK repeats the request, with the token, and CONNECT opens a
// tunnel.
func neverSent(method string) bool {
	return slices.Contains([]string{http.MethodTrace, "TRACK", http.MethodConnect}, strings.ToUpper(method))
}

// allowed ends a call whose method isn't sent. A sidecar also forwards methods
// that its API may not support. Its answer to those, e.g. 501, says nothing about
// its health.
func (c *run) allowed() bool {
	if slices.Contains(callMethods, c.call.R.Method) {
		return true
	}
	allow := strings.Join(callMethods, ", ")
	if c.api.target.sidecar {
		c.call.Uncharged = true
		if !neverSent(c.call.R.Method) || isWebsocket(c.call.R) {
			return true
		}
		allow += ", OPTIONS"
	}
	c.call.Identify()
	c.call.W.Header().Set("Allow", allow)
	return c.call.Refuse(http.StatusMethodNotAllowed, call.BadRequest, "this method is not allowed")
}

// isWebsocket reports whether a CONNECT opens a websocket over HTTP/2 or HTTP/3
// (RFC 8441, RFC 9220). reverse_proxy turns it into a GET.
func isWebsocket(r *http.Request) bool {
	return r.Method == http.MethodConnect &&
		(r.ProtoMajor == 2 && r.Header.Get(":protocol") == "websocket" || r.ProtoMajor == 3 && r.Proto == "websocket")
}

// require ends the call if the caller has sent too little.
func (c *run) require() bool {
	r := c.api.Require
	if r == nil {
		return true
	}
	c.trace.stage = atRequire
	for _, name := range r.Params {
		if !call.HasContent(c.call.Input.Params[name]) {
			return c.call.Fail(call.Incomplete, "the param "+name+" is missing")
		}
	}
	if len(r.Conditions) == 0 {
		c.trace.stage = atCache
		return true
	}
	// the variables of a request program, without a token, which isn't obtained
	// yet
	vars := make([]any, len(requestVars), len(requestVars)+len(c.api.programs.credentials))
	vars[0] = c.call.Request
	vars = append(vars, c.api.programs.credentials...)
	for i, condition := range c.api.programs.require {
		met, err := condition.Test(c.call.Ctx, c.call.Input.Params, vars...)
		switch {
		case c.call.Ctx.Err() != nil:
			return c.call.Expire("")
		case err != nil:
			return c.call.Fail(call.Incomplete, fmt.Sprintf("condition %d of require failed on the params: %v", i+1, err))
		case !met:
			return c.call.Fail(call.Incomplete, fmt.Sprintf("the params do not meet condition %d of require", i+1))
		}
	}
	c.trace.stage = atCache
	return true
}

// enterBreaker ends the call if the API must not be called.
func (c *run) enterBreaker() bool {
	a := c.api
	if c.call.Route.State.Held() {
		return c.call.Fail(call.Held, "an operator holds the api")
	}
	if a.breaker == nil {
		return true
	}
	if c.call.Test != nil { // an open breaker stops a test, too, but a test doesn't count
		if a.breaker.State() == gobreaker.StateOpen {
			c.call.RetryAfter = a.breaker.retryAfter()
			return c.call.Fail(call.BreakerOpen, gobreaker.ErrOpenState.Error())
		}
		return true
	}
	done, err := a.breaker.Allow()
	if err != nil {
		c.call.RetryAfter = a.breaker.retryAfter()
		return c.call.Fail(call.BreakerOpen, err.Error())
	}
	c.breakerReport.Store(&breakerReport{done: done})
	return true
}

// report reports the outcome to the breaker.
func (c *run) report() {
	v := c.breakerReport.Load()
	if v == nil {
		return
	}
	switch {
	case c.parts != nil && c.trace.stage == atEnd: // an answer that only lacks a part
		v.report(nil)
	case c.call.Uncharged:
		v.report(errUncounted)
	case c.call.Outcome == call.Timeout, c.call.Outcome == call.Unreachable, c.call.Outcome == call.BadAnswer, c.call.Outcome == call.Failed:
		v.report(errUnhealthy)
	case c.call.Outcome.CausedByCaller(), c.call.Outcome == call.NoToken, c.call.Outcome == "":
		v.report(errUncounted)
	default:
		v.report(nil)
	}
}
