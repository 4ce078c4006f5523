package endpoint

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/answer"
	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/internal/mask"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// RequestSteps returns the steps before the work: the request, the handler's own
// checks, and the cache. asked says that the work was done.
func (c *Call) RequestSteps(asked bool, secrets []string, checks ...adminapi.Step) []adminapi.Step {
	receive := adminapi.Step{Step: "receive", Outcome: adminapi.StepOK, MS: adminapi.Millis(c.Timing.Receive)}
	if c.part == nil { // nothing is received by a part
		receive.In = map[string]any{"method": c.R.Method, "url": mask.URI(c.R.URL.RequestURI())}
	}
	if c.Input != nil {
		receive.Out = mask.Document(c.Input.Params, secrets)
	}
	steps := append([]adminapi.Step{receive}, checks...)
	if c.cached.result() != "" || c.cached.keyless {
		steps = append(steps, c.cacheStep())
	}
	if c.once.key != "" {
		steps = append(steps, c.onceStep(secrets))
	}
	if last := &steps[len(steps)-1]; !asked && !c.Outcome.Answered() && !endedIn(steps, c.Outcome) {
		last.Outcome, last.Note = string(c.Outcome), mask.Text(c.Reason)
	}
	return steps
}

func (c *Call) cacheStep() adminapi.Step {
	step := adminapi.Step{Step: "cache", Outcome: adminapi.StepOK}
	if c.cached.keyless {
		return step
	}
	out := map[string]any{"decision": c.cached.result(), "status": string(c.cached.append(nil))}
	if c.cached.subject != nil {
		out["subject"] = hex.EncodeToString([]byte(c.Route.cache.note(c.cached.subject))) // a keyed hash
	}
	if c.cached.notStored != "" {
		step.Note = "not stored: " + c.cached.notStored
	}
	step.Out = out
	return step
}

// endedIn reports whether the call ended in one of the steps.
func endedIn(steps []adminapi.Step, outcome call.Outcome) bool {
	return slices.ContainsFunc(steps, func(s adminapi.Step) bool { return s.Outcome == string(outcome) })
}

// answerSteps returns the steps after the work: the contract, if it was applied,
// and the answer. ended says that the call ended in an earlier step.
func (c *Call) answerSteps(text []byte, ended bool, secrets []string) []adminapi.Step {
	style := c.Route.Style
	written := adminapi.Step{Step: "answer", Outcome: string(c.Outcome), MS: adminapi.Millis(time.Since(c.started))}
	written.Out = mask.Hide("", string(text), secrets)
	written.Note = fmt.Sprintf("%d bytes of %s", len(text), style.Format)
	if style.Limit > 0 {
		written.Note = fmt.Sprintf("%d of %d bytes of %s", len(text), style.Limit, style.Format)
	}
	if c.Route.Contract == nil || c.answersError() {
		return []adminapi.Step{written}
	}
	contract := c.contractStep(text, secrets)
	if !ended && !c.Outcome.Answered() {
		contract.Outcome, contract.Note = string(c.Outcome), mask.Text(c.Reason)
	}
	return []adminapi.Step{contract, written}
}

// contractStep shows the contract's input and output. When the answer was
// rendered earlier, for another call, there is only the output.
func (c *Call) contractStep(text []byte, secrets []string) adminapi.Step {
	step := adminapi.Step{Step: "contract", Outcome: adminapi.StepOK, Note: "keys that are missing or null take their defaults"}
	if c.text != nil {
		step.Out = c.Route.shown(text, secrets)
		if c.cached.isHit {
			step.Note = "as stored in the cache"
		}
		return step
	}
	step.In = mask.Document(c.Output, secrets)
	if fitted, err := c.fit(); err == nil {
		step.Out = mask.Document(fitted, secrets)
	}
	return step
}

// shown returns a masked answer: as a document, if it is JSON.
func (r *Route) shown(text []byte, secrets []string) any {
	if r.isJSON() {
		if doc, err := jsonval.Decode(text, jsonval.Limits{}); err == nil {
			return mask.Document(doc, secrets)
		}
	}
	return mask.Hide("", string(text), secrets)
}

