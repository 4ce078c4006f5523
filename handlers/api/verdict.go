package api

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/document"
	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/internal/mask"
	"github.com/switchboard-ivr/switchboard/internal/xmlval"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/program"
)

// Answer says how to read the API's answer. Nil means by its Content-Type.
type Answer struct {
	// json, xml, form (an object of strings, and of arrays where a name repeats) or
	// text (a string).
	Encoding string `json:"encoding,omitempty"`

	// Paths of the elements of XML that are always arrays, also when there is one,
	// or none. A path is the names from the root element on, without prefixes, with
	// slashes between them: `Envelope/Body/Orders/Order`.
	List []string `json:"list,omitempty"`
}

// reader returns the reader of answers.
func (a *Answer) reader() (r document.Reader, err error) {
	switch {
	case a == nil:
		return r, nil
	case !slices.Contains([]string{document.JSON, document.XML, document.Form, document.Text}, a.Encoding):
		return r, fmt.Errorf("answer %q is unknown; write json, xml, form or text", a.Encoding)
	case a.Encoding != document.XML && len(a.List) > 0:
		return r, fmt.Errorf("answer: `list` is about elements of XML, and an answer that is read as %s has none; leave it out, or write `answer xml`", a.Encoding)
	}
	r.As = a.Encoding
	if r.Lists, err = xmlval.NewLists(a.List); err != nil {
		return r, fmt.Errorf("answer: %w", err)
	}
	return r, nil
}

// named adds to what an answer of another kind is what `answer` says it is. A page is
// some proxy's, whatever `answer` says.
func (a *Answer) named(kind string) string {
	if a == nil || kind == "HTML" || strings.Contains(strings.ToLower(kind), a.Encoding) { // as in "broken JSON"
		return kind
	}
	return kind + ", where `answer` says " + a.Encoding
}

// accept returns the default of the header Accept.
func (a *Answer) accept() string {
	switch {
	case a == nil || a.Encoding == document.JSON:
		return "application/json"
	case a.Encoding == document.XML:
		return "text/xml, application/xml, application/soap+xml"
	default:
		return "*/*"
	}
}

// readAnswer decodes the API's answer and judges it. The first rule that applies
// wins:
//
//  1. An unusable answer is a bad_answer, or whatever its status means.
//  2. A token that is refused after a replay is token_refused.
//  3. A not_found that looks for a sign applies to any answer below 500, because
//     most APIs report "not found" with an error code.
//  4. An unhealthy API has failed.
//  5. Without success, the answer is rejected.
//  6. A not_found that only sees that there is no data is evaluated last, because
//     an error has no data either.
func (c *run) readAnswer() bool {
	if c.api.target.none { // there is none
		c.call.Outcome = call.OK
		return true
	}
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
		c.trace.notFound = true
		c.call.Outcome = call.NotFound
	case c.isUnhealthy(vars):
		c.call.Fail(call.Failed, c.withNotes("the API is failing: "+c.describeAnswer()))
	case !c.isSuccess(vars):
	case c.isNotFound(vars):
		c.trace.notFound = true
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
		c.call.Reason = c.withNotes("") // errors of predicates that were no obstacle
	}
	return c.call.Outcome.Answered()
}

// isUnhealthy reports whether the answer shows that the API has a fault of its
// own.
func (c *run) isUnhealthy(vars []any) bool {
	status := c.response.status
	if p := c.api.programs.unhealthy; p != nil {
		return c.test("unhealthy", p, vars)
	}
	return status >= http.StatusInternalServerError || status == http.StatusTooManyRequests
}

// isSuccess reports whether the call succeeded. Otherwise it ends the call.
func (c *run) isSuccess(vars []any) bool {
	status, p := c.response.status, &c.api.programs
	switch {
	case status >= 300 && status < 400:
		return c.redirected()
	case c.trace.unreadable != "" && status >= http.StatusInternalServerError: // `unhealthy` says that the API is healthy
		return c.call.Fail(call.BadAnswer, "the answer can't be read: "+c.describeAnswer())
	case c.trace.unreadable != "":
		return c.call.Fail(call.Rejected, "the API rejected the request: "+c.describeAnswer())
	case p.success != nil:
		c.trace.success = c.test("success", p.success, vars)
	default:
		c.trace.success = status < http.StatusBadRequest || status == http.StatusNotFound && p.notFound == nil && c.api.Once == nil
	}
	if c.trace.success {
		return true
	}
	return c.call.Fail(call.Rejected, c.withNotes("the API rejected the request: "+c.describeAnswer()))
}

