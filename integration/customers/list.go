package customers

import (
	"context"
	"iter"

	"github.com/switchboard-ivr/switchboard/module/customer"
)

// List is the first customers of a seed, to be exported.
type List struct {
	Seed uint64
	N    int
}

// All gives them one after another.
func (l List) All(ctx context.Context) iter.Seq2[*customer.Record, error] {
	return func(yield func(*customer.Record, error) bool) {
		for i := range l.N {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			if !yield(New(l.Seed).Customer(i), nil) {
				return
			}
		}
	}
}
