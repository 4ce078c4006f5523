package api

import (
	"cmp"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/document"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/internal/mask"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/token"
	"github.com/switchboard-ivr/switchboard/module/transport"
)

// stage is how far a call got.
type stage uint8

const (
	atReceive stage = iota
	atRequire
	atCache
	atChain
	atRequest
	atCall
	atVerdict
	atOutput
	atEnd
)

// traceState holds what only a trace needs, and what the call has no field for.
type traceState struct {
	sent     *http.Request // as the programs built it
	stage    stage
	again    bool // the request is built again if the token has expired
	success  bool
	notFound bool // not_found applied
	deadline bool // a predicate took too long
	// unreadable describes an answer that can't be read as JSON, or as what
	// `answer` says; "" for one that can, or an empty one.
	unreadable string
	notes      []string     // errors of predicates
	first      *token.Token // the expired one, if the call was repeated
}

// requireSteps returns the steps between the request and the cache.
func (c *run) requireSteps() []adminapi.Step {
	switch {
	case c.api.Require == nil || c.trace.stage < atRequire:
		return nil
	case c.trace.stage > atRequire:
		return []adminapi.Step{{Step: "require", Outcome: adminapi.StepOK}}
	default:
		return []adminapi.Step{{Step: "require", Outcome: string(c.call.Outcome), Note: mask.Text(c.call.Reason)}}
	}
}

// workSteps returns the steps of the work. It derives them from the state of the
// call when it is over, so that only failed calls and tests pay for tracing. It
// leaves out what wasn't done.
func (c *run) workSteps() []adminapi.Step {
	t := tracer{run: c, secrets: c.secrets()}
	if c.trace.stage < atChain {
		return []adminapi.Step{{Step: "call", Outcome: string(c.call.Outcome), Note: c.call.Reason}} // held, or the breaker is open
	}
	steps := c.chainSteps()
	if c.trace.stage == atChain {
		return steps
	}
	if !c.api.target.none {
		steps = append(steps, t.exchangeSteps()...)
	}
	if c.trace.stage == atEnd || c.trace.stage == atOutput && c.call.Outcome != call.NotFound {
		steps = append(steps, t.outputStep())
	}
	return steps
}

// exchangeSteps returns the steps from the token to the verdict.
func (t tracer) exchangeSteps() (steps []adminapi.Step) {
	c := t.run
	if t.tookToken() {
		steps = append(steps, t.tokenStep())
	}
	if c.trace.sent != nil || c.call.Outcome != call.NoToken {
		steps = append(steps, t.requestStep())
	}
	if t.called() || c.call.Outcome == call.DryRun {
		steps = append(steps, t.callStep())
	}
	if c.trace.stage >= atVerdict {
		steps = append(steps, t.verdictStep())
	}
	if c.attempt.Replayed && c.attempt.Used != nil {
		steps = append(steps, t.replayStep())
	}
	return steps
}

// called reports whether the API was called. If the transport answered in its
// place, attempt.Err says why.
func (c *run) called() bool {
	return c.attempt.Refused != 0 || c.trace.stage >= atCall && c.attempt.Err == nil && c.call.Outcome != call.DryRun
}

// tookToken reports whether the call needed a token, or a dry run would have.
func (c *run) tookToken() bool {
	if source := c.api.source; source == nil || !source.HasToken() {
		return false
	}
	return c.held() != nil || c.trace.first != nil || c.attempt.TokenWait > 0 || c.attempt.Err != nil || c.call.Outcome == call.NoToken
}

// held returns the token of the call's request, or the one that a dry run would
// have sent; nil for none.
func (c *run) held() *token.Token {
	t := cmp.Or(c.attempt.Used, c.attempt.Token)
	if t == nil && c.call.Outcome == call.DryRun && c.api.source != nil {
		return c.api.source.Current()
	}
	return t
}

// secrets returns the values that must be masked everywhere.
func (c *run) secrets() []string {
	var secrets []string
	for _, v := range c.api.programs.credentials {
		if s, ok := v.(string); ok {
			secrets = append(secrets, s)
		}
	}
	tokens := []*token.Token{c.attempt.Used, c.attempt.Token, c.trace.first}
	if source := c.api.source; source != nil && source.HasToken() {
		tokens = append(tokens, source.Current())
	}
	for _, t := range tokens {
		if t != nil {
			secrets = append(secrets, t.Access)
		}
	}
	return secrets
}

// tracer builds the steps of a call.
type tracer struct {
	*run
	secrets []string
}

// outcome returns the outcome of the call, if it ended at this stage; or else ok.
func (t tracer) outcome(at stage) string {
	if t.trace.stage == at && !t.call.Outcome.Answered() {
		return string(t.call.Outcome)
	}
	return adminapi.StepOK
}