// redirected ends a call whose answer is a redirect: a phone system can't follow
// it, and our token must not be sent elsewhere.
func (c *run) redirected() bool {
	to := c.response.header.Get("Location")
	if to == "" {
		return c.call.Fail(call.Rejected, "the API rejected the request: "+c.describeAnswer())
	}
	return c.call.Fail(call.Rejected, fmt.Sprintf("the API redirects (%d) to %s; write that in `to`",
		c.response.status, mask.Hide("", mask.URI(to), c.secrets())))
}

// isNotFound reports whether a successful answer means not found. Without a
// not_found line, that is an empty answer, or status 404.
func (c *run) isNotFound(vars []any) bool {
	p := &c.api.programs
	if p.notFound != nil {
		return !p.notFoundBySign && c.test("not_found", p.notFound, vars)
	}
	if c.api.Once != nil {
		return false // a write that has no answer is done all the same
	}
	return c.doc == nil || c.response.status == http.StatusNotFound && p.success == nil
}

// refusal returns why the API doesn't accept our token.
func (c *run) refusal() string {
	what := "the API refused the token and a new one: "
	if !c.attempt.Replayed {
		what = "the API refused the token; the call was not repeated: "
	}
	what += c.describeAnswer()
	// a transport in a `reverse_proxy` block may have a token source of its own
	if source := c.api.source; source != nil && source.Refusal() != "" {
		what += "; " + source.Refusal()
	}
	return what
}

// describeAnswer describes an answer for a reason, e.g. "HTML, status 502".
func (c *run) describeAnswer() string {
	status := "status " + strconv.Itoa(c.response.status)
	if c.trace.unreadable != "" {
		return c.trace.unreadable + ", " + status
	}
	return status
}

// withNotes adds the errors of predicates to a reason.
func (c *run) withNotes(reason string) string {
	return strings.TrimPrefix(strings.Join(append([]string{reason}, c.trace.notes...), "; "), "; ")
}

// test evaluates a predicate. A predicate that fails counts as false, and is
// noted.
func (c *run) test(name string, p *jq.Program, vars []any) bool {
	yes, err := p.Test(c.call.Ctx, c.doc, vars...)
	if err == nil {
		return yes
	}
	c.trace.deadline = c.trace.deadline || errors.Is(err, jsonval.ErrDeadline)
	c.trace.notes = append(c.trace.notes, name+" "+err.Error())
	return false
}

// answerVars returns the values of the variables of programs on an answer.
func (c *run) answerVars() []any {
	c.vars[0], c.vars[3] = c.response.status, c.call.Request
	if c.api.programs.answerHeaders && c.vars[1] == nil {
		c.vars[1] = program.Headers(c.response.header)
	}
	if c.call.Input != nil {
		c.vars[2] = c.call.Input.Params
	}
	return c.withParts(c.vars[:])
}

// read decodes the answer. It must be complete, in a known encoding and charset,
// and one document of the kind that `answer` or Content-Type says, or empty.
// Anything else, such as an error page of a proxy, is noted as unreadable; its
// status may still have a meaning.
func (c *run) read() bool {
	rec := &c.response
	body := rec.body.Bytes()
	switch {
	case rec.status == http.StatusPartialContent:
		return c.call.Fail(call.BadAnswer, "the answer is only a part (status 206)")
	case rec.status == http.StatusNoContent, rec.status == http.StatusResetContent, rec.status == http.StatusNotModified:
		return true
	case c.attempt.Raw != nil && bytes.Equal(c.attempt.Raw, body) && !c.echoesToken(body):
		c.doc = c.attempt.Doc // the transport has decoded it
		return true
	}
	kind := rec.header.Get("Content-Type")
	body, err := rec.text()
	if err == nil {
		body, err = document.UTF8(kind, body, int(c.api.MaxSize), c.call.Room.ReserveText)
	}
	if err == nil {
		body = c.withoutToken(body)
		c.doc, err = c.api.programs.reader.Read(kind, body, jsonval.Limits{Bytes: int(c.api.MaxSize), Room: &c.call.Room})
	}
	switch {
	case err == nil, errors.Is(err, jsonval.ErrEmpty):
		return true
	case errors.Is(err, jsonval.ErrNoRoom), errors.Is(err, jsonval.ErrDeadline):
		return c.call.Overloaded()
	case errors.Is(err, jsonval.ErrTooLarge) && rec.status < http.StatusBadRequest:
		return c.call.Fail(call.TooLarge, err.Error())
	case errors.Is(err, jsonval.ErrSyntax):
		c.trace.unreadable = c.api.Answer.named(document.Name(kind, body))
	default:
		c.trace.unreadable = err.Error()
	}
	return true
}

