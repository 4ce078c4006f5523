package api

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/module/program"
)

// judge reads the API's answer and finds out what it means.
//
// A token that is dead even after a replay is a refusal. Whether the API knows
// nobody is asked of a successful answer, and of one with status 404; so an
// error with an empty `data` doesn't pass for an unknown caller.
func (c *run) judge() bool {
	begin := time.Now()
	defer func() { c.Timing.Output += time.Since(begin) }()
	a, status := c.api, c.recorder.status
	if !c.read() {
		c.Route.Metrics.Unhealthy()
		return false
	}
	c.found.stage = atVerdict
	vars := c.answerVars()
	if c.holds(a.programs.unhealthy, vars, status >= http.StatusInternalServerError) {
		c.ails()
	}
	if c.attempt.Expired {
		return c.Fail(call.Rejected, "the API takes no token of ours")
	}
	success := c.holds(a.programs.success, vars, status < http.StatusBadRequest)
	nobody := (success || status == http.StatusNotFound) && c.holds(a.programs.notFound, vars, status == http.StatusNotFound)
	c.found.success, c.found.nobody = success, nobody
	switch {
	case nobody:
		c.Outcome = call.NotFound
	case success:
		c.Outcome = call.OK
	default:
		return c.Fail(call.Rejected, "the API said no with status "+strconv.Itoa(status))
	}
	return true
}

// ails notes an answer that shows an ailing API.
func (c *run) ails() {
	c.Ailing = true
	c.Route.Metrics.Unhealthy()
}

// holds asks a predicate, or gives its default where none is written.
func (c *run) holds(p *jq.Program, vars []any, otherwise bool) bool {
	if p == nil {
		return otherwise
	}
	return p.True(c.Clock, c.doc, vars...)
}

// answerVars are the values of the variables of programs that look at an
// answer.
func (c *run) answerVars() []any {
	c.vars[0], c.vars[3] = c.recorder.status, c.Request
	if c.api.programs.answerHeaders && c.vars[1] == nil {
		c.vars[1] = program.Headers(c.recorder.header)
	}
	if c.Input != nil {
		c.vars[2] = c.Input.Params
	}
	return c.vars[:]
}

// read decodes the answer: whole, in a known encoding, one JSON document, or
// nothing at all. An error status may come with any text, such as a page of a
// proxy between: it is then judged by the status alone.
func (c *run) read() bool {
	rec := &c.recorder
	body := rec.body.Bytes()
	switch {
	case rec.status == http.StatusPartialContent:
		return c.Fail(call.BadAnswer, "the answer is a part of one (status 206)")
	case rec.status == http.StatusNoContent, rec.status == http.StatusResetContent, rec.status == http.StatusNotModified:
		return true
	case c.attempt.Raw != nil && bytes.Equal(c.attempt.Raw, body) && c.Reserve(len(body)):
		c.doc = c.attempt.Doc // the transport has looked into it
		return true
	}
	body, err := rec.text()
	if err == nil {
		if !c.Reserve(len(body)) {
			return c.Fail(call.TooLarge, "too many large answers at once")
		}
		c.doc, err = jq.DecodePart(body, jq.Limits{Bytes: int(c.api.MaxSize)}, c.api.programs.part)
	}
	switch {
	case err == nil:
		return true
	case rec.status >= http.StatusBadRequest:
		c.doc = nil
		return true
	case errors.Is(err, jq.ErrTooLarge):
		return c.Fail(call.TooLarge, err.Error())
	default:
		return c.Fail(call.BadAnswer, err.Error())
	}
}
