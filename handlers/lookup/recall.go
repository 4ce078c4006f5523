package lookup

import (
	"context"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/internal/cache"
	"github.com/switchboard-ivr/switchboard/internal/call"
)

// AppendSubject implements [endpoint.Question]: whom the lookup is for, as it was
// written and as it is compared.
func (c *run) AppendKey(dst []byte) ([]byte, error) {
	for _, term := range c.query {
		dst = cache.AppendPart(dst, string(term.Param))
		dst = cache.AppendPart(dst, term.Raw)
		dst = cache.AppendPart(dst, term.Key)
	}
	return dst, nil
}

// AppendContext implements [endpoint.Question]: an answer depends on nothing else.
func (c *run) AppendVary(dst []byte) []byte { return dst }

// Fork implements [endpoint.Question].
func (c *run) Detach(ctx context.Context) endpoint.DetachedCall {
	return &run{lookup: c.lookup, query: c.query, Call: c.Call.Detach(ctx, nil)}
}

// Do implements [endpoint.Work].
func (c *run) Run() endpoint.Result {
	c.find()
	return c.Result()
}

// Late implements [endpoint.Work].
func (*run) Overdue() call.Outcome { return call.Timeout }
