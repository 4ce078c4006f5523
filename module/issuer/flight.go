package issuer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// workLimit bounds one obtain or refresh, whatever the storage does.
	workLimit = 5 * time.Second
	// mostFlights bounds the goroutines of a storage that hangs.
	mostFlights = 256
)

var errBusy = errors.New("too many requests wait for the storage")

// flights run work that concurrent callers of one key share. The work has a
// goroutine of its own: no caller's end ends it, a panic in it is an error for
// everybody, and each caller waits on its own context.
type flights[K comparable, T any] struct {
	mu      sync.Mutex
	running map[K]*flight[T]
}

type flight[T any] struct {
	done   chan struct{}
	landBy time.Time
	value  T // valid after done
	err    error
}

// do returns what work gives for the key, whoever started it.
func (f *flights[K, T]) do(ctx context.Context, key K, work func(context.Context) (T, error)) (T, error) {
	var none T
	fl, err := f.join(key, work)
	if err != nil {
		return none, err
	}
	timer := time.NewTimer(time.Until(fl.landBy))
	defer timer.Stop()
	select {
	case <-fl.done:
		return fl.value, fl.err
	case <-ctx.Done():
		return none, ctx.Err()
	case <-timer.C:
		return none, context.DeadlineExceeded
	}
}

func (f *flights[K, T]) join(key K, work func(context.Context) (T, error)) (*flight[T], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl, ok := f.running[key]; ok {
		return fl, nil
	}
	if len(f.running) >= mostFlights {
		return nil, errBusy
	}
	if f.running == nil {
		f.running = make(map[K]*flight[T])
	}
	fl := &flight[T]{done: make(chan struct{}), landBy: time.Now().Add(workLimit)}
	f.running[key] = fl
	go func() {
		ctx, cancel := context.WithDeadline(context.Background(), fl.landBy)
		defer cancel()
		fl.err = recovered(func() (err error) {
			fl.value, err = work(ctx)
			return err
		})
		f.mu.Lock()
		delete(f.running, key)
		f.mu.Unlock()
		close(fl.done)
	}()
	return fl, nil
}

// recovered turns a panic into an error. Its text is left out: it could quote
// what the code was working on.
func recovered(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic (%T)", p)
		}
	}()
	return f()
}
