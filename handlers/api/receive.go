package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/jq"
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
	return !a.target.sidecar() || a.programs.makesRequest() || a.route.CallID != nil || a.buffered
}

// asksRequest tells whether the token source's rule looks at $request.
func (a *API) asksRequest() bool {
	if a.source == nil {
		return false
	}
	_, rule := a.source.ExpiredRule()
	return rule != nil && rule.Uses("request")
}

// failed ends the call because of a program of the request: what came in can't
// be turned into what the API wants.
func (c *run) failed(program string, err error) bool {
	if c.Clock.Err() != nil {
		return c.Ended("")
	}
	if errors.Is(err, jq.ErrDeadline) || errors.Is(err, jq.ErrTooLarge) {
		return c.Refuse(http.StatusRequestEntityTooLarge, call.BadRequest, program+": "+err.Error())
	}
	return c.Refuse(http.StatusBadRequest, call.BadRequest, program+": "+err.Error())
}
