package lookup

import (
	"context"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/internal/mask"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// Test implements [switchboard.Tester]: a lookup on the way of all lookups, except that
// nobody asks who calls. The audit log has it, too.
func (l *Lookup) Test(ctx context.Context, t adminapi.Test) (adminapi.Trace, error) {
	trial := &endpoint.TestOptions{NoCache: t.NoCache, DryRun: t.DryRun}
	p, err := endpoint.NewTestRequest(ctx, t, trial, l.server)
	if err != nil {
		return adminapi.Trace{}, err
	}
	c := l.begin(p.W, p.R)
	defer c.end()
	_ = c.receive() && c.ServeCached(c) && c.find()
	if err := c.answer(); err != nil {
		return adminapi.Trace{}, err
	}
	return p.Trace(ctx, &c.Call, c.worked || c.Asked(), nil), nil
}

// tell notes the step of the work, for those who want to know: of a lookup that
// failed, and of one that somebody watches.
func (c *run) recordSteps() {
	if c.Test == nil && c.Outcome.Answered() {
		return
	}
	step := adminapi.Step{
		Step: "call", Outcome: string(c.Outcome), MS: adminapi.Millis(c.Timing.Upstream),
		Note: "the customer directory was asked",
	}
	asked := make(map[string]any, len(c.query))
	for _, condition := range c.query {
		asked[string(condition.Param)] = condition.Key
	}
	step.In = mask.Document(asked, nil)
	switch {
	case c.Reason != "":
		step.Note = mask.Text(c.Reason)
	case c.query.Nobody():
		step.Note = "nothing was given that anybody can be found by"
	}
	if c.Output != nil {
		step.Out = mask.Document(c.Output, nil)
	}
	c.RecordSteps([]adminapi.Step{step})
}
