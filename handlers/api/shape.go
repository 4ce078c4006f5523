package api

import (
	"time"

	"github.com/switchboard-ivr/switchboard/internal/call"
)

// shape makes the flow's answer of the API's.
func (c *run) shape() bool {
	begin := time.Now()
	defer func() { c.Timing.Output += time.Since(begin) }()
	a := c.api
	c.trace.stage = atOutput
	if c.Outcome == call.NotFound {
		return true // the contract's defaults
	}
	c.Output = c.doc
	if a.programs.output != nil {
		// params may be of another kind than the program takes them for
		c.FromCaller = a.programs.output.Uses("params") || a.programs.output.Uses("request")
		v, err := a.programs.output.Run(c.Ctx, c.doc, c.answerVars()...)
		if err != nil {
			if c.Ctx.Err() != nil {
				return c.Expire("")
			}
			c.Uncharged = c.FromCaller
			return c.Fail(call.BadAnswer, "output "+err.Error())
		}
		c.Output = v
	}
	if c.Output == nil {
		c.Outcome = call.NotFound
	}
	c.trace.stage = atEnd
	return true
}
