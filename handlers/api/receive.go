package api

import (
	"time"

	"github.com/switchboard-ivr/switchboard/internal/call"
)

// receive reads what the phone system sent. A sidecar's request is left
// unread, unless a program wants to see it.
func (c *run) receive() bool {
	begin := time.Now()
	defer func() { c.Timing.Receive = time.Since(begin) }()
	a := c.api
	if a.readsInput() {
		if !c.Receive(a.programs.request || a.asksRequest()) {
			return false
		}
		c.attempt.Params = c.Input.Params
		if c.Request != nil {
			c.attempt.Request = c.Request
		}
	}
	c.Identify()
	return true
}

// readsInput tells whether params are needed. An API call always has some; a
// sidecar's body streams on unread where no program looks at it.
func (a *API) readsInput() bool {
	return !a.target.sidecar() || a.programs.makesRequest() || a.Require != nil || a.route.CallID != nil || a.buffered
}

// asksRequest tells whether the token source's rule looks at $request.
func (a *API) asksRequest() bool {
	if a.source == nil {
		return false
	}
	_, rule := a.source.ExpiredRule()
	return rule != nil && rule.Uses("request")
}

// failed ends the call because of a program of the request: it can't make what
// the API wants of what the caller has sent. The API is not asked.
func (c *run) failed(program string, err error) bool {
	if c.Ctx.Err() != nil {
		c.Uncharged = true // nobody has been asked yet
		return c.Expire("")
	}
	return c.Fail(call.Incomplete, program+" can't be made of the params: "+err.Error())
}
