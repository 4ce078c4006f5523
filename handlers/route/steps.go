package route

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/answer"
	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/mask"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// Begun tells the steps before the work: what came in, and what the cache had.
func (c *Call) Begun(secrets []string) []adminapi.Step {
	receive := adminapi.Step{Step: "receive", Outcome: adminapi.StepOK, MS: adminapi.Millis(c.Timing.Receive)}
	receive.In = map[string]any{"method": c.R.Method, "url": mask.URI(c.R.URL.RequestURI())}
	if c.Input != nil {
		receive.Out = mask.Document(c.Input.Params, secrets)
	}
	if c.Outcome == call.BadRequest {
		receive.Outcome, receive.Note = string(c.Outcome), mask.Text(c.Reason)
	}
	steps := []adminapi.Step{receive}
	if c.Route.memory != nil && c.Input != nil && c.Outcome != call.BadRequest {
		steps = append(steps, c.cacheStep())
	}
	return steps
}

func (c *Call) cacheStep() adminapi.Step {
	step := adminapi.Step{Step: "cache", Outcome: adminapi.StepOK}
	out := map[string]any{"decision": c.cached.result(), "status": string(c.cached.append(nil))}
	if c.cached.subject != nil {
		out["subject"] = hex.EncodeToString([]byte(c.Route.memory.note(c.cached.subject))) // a keyed hash
	}
	if c.cached.unkept != "" {
		step.Note = "not kept: " + c.cached.unkept
	}
	step.Out = out
	return step
}

// Concluded tells the steps after the work: the contract, where there can be one,
// and the answer.
func (c *Call) Concluded(text []byte, secrets []string) []adminapi.Step {
	style := c.Route.Style
	written := adminapi.Step{Step: "answer", Outcome: string(c.Outcome), MS: adminapi.Millis(time.Since(c.start))}
	written.Out = mask.Hide("", string(text), secrets)
	written.Note = fmt.Sprintf("%d bytes of %s", len(text), style.Format)
	if style.Limit > 0 {
		written.Note = fmt.Sprintf("%d of %d bytes of %s", len(text), style.Limit, style.Format)
	}
	if c.Route.Instead != nil {
		return []adminapi.Step{written} // the handler's own answers
	}
	return []adminapi.Step{c.contractStep(secrets), written}
}

func (c *Call) contractStep(secrets []string) adminapi.Step {
	step := adminapi.Step{Step: "contract", Outcome: adminapi.StepOK, Note: "no `default` is written"}
	if c.Route.Contract == nil {
		return step
	}
	step.In, step.Note = mask.Document(c.Output, secrets), "keys that are missing or null take their defaults"
	fitted, err := c.fit()
	if err != nil {
		step.Outcome, step.Note = string(c.Outcome), err.Error()
		return step
	}
	step.Out = mask.Document(fitted, secrets)
	return step
}

// Failure tells of a call that had no answer of the API's own, for those who look
// into it later.
func (c *Call) Failure(steps []adminapi.Step) {
	c.Route.Standing.Failed(adminapi.Trace{
		API: c.Route.Name, Outcome: string(c.Outcome), MS: adminapi.Millis(time.Since(c.start)), CallID: c.ID,
		Time: c.start, Reason: mask.Text(c.Reason), Check: Check(c.Outcome), Steps: steps,
	})
}

// Failed tells whether a call ended without an answer of the API's own, though
// its caller did nothing wrong.
func (c *Call) Failed() bool {
	switch c.Outcome {
	case call.Incomplete: // a mistake in a program looks like this, too
		return true
	case call.Stale:
		return !c.cached.isHit
	default:
		return !c.Outcome.Answered() && !c.Outcome.CausedByCaller()
	}
}

// Asked tells whether the cache had no answer to give, so that the work was done.
func (c *Call) Asked() bool { return c.cached.forward != "" && c.cached.forward != forwardBypass }

// isJSON tells whether the answers of a route are JSON.
func (r *Route) isJSON() bool { return r.Style.Format == answer.JSON || r.Style.Format == answer.Flat }
