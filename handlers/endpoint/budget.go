package endpoint

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// errBudget is the cause of a context whose budget has ended.
var errBudget = errors.New("the budget ended")

// Budgets ends the calls of one API when their time is over. All have the same
// budget, so they end in the order in which they began (or began anew), and one
// timer does for all: a timer for each costs more than most of a call's stages.
type Budgets struct {
	Each time.Duration

	mu      sync.Mutex
	running list.List // of *Budget, the oldest first
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

// expire ends the calls whose time is over, and waits for the next.
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

// leave takes a call off the list, if it is still there.
func (s *Budgets) leave(b *Budget) {
	if b.place != nil {
		s.running.Remove(b.place)
		b.place = nil
	}
}

// Budget is a context that ends with a call's budget, unless it is lifted
// first: a stream has to begin in time, but may last.
type Budget struct {
	context.Context
	cancel   context.CancelCauseFunc
	of       *Budgets
	place    *list.Element // in the list, under its lock
	deadline time.Time     // under the lock of the list, too
	lifted   atomic.Bool
}

// Deadline tells when the budget ends, until it is lifted.
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

// Restart begins the budget anew, as when the caller has sent more of a body:
// the time that an upload takes is the caller's. It does nothing once the budget
// has ended or is lifted.
func (b *Budget) Restart() {
	s := b.of
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.place != nil {
		b.deadline = time.Now().Add(s.Each)
		s.running.MoveToBack(b.place)
	}
}

// Lift lets what runs under the budget go on without end.
func (b *Budget) Lift() {
	b.lifted.Store(true)
	b.leave()
}

func (b *Budget) leave() {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	b.of.leave(b)
}

// Spent tells whether the budget ended the call.
func (b *Budget) Spent() bool { return errors.Is(context.Cause(b.Context), errBudget) }

// Stop ends whatever still runs under the budget.
func (b *Budget) Stop() {
	b.leave()
	b.cancel(nil)
}
