package api

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/document"
	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/internal/mask"
	switchboard "github.com/switchboard-ivr/switchboard/module"
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
func (c *run) readAnswer() bool {
	begin := time.Now()
	defer func() { c.call.Timing.Output += time.Since(begin) }()
	ok := c.read()
	if ok {
		c.trace.stage = atVerdict
		ok = c.verdict(c.answerVars())
	}
	if !c.call.Uncharged && (c.call.Outcome == call.Failed || c.call.Outcome == call.BadAnswer) {
		c.call.Route.Metrics.Unhealthy()
	}
	return ok
}

func (c *run) verdict(vars []any) bool {
	p, status := &c.api.programs, c.response.status
	if err := c.attempt.RuleErr; err != nil {
		c.trace.notes = append(c.trace.notes, "token_expired "+err.Error())
	}
	switch {
	case c.attempt.Expired:
		return c.call.Fail(call.TokenRefused, c.refusal())
	case c.trace.unreadable != "" && (status < 300 || status == http.StatusNotFound):
		return c.call.Fail(call.BadAnswer, "the answer can't be read: "+c.describeAnswer())
	case p.notFoundBySign && c.trace.unreadable == "" && status < http.StatusInternalServerError && c.test("not_found", p.notFound, vars):
		c.trace.nobody = true
		c.call.Outcome = call.NotFound
	case c.isUnhealthy(vars):
		c.call.Fail(call.Failed, c.withNotes("the API has a fault of its own: "+c.describeAnswer()))
	case !c.isSuccess(vars):
	case c.isNotFound(vars):
		c.trace.nobody = true
		c.call.Outcome = call.NotFound
	default:
		c.call.Outcome = call.OK
	}
	switch {
	case c.call.Ctx.Err() != nil:
		return c.call.Expire("")
	case c.trace.deadline:
		return c.call.Fail(call.BadAnswer, c.withNotes("a predicate took too long"))
	case c.call.Outcome.Answered():
		c.call.Reason = c.withNotes("") // of a predicate that failed on the way
	}
	return c.call.Outcome.Answered()
}

// ailing reports whether the answer shows an API in trouble.
func (c *run) isUnhealthy(vars []any) bool {
	status := c.response.status
	if p := c.api.programs.unhealthy; p != nil {
		return c.test("unhealthy", p, vars)
	}
	return status >= http.StatusInternalServerError || status == http.StatusTooManyRequests
}

// succeeded reports whether the API did what it was asked for. It ends the call
// otherwise.
func (c *run) isSuccess(vars []any) bool {
	status, p := c.response.status, &c.api.programs
	switch {
	case status >= 300 && status < 400:
		return c.redirected()
	case c.trace.unreadable != "" && status >= http.StatusInternalServerError: // which `unhealthy` takes for well
		return c.call.Fail(call.BadAnswer, "the answer can't be read: "+c.describeAnswer())
	case c.trace.unreadable != "":
		return c.call.Fail(call.Rejected, "the API said no: "+c.describeAnswer())
	case p.success != nil:
		c.trace.success = c.test("success", p.success, vars)
	default:
		c.trace.success = status < http.StatusBadRequest || status == http.StatusNotFound && p.notFound == nil
	}
	if c.trace.success {
		return true
	}
	return c.call.Fail(call.Rejected, c.withNotes("the API said no: "+c.describeAnswer()))
}

// redirected ends a call whose answer points elsewhere: a phone system can't
// follow, and our token must not.
func (c *run) redirected() bool {
	to := c.response.header.Get("Location")
	if to == "" {
		return c.call.Fail(call.Rejected, "the API said no: "+c.describeAnswer())
	}
	return c.call.Fail(call.Rejected, fmt.Sprintf("the API redirects (%d) to %s; write that in `to`",
		c.response.status, mask.Hide("", mask.URI(to), c.secrets())))
}

// knowsNobody reports whether a successful answer says that nobody is there.
// Without a not_found line that is an answer with nothing in it, and status 404.
func (c *run) isNotFound(vars []any) bool {
	p := &c.api.programs
	if p.notFound != nil {
		return !p.notFoundBySign && c.test("not_found", p.notFound, vars)
	}
	return c.doc == nil || c.response.status == http.StatusNotFound && p.success == nil
}

// refusal says why an API takes no token of ours.
func (c *run) refusal() string {
	what := "the API refused the token, and a new one too: "
	if !c.attempt.Replayed {
		what = "the API refused the token, and the call was not repeated: "
	}
	what += c.describeAnswer()
	// a transport in a `reverse_proxy` block may have a token source of its own
	if source := c.api.source; source != nil && source.Refusal() != "" {
		what += "; " + source.Refusal()
	}
	return what
}

// came says what kind of answer it was: "HTML, status 502".
func (c *run) describeAnswer() string {
	status := "status " + strconv.Itoa(c.response.status)
	if c.trace.unreadable != "" {
		return c.trace.unreadable + ", " + status
	}
	return status
}

// said adds to a reason what was wrong with the predicates behind it.
func (c *run) withNotes(reason string) string {
	return strings.TrimPrefix(strings.Join(append([]string{reason}, c.trace.notes...), "; "), "; ")
}

// holds asks a predicate. One that fails counts as false, and is noted.
func (c *run) test(name string, p *jq.Program, vars []any) bool {
	yes, err := p.Test(c.call.Ctx, c.doc, vars...)
	if err == nil {
		return yes
	}
	c.trace.deadline = c.trace.deadline || errors.Is(err, jq.ErrDeadline)
	c.trace.notes = append(c.trace.notes, name+" "+err.Error())
	return false
}

