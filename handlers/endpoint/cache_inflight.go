package endpoint

import (
	"context"
	"sync"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/cache"
	"github.com/switchboard-ivr/switchboard/internal/call"
)

// flights are the calls of one API that are under way. Whoever asks the same
// meanwhile waits for the same answer, each as long as they like; one that
// nobody waits for is finished in the background, as long as those aren't too
// many.
type inflight struct {
	limit  int           // of flights that nobody waits for
	budget time.Duration // of those who wait

	mu         sync.Mutex
	calls      map[cache.Key]*inflightCall
	background int // how many nobody waits for
}

// flight is one call of the API.
type inflightCall struct {
	done   chan struct{}
	result Result // once done

	group   *inflight
	renewal bool // nobody began it by waiting
	waiting int  // under the lock of flights, and so is what follows
	cancel  context.CancelFunc
	work    DetachedCall // once begun
	overdue bool         // it was told that it is
	timer   *time.Timer  // tells it when nobody waits
}

// join gets on a flight, and tells whether it is a new one, which the caller has
// to start. A new flight goes on when nobody waits for it, or ends by cancel
// when there are too many of those.
func (s *inflight) join(key cache.Key, cancel context.CancelFunc) (f *inflightCall, created bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.calls[key]; ok {
		if f.waiting == 0 {
			s.background--
		}
		f.waiting++
		return f, false
	}
	f = s.add(key, cancel)
	f.waiting = 1
	return f, true
}

// renew begins a flight that nobody waits for, unless there is one already or
// there are too many.
func (s *inflight) renew(key cache.Key, cancel context.CancelFunc) (f *inflightCall, created bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls[key] != nil || s.background >= s.limit {
		return nil, false
	}
	s.background++
	f = s.add(key, cancel)
	f.renewal = true
	return f, true
}

func (s *inflight) add(key cache.Key, cancel context.CancelFunc) *inflightCall {
	f := &inflightCall{group: s, done: make(chan struct{}), cancel: cancel}
	if s.calls == nil {
		s.calls = make(map[cache.Key]*inflightCall)
	}
	s.calls[key] = f
	return f
}

// begin notes the work of a flight, before it is begun.
func (s *inflight) begin(f *inflightCall, work DetachedCall) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.work = work
	if f.waiting == 0 {
		s.startTimer(f)
	}
}

// unawaited gives a flight that nobody waits for as long as a caller would have
// waited. Then it is late, too.
func (s *inflight) startTimer(f *inflightCall) {
	if f.work != nil && !f.overdue && f.timer == nil {
		f.timer = time.AfterFunc(s.budget, func() { f.work.Overdue() })
	}
}

// under tells whether a flight of that key is under way.
func (s *inflight) has(key cache.Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[key] != nil
}

// leave gets off a flight before its end, because it took too long or for another
// reason. The last one off leaves it to the background, or ends it. When it took too
// long, the outcome is how the call has ended.
func (s *inflight) leave(key cache.Key, f *inflightCall, tooLong bool) (late call.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if tooLong && f.work != nil {
		late, f.overdue = f.work.Overdue(), true
	}
	f.waiting--
	if f.waiting > 0 || s.calls[key] != f {
		return late
	}
	if s.background < s.limit {
		s.background++
		s.startTimer(f)
		return late
	}
	delete(s.calls, key) // whoever comes now must not get its end for an answer
	f.cancel()
	return late
}

// land hands the result to all who wait, and tells whether anybody does.
func (s *inflight) finish(key cache.Key, f *inflightCall, result Result) (awaited bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls[key] == f {
		delete(s.calls, key)
		if f.waiting == 0 {
			s.background--
		}
	}
	if f.timer != nil {
		f.timer.Stop()
	}
	f.result = result
	close(f.done)
	f.cancel()
	return f.waiting > 0
}
