package customer

import (
	"context"

	"github.com/switchboard-ivr/switchboard/internal/phone"
	"github.com/switchboard-ivr/switchboard/module/pool"
)

// Directory holds a store for a configuration. Each use holds it, too: Release takes
// effect when the last use has ended, and a use that comes later holds the store again,
// because a request may outlive its configuration.
type Directory struct {
	region   phone.Region
	location string
	hold     func() (*pool.Held[Store], error)
	store    *pool.Held[Store] // until Release
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
	store, err := d.hold()
	if err != nil {
		return nil, err
	}
	defer store.Release()
	return store.Value.Find(ctx, q, limit)
}

// Write runs f with the store, if it is one of Switchboard's own. The error is
// [ErrReadOnly] for others.
func (d *Directory) Write(f func(Writer) error) error {
	store, err := d.hold()
	if err != nil {
		return err
	}
	defer store.Release()
	w, ok := store.Value.(Writer)
	if !ok {
		return ErrReadOnly
	}
	return f(w)
}

// Release releases the store, after the last use that is under way. It may be called
// again.
func (d *Directory) Release() { d.store.Release() }
