package keeper

import (
	"context"
	"math"
	"time"
)

type patienceKey struct{}

// WithPatience says that those for whom ctx works wait until then at most, while
// the work may go on for longer: a token that certainly comes later is no use to
// them, and they are told at once.
func WithPatience(ctx context.Context, until time.Time) context.Context {
	return context.WithValue(ctx, patienceKey{}, until)
}

// patience is how long it is worth to wait before an attempt at a token.
func patienceLeft(ctx context.Context) time.Duration {
	until, ok := ctx.Value(patienceKey{}).(time.Time)
	if deadline, ends := ctx.Deadline(); ends && (!ok || deadline.Before(until)) {
		until, ok = deadline, true
	}
	if !ok {
		return math.MaxInt64
	}
	return time.Until(until)
}
