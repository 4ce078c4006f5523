package api

import (
	"time"

	"github.com/switchboard-ivr/switchboard/internal/answer"
	"github.com/switchboard-ivr/switchboard/internal/call"
)

// shape makes the flow's answer of the API's.
func (c *run) shape() bool {
	begin := time.Now()
	defer func() { c.timing.output += time.Since(begin) }()
	a := c.api
	if c.outcome == call.NotFound {
		return true // the contract's defaults
	}
	c.output = c.doc
	if a.programs.output != nil {
		v, err := a.programs.output.Run(c.clock, c.doc, c.answerVars()...)
		if err != nil {
			if c.clock.Err() != nil {
				return c.ended("")
			}
			return c.fail(call.BadAnswer, "output: "+err.Error())
		}
		c.output = v
	}
	if c.output == nil && a.programs.notFound == nil {
		c.outcome = call.NotFound
	}
	return true
}

// fit brings what the call gave into the contract: every key is there, and the
// outcome with them.
func (c *run) fit() (any, error) {
	a := c.api
	if a.contract == nil {
		return c.output, nil
	}
	object, err := a.contract.Apply(c.output)
	if err != nil {
		return nil, err
	}
	if a.StatusField != "off" && a.format != answer.Text { // text is one value
		object[a.StatusField] = string(c.outcome)
	}
	return object, nil
}