// isJSON reports whether the route's answers are JSON.
func (r *Route) isJSON() bool { return r.Style.Format == answer.JSON || r.Style.Format == answer.Flat }

// checks are the advice for operators: where to look, for each outcome without an
// answer.
var checks = map[call.Outcome]string{
	call.Partial:      "why the part is missing: the reason names it and its api, and step chain shows its steps. Its own failures: `caddy switchboard last` with the name of that api",
	call.Incomplete:   "what the phone system sent, in step receive: the reason names what is missing, or the program that can't process it. If most calls end like this, a name is spelled differently in the configuration and in the flow",
	call.NoToken:      "the credentials and addresses of the token source, its clock and `timestamp`, and the token endpoint's answer, which is in the reason",
	call.TokenRefused: "whether something else signs in with the same credentials, whether the account may use this API, and whether `token_expired` interprets the answer correctly: `caddy switchboard tokens` shows the token's state",
	call.Rejected:     "the API's answer in step call, whether `success` interprets it correctly, and the params and signature in step request",
	call.Failed:       "ask the API's operator about a fault: step call shows the answer. If the API answers like this without a fault, say so with a `success` or `unhealthy` line",
	call.Timeout:      "how long step call takes compared with `budget`, and whether this machine can reach the API at all",
	call.Unreachable:  "the cause that the reason names, from this machine: the address in `to`, the name's resolution, a firewall, the certificate",
	call.BadAnswer:    "whether the body in step call is one complete document, in JSON or in what `answer` says, and what `output` makes of it",
	call.TooLarge:     "`max_size`, and the phone system's limit: step answer shows the size",
	call.BreakerOpen:  "the failures before it (`caddy switchboard last NAME`); the API is retried automatically",
	call.Held:         "who put it on hold; to resume: `caddy switchboard release NAME`",
	call.Unknown:      "at the API, whether it has the write, unless the reason says that it is under way. `caddy switchboard once NAME` lists writes whose result is unknown; with KEY --forget, a repeat is sent again",
	call.NotSent:      "Caddy's storage, with the cause that the reason names; nothing was sent, and the phone system may repeat the request",
	call.BadRequest:   "what the phone system sent, in step receive: the reason says what can't be read",
}

// Check returns where to look when a call of an API ended with this outcome.
// status is the HTTP status of the API's answer, 0 for none.
func Check(outcome call.Outcome, status int) string {
	switch {
	case outcome == call.BadAnswer && status == http.StatusNotFound:
		return "whether the path in `to` is correct, and whether the API itself answers there or a proxy in front of it: step call shows the page (status 404)"
	case outcome == call.Rejected && status == http.StatusNotFound:
		return "whether the path in `to` is correct: the API has nothing there (status 404). If 404 means that nothing was found, say so with `not_found`"
	case outcome == call.Rejected && status >= 300 && status < 400:
		return "where the API redirects to: write that address in `to`, because redirects aren't followed"
	case outcome == call.Rejected && (status == http.StatusUnauthorized || status == http.StatusForbidden):
		return "whether the account may use this API, and the signature in step request; if this status means that the token has expired, say so with `token_expired`"
	case outcome == call.Rejected && status == http.StatusMethodNotAllowed:
		return "`method`: the API expects another one at this path (status 405)"
	default:
		return checks[outcome]
	}
}

// CheckProgram is where to look when a request program fails whatever the caller sends.
const CheckProgram = "the configuration: the program that the reason names, and the credentials that it uses. Nothing that the caller sends goes into it"

// check returns [Check] for the call, unless the call or the route has advice of its own.
func (c *Call) check() string {
	if c.Check != "" {
		return c.Check
	}
	if check, ok := c.Route.Checks[c.Outcome]; ok {
		return check
	}
	return Check(c.Outcome, c.Received)
}