// answerVars are the values of the variables of programs that look at an
// answer.
func (c *run) answerVars() []any {
	c.vars[0], c.vars[3] = c.response.status, c.call.Request
	if c.api.programs.answerHeaders && c.vars[1] == nil {
		c.vars[1] = program.Headers(c.response.header)
	}
	if c.call.Input != nil {
		c.vars[2] = c.call.Input.Params
	}
	return c.vars[:]
}

// read decodes the answer: whole, in a known encoding and charset, one JSON
// document or nothing at all. What is something else, such as a page of a proxy
// between, is noted as unreadable; its status may still say what it means.
func (c *run) read() bool {
	rec := &c.response
	body := rec.body.Bytes()
	switch {
	case rec.status == http.StatusPartialContent:
		return c.call.Fail(call.BadAnswer, "the answer is a part of one (status 206)")
	case rec.status == http.StatusNoContent, rec.status == http.StatusResetContent, rec.status == http.StatusNotModified:
		return true
	case c.attempt.Raw != nil && bytes.Equal(c.attempt.Raw, body) && !c.echoesToken(body):
		c.doc = c.attempt.Doc // the transport has looked into it
		return true
	}
	kind := rec.header.Get("Content-Type")
	body, err := rec.text()
	if err == nil {
		body, err = document.UTF8(kind, body, int(c.api.MaxSize), c.call.Room.ReserveText)
	}
	if err == nil {
		body = c.withoutToken(body)
		c.doc, err = jsonval.DecodePart(body, jsonval.Limits{Bytes: int(c.api.MaxSize), Room: &c.call.Room}, c.api.programs.part)
	}
	switch {
	case err == nil, errors.Is(err, jsonval.ErrEmpty):
		return true
	case errors.Is(err, jsonval.ErrNoRoom), errors.Is(err, jq.ErrDeadline):
		return c.call.Overloaded()
	case errors.Is(err, jsonval.ErrTooLarge) && rec.status < http.StatusBadRequest:
		return c.call.Fail(call.TooLarge, err.Error())
	case errors.Is(err, jsonval.ErrSyntax):
		c.trace.unreadable = document.Name(kind, body)
	default:
		c.trace.unreadable = err.Error()
	}
	return true
}

// shape makes the flow's answer of the API's.
func (c *run) shape() bool {
	begin := time.Now()
	defer func() { c.call.Timing.Output += time.Since(begin) }()
	a := c.api
	c.trace.stage = atOutput
	if c.call.Outcome == call.NotFound {
		return true // the contract's defaults
	}
	c.call.Output = c.doc
	if a.programs.output != nil {
		// params may be of another kind than the program takes them for
		c.call.FromCaller = a.programs.output.Uses("params") || a.programs.output.Uses("request")
		v, err := a.programs.output.Run(c.call.Ctx, c.doc, c.answerVars()...)
		if err != nil {
			if c.call.Ctx.Err() != nil {
				return c.call.Expire("")
			}
			c.call.Uncharged = c.call.FromCaller
			return c.call.Fail(call.BadAnswer, "output "+err.Error())
		}
		c.call.Output = v
	}
	if c.call.Output == nil {
		c.call.Outcome = call.NotFound
	}
	c.trace.stage = atEnd
	return true
}

// keepEvery is how often an answer is kept: the calls between pay for a look at
// the clock.
const sampleInterval = time.Second

// lastAnswer is the API's last real answer, for those who work on `output`. It is
// masked before it is kept.
type sampler struct {
	next atomic.Int64 // when one is kept again, in Unix ns
	kept atomic.Pointer[switchboard.Sample]
}

// keep keeps the answer of a call that the API has answered.
func (c *run) keepSample() {
	last := c.api.last
	if last == nil {
		return
	}
	now := time.Now()
	next := last.next.Load()
	if now.UnixNano() < next || !last.next.CompareAndSwap(next, now.Add(sampleInterval).UnixNano()) {
		return
	}
	text, err := c.response.text()
	if err != nil || len(text) > maxShown {
		return
	}
	doc, err := jsonval.Decode(text, jsonval.Limits{})
	if err != nil {
		return
	}
	secrets := c.secrets()
	kept := &switchboard.Sample{
		Time: now, Status: c.response.status,
		Answer: mask.Document(doc, secrets), Headers: mask.Document(program.Headers(c.response.header), secrets),
	}
	if c.call.Input != nil {
		kept.Params = mask.Document(c.call.Input.Params, secrets)
	}
	last.kept.Store(kept)
}

// echoesToken reports whether an answer that is looked into holds our token. Some
// APIs repeat the request, and the phone system must not get the token out of
// `output`.
func (c *run) echoesToken(body []byte) bool {
	used := c.attempt.Used
	if used == nil || len(used.Access) < 4 {
		return false
	}
	// the beginning is looked for first, which costs no memory
	begin, _, _ := strings.Cut(used.Access, "/")
	if !bytes.Contains(body, []byte(begin[:min(len(begin), 16)])) {
		return false
	}
	return bytes.Contains(body, []byte(used.Access)) || bytes.Contains(body, slashed(used.Access))
}

// withoutToken returns the answer with our token masked.
func (c *run) withoutToken(body []byte) []byte {
	if !c.echoesToken(body) {
		return body
	}
	body = bytes.ReplaceAll(body, []byte(c.attempt.Used.Access), []byte(mask.Hidden))
	return bytes.ReplaceAll(body, slashed(c.attempt.Used.Access), []byte(mask.Hidden))
}

// slashed is a text as some encoders write it into JSON.
func slashed(s string) []byte { return []byte(strings.ReplaceAll(s, "/", `\/`)) }
