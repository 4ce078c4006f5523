package schema

import "context"

// Ready is something that is done before the first use, and again with the next
// one until it has succeeded once. The zero value is not usable; see [NewReady].
type Ready struct {
	turn chan struct{}
	done chan struct{}
}

// NewReady returns what has not been done.
func NewReady() *Ready {
	return &Ready{turn: make(chan struct{}, 1), done: make(chan struct{})}
}

// Do does it, unless it is done. Others wait meanwhile, as long as their
// context allows.
func (r *Ready) Do(ctx context.Context, f func(context.Context) error) error {
	select {
	case <-r.done:
		return nil
	default:
	}
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case r.turn <- struct{}{}:
	}
	defer func() { <-r.turn }()
	select {
	case <-r.done: // by the one before
		return nil
	default:
	}
	if err := f(ctx); err != nil {
		return err
	}
	close(r.done)
	return nil
}
