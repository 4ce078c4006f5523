package customer

import (
	"context"
	"sync"

	"github.com/switchboard-ivr/switchboard/internal/phone"
	"github.com/switchboard-ivr/switchboard/module/pool"
)

// Directory holds a store for a configuration. Release takes effect when the last use has
// ended, and a use that comes later holds the store again: a request may outlive its
// configuration.
type Directory struct {
	region   phone.Region
	location string
	hold     func() (*pool.Held[Store], error)

	mu       sync.Mutex
	store    *pool.Held[Store] // nil while it is not held
	uses     int
	released bool
}

// NewDirectory holds a store. hold may be called again.
func NewDirectory(region phone.Region, location string, hold func() (*pool.Held[Store], error)) (*Directory, error) {
	store, err := hold()
	if err != nil {
		return nil, err
	}
	return &Directory{region: region, location: location, hold: hold, store: store}, nil
}

// Region is where telephone numbers without a country code belong.
func (d *Directory) Region() phone.Region { return d.region }

// Location says to people which store it is. It holds no secret.
func (d *Directory) Location() string { return d.location }

// Find returns the customers that match every condition, those written last
// first, and at most limit of them. Nobody matches a query that is
// [Query.Nobody]; the store is not asked. Errors are those of a [Store].
func (d *Directory) Find(ctx context.Context, q Query, limit int) ([]*Record, error) {
	if q.Nobody() || limit <= 0 {
		return nil, nil
	}
	store, err := d.begin()
	if err != nil {
		return nil, err
	}
	defer d.end()
	return store.Find(ctx, q, limit)
}

// Write runs f with the store, if it is one of Switchboard's own. The error is
// [ErrReadOnly] for others.
func (d *Directory) Write(f func(Writer) error) error {
	store, err := d.begin()
	if err != nil {
		return err
	}
	defer d.end()
	w, ok := store.(Writer)
	if !ok {
		return ErrReadOnly
	}
	return f(w)
}

// Release releases the store, after the last use that is under way. It may be called
// again.
func (d *Directory) Release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.released = true
	d.releaseUnused()
}

func (d *Directory) begin() (Store, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.store == nil {
		store, err := d.hold()
		if err != nil {
			return nil, err
		}
		d.store = store
	}
	d.uses++
	return d.store.Value, nil
}

func (d *Directory) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.uses--
	d.releaseUnused()
}

func (d *Directory) releaseUnused() {
	if d.released && d.uses == 0 {
		d.store.Release()
		d.store = nil
	}
}
