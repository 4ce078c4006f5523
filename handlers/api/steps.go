package api

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/mask"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/token"
	"github.com/switchboard-ivr/switchboard/module/transport"
)

// The stages of the work, by how far a call got.
const (
	atAdmit = iota
	atRequest
	atCall
	atVerdict
	atOutput
	atEnd
)

const ok = "ok"

// findings are what a trace tells beside what the call holds anyway.
type findings struct {
	stage   int
	sent    *http.Request // as the programs made it
	dryRun  bool
	success bool
	nobody  bool
	first   *token.Token // that was dead, when the call was made twice
}

// steps tells what the work has done, from what it leaves behind: a call in
// production pays for that only when it has failed.
func (c *run) steps() []adminapi.Step {
	t := tracer{run: c, secrets: c.secrets()}
	if c.found.stage == atAdmit {
		return []adminapi.Step{{Step: "call", Outcome: string(c.Outcome), Note: c.Reason}}
	}
	steps := t.token(nil)
	steps = append(steps, t.request())
	if c.found.stage >= atCall {
		steps = append(steps, t.call())
	}
	if c.found.stage >= atVerdict {
		steps = append(steps, t.judged())
	}
	if c.attempt.Replayed {
		steps = append(steps, t.replay())
	}
	if c.found.stage >= atOutput && c.Outcome != call.NotFound {
		steps = append(steps, t.output())
	}
	return steps
}

// secrets are the values that must not be seen anywhere.
func (c *run) secrets() []string {
	var secrets []string
	for _, v := range c.api.programs.credentials {
		if s, ok := v.(string); ok {
			secrets = append(secrets, s)
		}
	}
	tokens := []*token.Token{c.attempt.Used, c.attempt.Token, c.found.first}
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

// tracer tells the steps of a call.
type tracer struct {
	*run
	secrets []string
}

// outcome is how the call ended, at the stage where it ended.
func (t tracer) outcome(stage int) string {
	if t.found.stage == stage && !t.Outcome.Answered() && !t.found.dryRun {
		return string(t.Outcome)
	}
	return ok
}

func (t tracer) note(stage int) string {
	if t.found.stage == stage && !t.Outcome.Answered() {
		return mask.Text(t.Reason)
	}
	return ""
}

func (t tracer) token(steps []adminapi.Step) []adminapi.Step {
	source := t.api.source
	if source == nil || !source.HasToken() {
		return steps
	}
	step := adminapi.Step{Step: "token", Outcome: ok, MS: millis(t.attempt.TokenWait)}
	out := map[string]any{"source": t.api.Token, "phase": source.State().Phase}
	used := t.attempt.Used
	if used == nil {
		used = t.attempt.Token
	}
	if used == nil {
		used = source.Current() // which a dry run would have taken
	}
	if used != nil {
		out["generation"], out["fingerprint"] = used.Generation, used.Fingerprint()
		out["age"] = time.Since(used.Obtained).Round(time.Second).String()
		if !used.Expires.IsZero() {
			out["left"] = time.Until(used.Expires).Round(time.Second).String()
		}
	}
	step.Out = out
	if t.Outcome == call.NoToken {
		step.Outcome, step.Note = string(t.Outcome), mask.Text(t.Reason)
	}
	return append(steps, step)
}

func (t tracer) request() adminapi.Step {
	step := adminapi.Step{Step: "request", Outcome: t.outcome(atRequest), MS: millis(t.Timing.Request), Note: t.note(atRequest)}
	if t.Outcome == call.NoToken {
		step.Outcome, step.Note = ok, ""
	}
	if t.Input != nil {
		step.In = mask.Document(t.Input.Params, t.secrets)
	}
	req := t.found.sent
	if req == nil {
		return step
	}
	out := map[string]any{"method": req.Method, "url": t.url(req), "headers": t.headers(req.Header)}
	if body := bodyOf(req); body != "" {
		out["body"] = t.document(body)
	}
	step.Out = out
	if step.Note == "" {
		step.Note = t.curl(req)
	}
	return step
}

func (t tracer) url(req *http.Request) string {
	at := t.api.target.scheme + "://" + req.Host + req.URL.RequestURI()
	return mask.Hide("", mask.URI(at), t.secrets)
}

// headers are those of the request, and the one that the transport adds.
func (t tracer) headers(h http.Header) map[string]any {
	shown := make(map[string]any, len(h)+1)
	for name, values := range h {
		if len(values) > 0 {
			shown[name] = mask.Hide(name, strings.Join(values, ", "), t.secrets)
		}
	}
	if name, value := t.injected(); name != "" {
		shown[name] = value
	}
	return shown
}

// injected is the header that carries the token, with the token hidden.
func (t tracer) injected() (name, value string) {
	if t.api.source == nil || !t.api.source.HasToken() {
		return "", ""
	}
	if in := t.api.source.Injection(); in.Where == token.InHeader {
		return in.Name, in.Prefix + mask.Hidden + in.Suffix
	}
	return "", ""
}

// document is a text of JSON or another one, masked.
func (t tracer) document(text string) any {
	if doc, err := jq.Decode([]byte(text), jq.Limits{}); err == nil {
		return mask.Document(doc, t.secrets)
	}
	return mask.Hide("", text, t.secrets)
}

// curl is the call as a command, with secrets hidden.
func (t tracer) curl(req *http.Request) string {
	var b strings.Builder
	b.WriteString("curl")
	if req.Method != http.MethodGet {
		b.WriteString(" -X " + req.Method)
	}
	headers := t.headers(req.Header)
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		b.WriteString(" -H " + quoted(name+": "+headers[name].(string)))
	}
	if body := bodyOf(req); body != "" {
		shown, ok := t.document(body).(string)
		if !ok {
			text, _ := jq.Encode(nil, t.document(body), jq.Limits{})
			shown = string(text)
		}
		b.WriteString(" -d " + quoted(shown))
	}
	b.WriteString(" " + quoted(t.url(req)))
	return b.String()
}

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func bodyOf(req *http.Request) string {
	if req.GetBody == nil {
		return ""
	}
	body, err := req.GetBody()
	if err != nil {
		return ""
	}
	text, _ := io.ReadAll(io.LimitReader(body, 64<<10))
	return string(text)
}