func (t tracer) note(at stage) string {
	if t.trace.stage == at && !t.call.Outcome.Answered() {
		return mask.Text(t.call.Reason)
	}
	return ""
}

func (t tracer) tokenStep() adminapi.Step {
	step := adminapi.Step{Step: "token", Outcome: adminapi.StepOK, MS: adminapi.Millis(t.attempt.TokenWait)}
	state := t.api.source.State()
	out := map[string]any{"source": t.api.Token, "phase": state.Phase}
	if asked := state.LastExchange; asked != nil && (t.failedOnToken() || !asked.Time.Before(t.call.StartTime())) {
		out["exchange"] = asked // masked
	}
	if used := t.held(); used != nil {
		out["generation"], out["fingerprint"] = used.Generation, used.Fingerprint()
		out["age"] = time.Since(used.Obtained).Round(time.Second).String()
		if !used.Expires.IsZero() {
			out["left"] = time.Until(used.Expires).Round(time.Second).String()
		}
	}
	step.Out = out
	if t.call.Outcome == call.NoToken {
		step.Outcome, step.Note = string(t.call.Outcome), mask.Text(t.call.Reason)
	}
	return step
}

// failedOnToken reports whether there was no token, or none that the API accepts.
// The last exchange with the token endpoint may say why, no matter how old it is.
func (c *run) failedOnToken() bool {
	return c.call.Outcome == call.NoToken || c.call.Outcome == call.TokenRefused
}

func (t tracer) requestStep() adminapi.Step {
	at := t.trace.stage
	if _, ours := errors.AsType[*transport.RequestError](t.attempt.Err); ours { // the token didn't fit into the request
		at = atRequest
	}
	step := adminapi.Step{Step: "request", Outcome: adminapi.StepOK, MS: adminapi.Millis(t.call.Timing.Request)}
	if at == atRequest && !t.call.Outcome.Answered() && t.call.Outcome != call.NoToken {
		step.Outcome, step.Note = string(t.call.Outcome), mask.Text(t.call.Reason)
	}
	if t.call.Input != nil {
		step.In = mask.Document(t.call.Input.Params, t.secrets)
	}
	if t.trace.sent == nil {
		return step
	}
	shown := t.sent(t.trace.sent)
	step.Out = shown
	switch {
	case step.Note != "":
	case t.called() || t.call.Outcome == call.DryRun:
		step.Note = shown.curl()
	default:
		step.Note = "built, but not sent"
	}
	return step
}

func (t tracer) callStep() adminapi.Step {
	step := adminapi.Step{Step: "call", Outcome: t.outcome(atCall), MS: adminapi.Millis(t.attempt.Upstream), Note: t.note(atCall)}
	rec := &t.response
	switch {
	case t.attempt.Err != nil: // the buffered answer is the transport's own
		step.Outcome, step.Note = adminapi.StepOK, "the API says that the token has expired"
		step.Out = map[string]any{"status": t.attempt.Refused}
		return step
	case rec.status == 0 || t.call.Outcome == call.DryRun:
		return step
	}
	out := map[string]any{"status": rec.status}
	shown := make(map[string]any)
	for _, name := range []string{"Content-Type", "Content-Encoding", "Content-Length", "Retry-After", "Cache-Control", "Vary", "Date", "Server", "Www-Authenticate"} {
		if v := rec.header.Get(name); v != "" {
			shown[name] = mask.Hide(name, v, t.secrets)
		}
	}
	out["headers"] = shown
	if rec.body != nil && rec.body.Len() > 0 && !t.call.Uncharged { // no time for it when overloaded
		text, err := rec.text()
		if err == nil {
			out["body"] = t.shown(text)
		}
	}
	step.Out = out
	return step
}

// verdictStep shows how the answer was judged. A not_found that looks for a sign
// comes first, and success isn't evaluated for an unhealthy API.
func (t tracer) verdictStep() adminapi.Step {
	notes := []string{t.note(atVerdict)}
	if notes[0] == "" {
		notes = notes[:0]
	}
	for _, note := range t.trace.notes {
		if note = mask.Text(note); len(notes) == 0 || !strings.Contains(notes[0], note) {
			notes = append(notes, note)
		}
	}
	if note := t.otherRoot(); note != "" {
		notes = append(notes, note)
	}
	out := map[string]any{"token_expired": t.attempt.Expired}
	status := t.response.status
	switch {
	case t.attempt.Expired, t.trace.unreadable != "" && t.call.Outcome == call.BadAnswer:
	case t.trace.notFound && !t.trace.success:
		out["not_found"] = true
	case t.call.Outcome == call.Failed:
		out["unhealthy"] = true
	case t.trace.unreadable != "", status >= 300 && status < 400: // never a success, so no program ran
		out["unhealthy"] = false
	default:
		out["unhealthy"], out["success"] = false, t.trace.success
		if t.trace.success {
			out["not_found"] = t.trace.notFound
		}
	}
	if _, asked := out["not_found"]; asked && t.api.programs.notFound != nil {
		out["not_found_asked"] = "last" // true for null: only sees that there is no data
		if t.api.programs.notFoundBySign {
			out["not_found_asked"] = "first" // looks for a sign
		}
	}
	return adminapi.Step{
		Step: "verdict", Outcome: t.outcome(atVerdict), Note: strings.Join(notes, "; "),
		In: map[string]any{"status": t.response.status}, Out: out,
	}
}

