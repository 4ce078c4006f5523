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

// Begun returns the steps before the work: what came in, what the handler found
// out about it (checks), and what the cache had. The work was asked for when asked
// is true.
func (c *Call) RequestSteps(asked bool, secrets []string, checks ...adminapi.Step) []adminapi.Step {
	receive := adminapi.Step{Step: "receive", Outcome: adminapi.StepOK, MS: adminapi.Millis(c.Timing.Receive)}
	receive.In = map[string]any{"method": c.R.Method, "url": mask.URI(c.R.URL.RequestURI())}
	if c.Input != nil {
		receive.Out = mask.Document(c.Input.Params, secrets)
	}
	steps := append([]adminapi.Step{receive}, checks...)
	if c.cached.result() != "" || c.cached.keyless {
		steps = append(steps, c.cacheStep())
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
	if c.cached.unkept != "" {
		step.Note = "not kept: " + c.cached.unkept
	}
	step.Out = out
	return step
}

// endedIn reports whether one of the steps is where the call ended.
func endedIn(steps []adminapi.Step, outcome call.Outcome) bool {
	return slices.ContainsFunc(steps, func(s adminapi.Step) bool { return s.Outcome == string(outcome) })
}

// concluded returns the steps after the work: the contract, where it was applied,
// and the answer. Ended says that an earlier step is where the call ended.
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

// contractStep shows what the contract made of the output, or what was made of it
// when the answer was written earlier, by another call.
func (c *Call) contractStep(text []byte, secrets []string) adminapi.Step {
	step := adminapi.Step{Step: "contract", Outcome: adminapi.StepOK, Note: "keys that are missing or null take their defaults"}
	if c.text != nil {
		step.Out = c.Route.shown(text, secrets)
		if c.cached.isHit {
			step.Note = "as the cache keeps it"
		}
		return step
	}
	step.In = mask.Document(c.Output, secrets)
	if fitted, err := c.fit(); err == nil {
		step.Out = mask.Document(fitted, secrets)
	}
	return step
}

// shown is an answer, masked: as a document where it is one.
func (r *Route) shown(text []byte, secrets []string) any {
	if r.isJSON() {
		if doc, err := jsonval.Decode(text, jsonval.Limits{}); err == nil {
			return mask.Document(doc, secrets)
		}
	}
	return mask.Hide("", string(text), secrets)
}

// isJSON reports whether the answers of a route are JSON.
func (r *Route) isJSON() bool { return r.Style.Format == answer.JSON || r.Style.Format == answer.Flat }

// checks say, for each outcome without an answer, where to look.
var checks = map[call.Outcome]string{
	call.Incomplete:   "what the phone system sent, in step receive: the reason names what is missing, or the program that can't work with it. When most calls end so, the route or the flow spells a name in another way",
	call.NoToken:      "the credentials and addresses of the token source, its clock and `timestamp`, and what the token endpoint answered: the reason says it",
	call.TokenRefused: "whether something else signs in with the same credentials, whether the account may use this API, and whether `token_expired` reads the answer rightly: `caddy switchboard tokens` shows the token's state",
	call.Rejected:     "what the API answered in step call, whether `success` reads it rightly, and the params and signature in step request",
	call.Failed:       "whether the API has a fault of its own, with those who run it: step call shows its answer. A `success` or `unhealthy` line says otherwise of an API that answers so without a fault",
	call.Timeout:      "how long step call takes against `budget`, and whether the API answers from this machine at all",
	call.Unreachable:  "the cause that the reason names, from this machine: the address in `to`, the name's resolution, a firewall, the certificate",
	call.BadAnswer:    "whether the body in step call is one whole JSON document, and what `output` makes of it",
	call.TooLarge:     "`max_size`, and what the phone system takes: step answer counts the bytes",
	call.BreakerOpen:  "the failures before it (`caddy switchboard last NAME`); it tries the API again by itself",
	call.Held:         "who holds it, and `caddy switchboard release NAME`",
	call.BadRequest:   "what the phone system sent, in step receive: the reason says what can't be read",
}

// Check says where to look when a call of an API has ended so. Status is the HTTP
// status of the API's answer, 0 for none.
func Check(outcome call.Outcome, status int) string {
	switch {
	case outcome == call.BadAnswer && status == http.StatusNotFound:
		return "whether the path in `to` is right, and whether the API itself or a proxy before it answers there: step call shows the page (status 404)"
	case outcome == call.Rejected && status == http.StatusNotFound:
		return "whether the path in `to` is right: the API says that there is nothing at it (status 404). Where 404 means that it knows nobody, write that as `not_found`"
	case outcome == call.Rejected && status >= 300 && status < 400:
		return "where the API redirects to: write that address in `to`, as a redirect isn't followed"
	case outcome == call.Rejected && (status == http.StatusUnauthorized || status == http.StatusForbidden):
		return "whether the account may use this API, and the signature in step request; where this status means that the token is dead, write it as `token_expired`"
	case outcome == call.Rejected && status == http.StatusMethodNotAllowed:
		return "`method`: the API takes another one at this path (status 405)"
	default:
		return checks[outcome]
	}
}

// check is [Check] for the call's route.
func (c *Call) check() string {
	if check, ok := c.Route.Checks[c.Outcome]; ok {
		return check
	}
	return Check(c.Outcome, c.Received)
}