// shape makes the flow's answer from the API's answer.
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
		// the params and the parts may have other types than the program expects
		c.call.FromCaller = a.programs.output.Uses("params") || a.programs.output.Uses("request") || c.parts != nil && a.usesParts("output")
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
	if c.call.Output == nil && c.api.Once == nil {
		c.call.Outcome = call.NotFound
	}
	c.trace.stage = atEnd
	return true
}

// sampleInterval is how often a sample is taken, because decoding and masking
// every answer would cost too much.
const sampleInterval = time.Second

// sampler keeps the API's last real answer, for the playground. The answer is
// masked before it is stored.
type sampler struct {
	next   atomic.Int64 // when the next sample is due, in Unix ns
	sample atomic.Pointer[switchboard.Sample]
}

// keepSample takes a sample of the API's answer, if the last one is old enough.
func (c *run) keepSample() {
	last := c.api.sampler
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
	doc, err := c.readWhole(text)
	if err != nil {
		return
	}
	secrets := c.secrets()
	sample := &switchboard.Sample{
		Time: now, Status: c.response.status,
		Answer: mask.Document(doc, secrets), Headers: mask.Document(program.Headers(c.response.header), secrets),
	}
	if c.call.Input != nil {
		sample.Params = mask.Document(c.call.Input.Params, secrets)
	}
	last.sample.Store(sample)
}

// readWhole reads an answer as [run.read] does, but all of it, for people.
func (c *run) readWhole(text []byte) (any, error) {
	reader, kind := c.api.programs.reader, c.response.header.Get("Content-Type")
	reader.Part = nil
	text, err := document.UTF8(kind, text, maxShown, nil)
	if err != nil {
		return nil, err
	}
	return reader.Read(kind, text, jsonval.Limits{})
}

// echoesToken reports whether an answer contains our token. Some APIs repeat the
// request, and the phone system must not get the token through `output`.
func (c *run) echoesToken(body []byte) bool {
	used := c.attempt.Used
	if used == nil || len(used.Access) < 4 {
		return false
	}
	// search for the beginning first, which allocates nothing
	begin, _, _ := strings.Cut(used.Access, "/")
	if i := strings.IndexAny(begin, escapedInXML); i >= 0 {
		begin = begin[:i]
	}
	if !bytes.Contains(body, []byte(begin[:min(len(begin), 16)])) {
		return false
	}
	return slices.ContainsFunc(spellings(used.Access), func(token []byte) bool { return bytes.Contains(body, token) })
}

// withoutToken returns the answer with our token masked.
func (c *run) withoutToken(body []byte) []byte {
	if !c.echoesToken(body) {
		return body
	}
	for _, token := range spellings(c.attempt.Used.Access) {
		body = bytes.ReplaceAll(body, token, []byte(mask.Hidden))
	}
	return body
}

// escapedInXML are the characters that XML escapes in some texts.
const escapedInXML = `&<>"'`

// spellings returns how a document may spell a token: as it is, with its slashes
// escaped as some JSON encoders do, and escaped for XML.
func spellings(token string) [][]byte {
	all := [][]byte{[]byte(token)}
	if strings.Contains(token, "/") {
		all = append(all, []byte(strings.ReplaceAll(token, "/", `\/`)))
	}
	if strings.ContainsAny(token, escapedInXML) {
		all = append(all, []byte(html.EscapeString(token)), []byte(xmlText.Replace(token)), []byte(xmlAttribute.Replace(token)))
	}
	return all
}

// Encoders escape more or less, and quotes by name or by number.
var (
	xmlText      = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	xmlAttribute = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;")
)
