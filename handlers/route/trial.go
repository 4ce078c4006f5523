package route

import (
	"context"
	"sync"

	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// Trial is what a test asks of a call, and what it is told of it. It is in the
// context of the test's request, and nowhere else: a call without one is not
// traced.
type Trial struct {
	DryRun  bool // stop before the API is called
	NoCache bool // ask the API, whatever is cached, and keep nothing

	mu   sync.Mutex
	work []adminapi.Step
	done chan struct{} // closed when the work has told its steps
	once sync.Once
}

type trialKey struct{}

// WithTrial returns a context for a call that is traced.
func WithTrial(ctx context.Context, t *Trial) context.Context {
	t.done = make(chan struct{})
	return context.WithValue(ctx, trialKey{}, t)
}

// untraced returns a context for a call that nobody watches, though it comes from
// one that somebody does.
func untraced(ctx context.Context) context.Context { return context.WithValue(ctx, trialKey{}, nil) }

func trialOf(ctx context.Context) *Trial {
	t, _ := ctx.Value(trialKey{}).(*Trial)
	return t
}

// asksAnew tells whether the cache is to be left alone.
func (t *Trial) asksAnew() bool { return t != nil && (t.DryRun || t.NoCache) }

// Tell notes the steps of the work: what is between the cache and the contract.
// The first one who tells is heard.
func (t *Trial) Tell(steps []adminapi.Step) {
	if t == nil {
		return
	}
	t.once.Do(func() {
		t.mu.Lock()
		t.work = steps
		t.mu.Unlock()
		close(t.done)
	})
}

// Work returns the steps of the work, once they are told, or what there is of them
// when ctx ends.
func (t *Trial) Work(ctx context.Context) []adminapi.Step {
	select {
	case <-t.done:
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.work
}