func (t tracer) call() adminapi.Step {
	step := adminapi.Step{Step: "call", Outcome: t.outcome(atCall), MS: millis(t.attempt.Upstream), Note: t.note(atCall)}
	if t.found.dryRun {
		step.Outcome, step.Note = "dry_run", "the API was not called"
		return step
	}
	rec := &t.recorder
	if rec.status == 0 {
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
	if rec.body != nil && rec.body.Len() > 0 {
		text, err := transport.Decompress(rec.body.Bytes(), strings.ToLower(rec.header.Get("Content-Encoding")), t.api.MaxSize)
		if err == nil {
			out["body"] = t.document(string(text[:min(len(text), 64<<10)]))
		}
	}
	step.Out = out
	return step
}

func (t tracer) judged() adminapi.Step {
	return adminapi.Step{
		Step: "verdict", Outcome: t.outcome(atVerdict), Note: t.note(atVerdict),
		In: map[string]any{"status": t.recorder.status},
		Out: map[string]any{
			"success": t.found.success, "not_found": t.found.nobody,
			"unhealthy": t.Ailing, "token_expired": t.attempt.Expired,
		},
	}
}

func (t tracer) replay() adminapi.Step {
	return adminapi.Step{Step: "replay", Outcome: ok, Note: "the API took the first token for dead; the call was made once more with a new one"}
}

func (t tracer) output() adminapi.Step {
	step := adminapi.Step{Step: "output", Outcome: t.outcome(atOutput), MS: millis(t.Timing.Output), Note: t.note(atOutput)}
	step.In = mask.Document(t.doc, t.secrets)
	if t.Outcome.Answered() {
		step.Out = mask.Document(t.Output, t.secrets)
	}
	return step
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
