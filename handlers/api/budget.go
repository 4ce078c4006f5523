package api

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

// budgets ends the calls of one API when their time is over. All have the same
// budget, so they end in the order in which they began, and one timer does for
// all: a timer for each costs more than most of a call's stages.
type budgets struct {
	each time.Duration

	mu      sync.Mutex
	running list.List // of *budget, the oldest first
	timer   *time.Timer
	armed   bool
}

// start begins a call's budget.
func (s *budgets) start(parent context.Context) *budget {
	ctx, cancel := context.WithCancelCause(parent)
	b := &budget{Context: ctx, cancel: cancel, of: s, deadline: time.Now().Add(s.each)}
	s.mu.Lock()
	defer s.mu.Unlock()
	b.place = s.running.PushBack(b)
	if !s.armed {
		s.arm(s.each)
	}
	return b
}

func (s *budgets) arm(in time.Duration) {
	s.armed = true
	if s.timer == nil {
		s.timer = time.AfterFunc(in, s.expire)
		return
	}
	s.timer.Reset(in)
}

// expire ends the calls whose time is over, and waits for the next.
func (s *budgets) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = false
	for oldest := s.running.Front(); oldest != nil; oldest = s.running.Front() {
		b := oldest.Value.(*budget)
		if left := time.Until(b.deadline); left > 0 {
			s.arm(left)
			return
		}
		s.leave(b)
		b.cancel(errBudget)
	}
}

// leave takes a call off the list, if it is still there.
func (s *budgets) leave(b *budget) {
	if b.place != nil {
		s.running.Remove(b.place)
		b.place = nil
	}
}

// budget is a context that ends with a call's budget, unless it is lifted
// first: a stream has to begin in time, but may last.
type budget struct {
	context.Context
	cancel   context.CancelCauseFunc
	of       *budgets
	place    *list.Element // in the list, under its lock
	deadline time.Time
	lifted   atomic.Bool
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
	b.leave()
}

func (b *budget) leave() {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	b.of.leave(b)
}

// spent tells whether the budget ended the call.
func (b *budget) spent() bool { return errors.Is(context.Cause(b.Context), errBudget) }

// stop ends whatever still runs under the budget.
func (b *budget) stop() {
	b.leave()
	b.cancel(nil)
}
