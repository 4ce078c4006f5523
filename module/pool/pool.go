// Package pool keeps what has to outlive a reload of the configuration: tokens, cached
// answers, connections, breakers and the state of APIs.
package pool

import (
	"io"
	"sync"

	"github.com/caddyserver/caddy/v2"
)

// Pool holds values by key, over a [caddy.UsagePool]. A value lives as long as somebody
// holds it: a new configuration finds what the one before it holds, because Caddy cleans
// up the old configuration after it has started the new one.
//
// When nobody holds a value any more it is destructed, if it is a [caddy.Destructor], or
// closed, if it is an [io.Closer].
type Pool[T any] struct{ values *caddy.UsagePool }

// New returns an empty pool.
func New[T any]() Pool[T] { return Pool[T]{caddy.NewUsagePool()} }

// Held is a value that one configuration holds.
type Held[T any] struct {
	Value T
	// New reports that the value was created for this holder.
	New bool

	release func()
	once    sync.Once
}

// Hold returns the value of a key, which must be comparable. If there is none, create
// makes it; its error is returned. Release the value when it is no longer needed.
func (p Pool[T]) Hold(key any, create func() (T, error)) (*Held[T], error) {
	value, loaded, err := p.values.LoadOrNew(key, func() (caddy.Destructor, error) {
		v, err := create()
		return pooled[T]{v}, err
	})
	if err != nil {
		return nil, err
	}
	return &Held[T]{
		Value: value.(pooled[T]).value, New: !loaded,
		release: func() { _, _ = p.values.Delete(key) },
	}, nil
}

// Release gives the value back. Calls after the first do nothing, and neither does one on
// nil: Caddy cleans up a configuration again after it has failed to provision.
func (h *Held[T]) Release() {
	if h != nil {
		h.once.Do(h.release)
	}
}

// pooled is a value as Caddy's pool wants it.
type pooled[T any] struct{ value T }

// Destruct implements [caddy.Destructor].
func (p pooled[T]) Destruct() error {
	switch v := any(p.value).(type) {
	case caddy.Destructor:
		return v.Destruct()
	case io.Closer:
		return v.Close()
	default:
		return nil
	}
}
