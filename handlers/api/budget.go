package api

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// budget is a context that ends with a call's budget, unless it is lifted
// first: a stream has to begin in time, but may last.
type budget struct {
	context.Context
	cancel   context.CancelCauseFunc
	timer    *time.Timer
	deadline time.Time
	lifted   atomic.Bool
}

func startBudget(parent context.Context, d time.Duration) *budget {
	ctx, cancel := context.WithCancelCause(parent)
	b := &budget{Context: ctx, cancel: cancel, deadline: time.Now().Add(d)}
	b.timer = time.AfterFunc(d, func() { cancel(errBudget) })
	return b
}

// Deadline tells when the budget ends, until it is lifted.
func (b *budget) Deadline() (time.Time, bool) {
	parent, ok := b.Context.Deadline()
	if b.lifted.Load() || (ok && parent.Before(b.deadline)) {
		return parent, ok
	}
	return b.deadline, true
}

// lift lets what runs under the budget go on without end.
func (b *budget) lift() {
	b.lifted.Store(true)
	b.timer.Stop()
}

// spent tells whether the budget ended the call.
func (b *budget) spent() bool { return errors.Is(context.Cause(b.Context), errBudget) }

func (b *budget) stop() {
	b.timer.Stop()
	b.cancel(nil)
}
