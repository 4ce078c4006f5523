package lookup

import (
	"context"

	"github.com/switchboard-ivr/switchboard/handlers/route"
	"github.com/switchboard-ivr/switchboard/internal/cache"
	"github.com/switchboard-ivr/switchboard/internal/call"
)

// AppendSubject implements [route.Question]: whom the lookup is for, as it was
// written and as it is compared.
func (c *run) AppendSubject(dst []byte) ([]byte, error) {
	for _, term := range c.query {
		dst = cache.AppendPart(dst, string(term.Param))
		dst = cache.AppendPart(dst, term.Raw)
		dst = cache.AppendPart(dst, term.Key)
	}
	return dst, nil
}

// AppendContext implements [route.Question]: an answer depends on nothing else.
func (c *run) AppendContext(dst []byte) []byte { return dst }

// Fork implements [route.Question].
func (c *run) Fork(ctx context.Context) route.Work {
	return &run{lookup: c.lookup, query: c.query, Call: c.Call.Fork(ctx, nil)}
}

// Do implements [route.Work].
func (c *run) Do() route.Result {
	c.find()
	return c.Result()
}

// Late implements [route.Work].
func (*run) Late() call.Outcome { return call.Timeout }
