package endpoint

import (
	"encoding/hex"
	"fmt"
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

// keepFailure keeps a call that had no answer of the API's own, for those who look
// into it later.
func (c *Call) keepFailure(steps []adminapi.Step) {
	c.Route.State.Failed(adminapi.Trace{
		API: c.Route.Name, Outcome: string(c.Outcome), MS: adminapi.Millis(time.Since(c.started)), CallID: c.ID,
		Time: c.started, Reason: mask.Text(c.Reason), Check: c.check(), Steps: steps,
	})
}

// Finish answers a call, and keeps it when it has failed. A dry run that got as far
// as it should has no answer. Steps returns those before the answer.
func (c *Call) Finish(room []byte, steps func() []adminapi.Step) error {
	if c.Outcome == call.DryRun {
		return nil
	}
	failed := c.Failed()
	c.KeepFailure(steps)
	err := c.Answer(room)
	if !failed && c.Failed() && c.Test == nil { // the answer could not be written
		c.keepFailure(append(steps(), c.unwritten()))
	}
	return err
}

// KeepFailure keeps the steps of a call that failed, unless it is a test.
func (c *Call) KeepFailure(steps func() []adminapi.Step) {
	if c.Failed() && c.Test == nil {
		c.keepFailure(steps())
	}
}

// unwritten returns the step of an answer that could not be written under the
// contract or in the format.
func (c *Call) unwritten() adminapi.Step {
	return adminapi.Step{Step: "contract", Outcome: string(c.Outcome), Note: mask.Text(c.Reason)}
}

// Failed reports whether a call ended without an answer of the API's own, though
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

// Began returns when the call began, or the test that it is a part of.
func (c *Call) StartTime() time.Time {
	if c.Test != nil {
		return c.Test.began
	}
	return c.started
}

// Asked reports whether the cache had no answer to give, so that the work was done.
func (c *Call) Asked() bool { return c.cached.forward != "" && c.cached.forward != forwardBypass }

// isJSON reports whether the answers of a route are JSON.
func (r *Route) isJSON() bool { return r.Style.Format == answer.JSON || r.Style.Format == answer.Flat }
