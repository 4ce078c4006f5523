package api

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/document"
	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/mask"
	"github.com/switchboard-ivr/switchboard/module/program"
)

// judge reads the API's answer and finds out what it means. The first rule that
// applies wins:
//
//  1. An answer that can't be used is a bad_answer, or what its status says.
//  2. A token that is refused after a replay is token_refused.
//  3. A not_found that looks for a sign is asked of any answer below 500,
//     because most APIs say "nobody" with an error code.
//  4. An ailing API has failed.
//  5. Without success the answer is rejected.
//  6. A not_found that only sees that nothing is there is asked last, because
//     an error has nothing there either.
func (c *run) judge() bool {
	begin := time.Now()
	defer func() { c.Timing.Output += time.Since(begin) }()
	ok := c.read()
	if ok {
		c.found.stage = atVerdict
		ok = c.verdictOf(c.answerVars())
	}
	if !c.Uncharged && (c.Outcome == call.Failed || c.Outcome == call.BadAnswer) {
		c.Route.Metrics.Unhealthy()
	}
	return ok
}

func (c *run) verdictOf(vars []any) bool {
	p, status := &c.api.programs, c.recorder.status
	if err := c.attempt.RuleErr; err != nil {
		c.found.notes = append(c.found.notes, "token_expired "+err.Error())
	}
	switch {
	case c.attempt.Expired:
		return c.Fail(call.TokenRefused, c.refusal())
	case c.found.unreadable != "" && (status < 300 || status == http.StatusNotFound):
		return c.Fail(call.BadAnswer, "the answer can't be read: "+c.came())
	case p.notFoundBySign && c.found.unreadable == "" && status < http.StatusInternalServerError && c.holds("not_found", p.notFound, vars):
		c.found.nobody = true
		c.Outcome = call.NotFound
	case c.ailing(vars):
		c.Fail(call.Failed, c.said("the API has a fault of its own: "+c.came()))
	case !c.succeeded(vars):
	case c.knowsNobody(vars):
		c.found.nobody = true
		c.Outcome = call.NotFound
	default:
		c.Outcome = call.OK
	}
	switch {
	case c.Clock.Err() != nil:
		return c.Ended("")
	case c.found.deadline:
		return c.Fail(call.BadAnswer, c.said("a predicate took too long"))
	case c.Outcome.Answered():
		c.Reason = c.said("") // of a predicate that failed on the way
	}
	return c.Outcome.Answered()
}

// ailing reports whether the answer shows an API in trouble.
func (c *run) ailing(vars []any) bool {
	status := c.recorder.status
	if p := c.api.programs.unhealthy; p != nil {
		return c.holds("unhealthy", p, vars)
	}
	return status >= http.StatusInternalServerError || status == http.StatusTooManyRequests
}

// succeeded reports whether the API did what it was asked for. It ends the call
// otherwise.
func (c *run) succeeded(vars []any) bool {
	status, p := c.recorder.status, &c.api.programs
	switch {
	case status >= 300 && status < 400:
		return c.redirected()
	case c.found.unreadable != "" && status >= http.StatusInternalServerError: // which `unhealthy` takes for well
		return c.Fail(call.BadAnswer, "the answer can't be read: "+c.came())
	case c.found.unreadable != "":
		return c.Fail(call.Rejected, "the API said no: "+c.came())
	case p.success != nil:
		c.found.success = c.holds("success", p.success, vars)
	default:
		c.found.success = status < http.StatusBadRequest || status == http.StatusNotFound && p.notFound == nil
	}
	if c.found.success {
		return true
	}
	return c.Fail(call.Rejected, c.said("the API said no: "+c.came()))
}

// redirected ends a call whose answer points elsewhere: a phone system can't
// follow, and our token must not.
func (c *run) redirected() bool {
	to := c.recorder.header.Get("Location")
	if to == "" {
		return c.Fail(call.Rejected, "the API said no: "+c.came())
	}
	return c.Fail(call.Rejected, fmt.Sprintf("the API redirects (%d) to %s; write that in `to`",
		c.recorder.status, mask.Hide("", mask.URI(to), c.secrets())))
}

// knowsNobody reports whether a successful answer says that nobody is there.
// Without a not_found line that is an answer with nothing in it, and status 404.
func (c *run) knowsNobody(vars []any) bool {
	p := &c.api.programs
	if p.notFound != nil {
		return !p.notFoundBySign && c.holds("not_found", p.notFound, vars)
	}
	return c.doc == nil || c.recorder.status == http.StatusNotFound && p.success == nil
}

// refusal says why an API takes no token of ours.
func (c *run) refusal() string {
	what := "the API refused the token, and a new one too: "
	if !c.attempt.Replayed {
		what = "the API refused the token, and the call was not repeated: "
	}
	what += c.came()
	// a transport in a `reverse_proxy` block may have a token source of its own
	if source := c.api.source; source != nil && source.Refusal() != "" {
		what += "; " + source.Refusal()
	}
	return what
}

// came says what kind of answer it was: "HTML, status 502".
func (c *run) came() string {
	status := "status " + strconv.Itoa(c.recorder.status)
	if c.found.unreadable != "" {
		return c.found.unreadable + ", " + status
	}
	return status
}

// said adds to a reason what was wrong with the predicates behind it.
func (c *run) said(reason string) string {
	return strings.TrimPrefix(strings.Join(append([]string{reason}, c.found.notes...), "; "), "; ")
}

// holds asks a predicate. One that fails counts as false, and is noted.
func (c *run) holds(name string, p *jq.Program, vars []any) bool {
	yes, err := p.Test(c.Clock, c.doc, vars...)
	if err == nil {
		return yes
	}
	c.found.deadline = c.found.deadline || errors.Is(err, jq.ErrDeadline)
	c.found.notes = append(c.found.notes, name+" "+err.Error())
	return false
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

// read decodes the answer: whole, in a known encoding and charset, one JSON
// document or nothing at all. What is something else, such as a page of a proxy
// between, is noted as unreadable; its status may still say what it means.
func (c *run) read() bool {
	rec := &c.recorder
	body := rec.body.Bytes()
	switch {
	case rec.status == http.StatusPartialContent:
		return c.Fail(call.BadAnswer, "the answer is a part of one (status 206)")
	case rec.status == http.StatusNoContent, rec.status == http.StatusResetContent, rec.status == http.StatusNotModified:
		return true
	case c.attempt.Raw != nil && bytes.Equal(c.attempt.Raw, body) && !c.echoesToken(body):
		c.doc = c.attempt.Doc // the transport has looked into it
		return true
	}
	kind := rec.header.Get("Content-Type")
	body, err := rec.text()
	if err == nil {
		body, err = document.UTF8(kind, body, int(c.api.MaxSize), c.Room.ReserveText)
	}
	if err == nil {
		body = c.withoutToken(body)
		c.doc, err = jq.DecodePart(body, jq.Limits{Bytes: int(c.api.MaxSize), Room: &c.Room}, c.api.programs.part)
	}
	switch {
	case err == nil, errors.Is(err, jq.ErrEmpty):
		return true
	case errors.Is(err, jq.ErrNoRoom), errors.Is(err, jq.ErrDeadline):
		return c.NoRoom()
	case errors.Is(err, jq.ErrTooLarge) && rec.status < http.StatusBadRequest:
		return c.Fail(call.TooLarge, err.Error())
	case errors.Is(err, jq.ErrSyntax):
		c.found.unreadable = document.Name(kind, body)
	default:
		c.found.unreadable = err.Error()
	}
	return true
}
