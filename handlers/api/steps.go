package api

import (
	"cmp"
	"net/http"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/mask"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// The stages of the work, by how far a call got.
const (
	atAdmit = iota
	atRequire
	atRequest
	atCall
	atVerdict
	atOutput
	atEnd
)

// findings are what a trace tells beside what the call holds anyway.
type findings struct {
	stage   int
	sent    *http.Request // as the programs made it
	success bool
	nobody  bool
	// unreadable says what came instead of JSON; "" for JSON, or nothing at all.
	unreadable string
	notes      []string     // of predicates that failed
	deadline   bool         // one of them took too long
	first      *token.Token // that was dead, when the call was made twice
}

// steps tells what the work has done, from what it leaves behind: a call in
// production pays for that only when it has failed.
func (c *run) steps() []adminapi.Step {
	t := tracer{run: c, secrets: c.secrets()}
	if c.found.stage == atAdmit {
		return []adminapi.Step{{Step: "call", Outcome: string(c.Outcome), Note: c.Reason}}
	}
	var steps []adminapi.Step
	if source := c.api.source; source != nil && source.HasToken() {
		steps = append(steps, t.token())
	}
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
	if t.found.stage == stage && !t.Outcome.Answered() {
		return string(t.Outcome)
	}
	return adminapi.StepOK
}

func (t tracer) note(stage int) string {
	if t.found.stage == stage && !t.Outcome.Answered() {
		return mask.Text(t.Reason)
	}
	return ""
}

func (t tracer) token() adminapi.Step {
	step := adminapi.Step{Step: "token", Outcome: adminapi.StepOK, MS: adminapi.Millis(t.attempt.TokenWait)}
	out := map[string]any{"source": t.api.Token, "phase": t.api.source.State().Phase}
	// a dry run would have taken the current one
	if used := cmp.Or(t.attempt.Used, t.attempt.Token, t.api.source.Current()); used != nil {
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
	return step
}

func (t tracer) request() adminapi.Step {
	step := adminapi.Step{Step: "request", Outcome: t.outcome(atRequest), MS: adminapi.Millis(t.Timing.Request), Note: t.note(atRequest)}
	if t.Outcome == call.NoToken { // which step token tells
		step.Outcome, step.Note = adminapi.StepOK, ""
	}
	if t.Input != nil {
		step.In = mask.Document(t.Input.Params, t.secrets)
	}
	req := t.found.sent
	if req == nil {
		return step
	}
	shown := t.sent(req)
	step.Out = shown
	if step.Note == "" {
		step.Note = shown.curl()
	}
	return step
}

func (t tracer) call() adminapi.Step {
	step := adminapi.Step{Step: "call", Outcome: t.outcome(atCall), MS: adminapi.Millis(t.attempt.Upstream), Note: t.note(atCall)}
	if t.Outcome == call.DryRun {
		step.Note = "the API was not called"
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
		text, err := rec.text()
		if err == nil {
			out["body"] = t.document(string(text[:min(len(text), maxShown)]))
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
			"unhealthy": t.Outcome == call.Failed, "token_expired": t.attempt.Expired,
		},
	}
}

func (t tracer) replay() adminapi.Step {
	return adminapi.Step{Step: "replay", Outcome: adminapi.StepOK, Note: "the API took the first token for dead; the call was made once more with a new one"}
}

func (t tracer) output() adminapi.Step {
	step := adminapi.Step{Step: "output", Outcome: t.outcome(atOutput), MS: adminapi.Millis(t.Timing.Output), Note: t.note(atOutput)}
	step.In = mask.Document(t.doc, t.secrets)
	if t.Outcome.Answered() {
		step.Out = mask.Document(t.Output, t.secrets)
	}
	return step
}
