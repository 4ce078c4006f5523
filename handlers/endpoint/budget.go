package endpoint

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// errBudget is the cancellation cause of a context whose budget ran out.
var errBudget = errors.New("the budget ran out")

// Budgets ends the calls of one API when their budget runs out. All calls have
// the same budget, so they expire in the order in which they began (or
// restarted), and one timer serves them all. A timer for each call would cost
// more than most of a call's stages.
type Budgets struct {
	Each time.Duration

	mu      sync.Mutex
	running list.List // of *Budget, oldest first
	timer   *time.Timer
	armed   bool
}

// Start begins a call's budget.
func (s *Budgets) Start(parent context.Context) *Budget {
	ctx, cancel := context.WithCancelCause(parent)
	b := &Budget{Context: ctx, cancel: cancel, of: s, deadline: time.Now().Add(s.Each)}
	s.mu.Lock()
	defer s.mu.Unlock()
	b.place = s.running.PushBack(b)
	if !s.armed {
		s.arm(s.Each)
	}
	return b
}

func (s *Budgets) arm(in time.Duration) {
	s.armed = true
	if s.timer == nil {
		s.timer = time.AfterFunc(in, s.expire)
		return
	}
	s.timer.Reset(in)
}

// expire ends the calls whose budget ran out, and sets the timer for the next
// one.
func (s *Budgets) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = false
	for oldest := s.running.Front(); oldest != nil; oldest = s.running.Front() {
		b := oldest.Value.(*Budget)
		if left := time.Until(b.deadline); left > 0 {
			s.arm(left)
			return
		}
		s.leave(b)
		b.cancel(errBudget)
	}
}

// leave removes a call from the list, if it is still there.
func (s *Budgets) leave(b *Budget) {
	if b.place != nil {
		s.running.Remove(b.place)
		b.place = nil
	}
}

// Budget is a context that ends with a call's budget, unless the budget is lifted
// first: a stream must begin in time, but may last.
type Budget struct {
	context.Context
	cancel   context.CancelCauseFunc
	of       *Budgets
	place    *list.Element // in Budgets.running; guarded by its lock
	deadline time.Time     // guarded by the lock of Budgets
	lifted   atomic.Bool
}

// Deadline returns when the budget ends. A lifted budget has no deadline.
func (b *Budget) Deadline() (time.Time, bool) {
	parent, ok := b.Context.Deadline()
	b.of.mu.Lock()
	deadline := b.deadline
	b.of.mu.Unlock()
	if b.lifted.Load() || (ok && parent.Before(deadline)) {
		return parent, ok
	}
	return deadline, true
}

// Restart begins the budget anew, e.g. when more of an upload arrives: the time
// that an upload takes is the caller's, not the API's. It has no effect once the
// budget has ended or is lifted.
func (b *Budget) Restart() {
	s := b.of
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.place != nil {
		b.deadline = time.Now().Add(s.Each)
		s.running.MoveToBack(b.place)
	}
}

// Lift removes the time limit from what runs under the budget.
func (b *Budget) Lift() {
	b.lifted.Store(true)
	b.leave()
}

func (b *Budget) leave() {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	b.of.leave(b)
}

// Spent reports whether the call ended because the budget ran out.
func (b *Budget) Spent() bool { return errors.Is(context.Cause(b.Context), errBudget) }

// Stop cancels whatever still runs under the budget.
func (b *Budget) Stop() {
	b.leave()
	b.cancel(nil)
}
