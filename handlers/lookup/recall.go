package lookup

import (
	"context"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/internal/cache"
	"github.com/switchboard-ivr/switchboard/internal/call"
)

// AppendSubject implements [endpoint.Question]: whom the lookup is for, as it was
// written and as it is compared.
func (c *run) AppendSubject(dst []byte) ([]byte, error) {
	for _, term := range c.query {
		dst = cache.AppendPart(dst, string(term.Param))
		dst = cache.AppendPart(dst, term.Raw)
		dst = cache.AppendPart(dst, term.Key)
	}
	return dst, nil
}

// AppendContext implements [endpoint.Question]: an answer depends on nothing else.
func (c *run) AppendContext(dst []byte) []byte { return dst }

// Fork implements [endpoint.Question].
func (c *run) Fork(ctx context.Context) endpoint.Work {
	return &run{lookup: c.lookup, query: c.query, Call: c.Call.Fork(ctx, nil)}
}

// Do implements [endpoint.Work].
func (c *run) Do() endpoint.Result {
	c.find()
	return c.Result()
}

// Late implements [endpoint.Work].
func (*run) Late() call.Outcome { return call.Timeout }
