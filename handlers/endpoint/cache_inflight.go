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
type flights struct {
	limit  int           // of flights that nobody waits for
	budget time.Duration // of those who wait

	mu     sync.Mutex
	open   map[cache.Key]*flight
	behind int // how many nobody waits for
}

// flight is one call of the API.
type flight struct {
	done   chan struct{}
	result Result // once done

	of      *flights
	renewal bool // nobody began it by waiting
	waiting int  // under the lock of flights, and so is what follows
	cancel  context.CancelFunc
	work    Work        // once begun
	late    bool        // it was told that it is
	overdue *time.Timer // tells it when nobody waits
}

// join gets on a flight, and tells whether it is a new one, which the caller has
// to start. A new flight goes on when nobody waits for it, or ends by cancel
// when there are too many of those.
func (s *flights) join(key cache.Key, cancel context.CancelFunc) (f *flight, created bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.open[key]; ok {
		if f.waiting == 0 {
			s.behind--
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
func (s *flights) renew(key cache.Key, cancel context.CancelFunc) (f *flight, created bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[key] != nil || s.behind >= s.limit {
		return nil, false
	}
	s.behind++
	f = s.add(key, cancel)
	f.renewal = true
	return f, true
}

func (s *flights) add(key cache.Key, cancel context.CancelFunc) *flight {
	f := &flight{of: s, done: make(chan struct{}), cancel: cancel}
	if s.open == nil {
		s.open = make(map[cache.Key]*flight)
	}
	s.open[key] = f
	return f
}

// begin notes the work of a flight, before it is begun.
func (s *flights) begin(f *flight, work Work) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.work = work
	if f.waiting == 0 {
		s.unawaited(f)
	}
}

// unawaited gives a flight that nobody waits for as long as a caller would have
// waited. Then it is late, too.
func (s *flights) unawaited(f *flight) {
	if f.work != nil && !f.late && f.overdue == nil {
		f.overdue = time.AfterFunc(s.budget, func() { f.work.Late() })
	}
}

// under tells whether a flight of that key is under way.
func (s *flights) under(key cache.Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[key] != nil
}

// leave gets off a flight before its end, because it took too long or for another
// reason. The last one off leaves it to the background, or ends it. When it took too
// long, the outcome is how the call has ended.
func (s *flights) leave(key cache.Key, f *flight, tooLong bool) (late call.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if tooLong && f.work != nil {
		late, f.late = f.work.Late(), true
	}
	f.waiting--
	if f.waiting > 0 || s.open[key] != f {
		return late
	}
	if s.behind < s.limit {
		s.behind++
		s.unawaited(f)
		return late
	}
	delete(s.open, key) // whoever comes now must not get its end for an answer
	f.cancel()
	return late
}

// land hands the result to all who wait, and tells whether anybody does.
func (s *flights) land(key cache.Key, f *flight, result Result) (awaited bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[key] == f {
		delete(s.open, key)
		if f.waiting == 0 {
			s.behind--
		}
	}
	if f.overdue != nil {
		f.overdue.Stop()
	}
	f.result = result
	close(f.done)
	f.cancel()
	return f.waiting > 0
}