// otherRoot returns why a `list` has no elements in the XML of a test's answer, if that
// begins with another element.
func (t tracer) otherRoot() string {
	doc, _ := t.doc.(map[string]any)
	if t.call.Test == nil || t.api.Answer == nil || len(doc) != 1 {
		return ""
	}
	for _, list := range t.api.Answer.List {
		root, _, _ := strings.Cut(list, "/")
		for name := range doc {
			if name != root {
				return mask.Text("no element of the answer matches list " + list + "; its root is " + name)
			}
		}
	}
	return ""
}

func (t tracer) replayStep() adminapi.Step {
	return adminapi.Step{Step: "replay", Outcome: adminapi.StepOK, Note: "the API says that the first token has expired; the call was repeated with a new one"}
}

func (t tracer) outputStep() adminapi.Step {
	step := adminapi.Step{Step: "output", Outcome: t.outcome(atOutput), MS: adminapi.Millis(t.call.Timing.Output), Note: t.note(atOutput)}
	step.In = mask.Document(t.doc, t.secrets)
	if t.call.Outcome.Answered() {
		step.Out = mask.Document(t.call.Output, t.secrets)
	}
	return step
}

// sentRequest is the API's request, masked, as it is shown to people.
type sentRequest struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    any               `json:"body,omitempty"`
}

// sent returns a request, with the header that the transport adds for the token.
func (t tracer) sent(req *http.Request) sentRequest {
	at := t.api.target.scheme + "://" + req.Host + req.URL.RequestURI()
	shown := sentRequest{
		Method:  req.Method,
		URL:     mask.Hide("", mask.URI(at), t.secrets),
		Headers: make(map[string]string, len(req.Header)+1),
	}
	for name, values := range req.Header {
		if len(values) > 0 {
			shown.Headers[name] = mask.Hide(name, strings.Join(values, ", "), t.secrets)
		}
	}
	if source := t.api.source; source != nil && t.held() != nil {
		if in := source.Injection(); in.Where == token.InHeader {
			shown.Headers[in.Name] = in.Prefix + mask.Hidden + in.Suffix
		}
	}
	if body := bodyOf(req); body != "" {
		shown.Body = t.document(body)
	}
	return shown
}

func bodyOf(req *http.Request) string {
	if req.GetBody == nil {
		return ""
	}
	body, err := req.GetBody()
	if err != nil {
		return ""
	}
	text, _ := io.ReadAll(io.LimitReader(body, maxShown))
	return string(text)
}

// maxShown is the largest body that is shown.
const maxShown = 64 << 10

// shown returns the answer, masked, as the programs see it. What they can't read is
// text.
func (t tracer) shown(text []byte) any {
	if len(text) <= maxShown {
		if doc, err := t.readWhole(text); err == nil {
			return mask.Document(doc, t.secrets)
		}
	}
	text = text[:min(len(text), maxShown)]
	if decoded, err := document.UTF8(t.response.header.Get("Content-Type"), text, 3*maxShown, nil); err == nil {
		text = decoded
	}
	return t.document(string(text))
}

// document returns a masked text, as a document if it is JSON.
func (t tracer) document(text string) any {
	if doc, err := jsonval.Decode([]byte(text), jsonval.Limits{}); err == nil {
		return mask.Document(doc, t.secrets)
	}
	return mask.Body(text, t.secrets)
}

// curl returns the request as a curl command.
func (s sentRequest) curl() string {
	var b strings.Builder
	b.WriteString("curl")
	if s.Method != http.MethodGet {
		b.WriteString(" -X " + s.Method)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Headers)) {
		b.WriteString(" -H " + quoted(name+": "+s.Headers[name]))
	}
	if s.Body != nil {
		text, ok := s.Body.(string)
		if !ok {
			encoded, _ := jsonval.Encode(nil, s.Body, jsonval.Limits{}) // of what was decoded
			text = string(encoded)
		}
		b.WriteString(" -d " + quoted(text))
	}
	b.WriteString(" " + quoted(s.URL))
	return b.String()
}

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
