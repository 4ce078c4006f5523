package customer

import (
	"context"
	"iter"
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

// Writer gives access to what only a store of Switchboard's own can. The error
// is [ErrReadOnly] for others.
func (d *Directory) Writer() (*DirectoryWriter, error) {
	store, err := d.begin()
	if err != nil {
		return nil, err
	}
	defer d.end()
	if _, ok := store.(Writer); !ok {
		return nil, ErrReadOnly
	}
	return &DirectoryWriter{d}, nil
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

// DirectoryWriter is a [Writer] for as long as each of its calls lasts. Close
// does nothing; the directory is released instead.
type DirectoryWriter struct {
	*Directory
}

// use runs f with the store, which Writer has found to be one that writes.
func use[T any](w *DirectoryWriter, f func(Writer) (T, error)) (T, error) {
	store, err := w.begin()
	if err != nil {
		var none T
		return none, err
	}
	defer w.end()
	return f(store.(Writer))
}

// Put implements [Writer].
func (w *DirectoryWriter) Put(ctx context.Context, records []*Record, mark *Mark) error {
	_, err := use(w, func(s Writer) (struct{}, error) { return struct{}{}, s.Put(ctx, records, mark) })
	return err
}

// Marked implements [Writer].
func (w *DirectoryWriter) Marked(ctx context.Context, source string) (int64, error) {
	return use(w, func(s Writer) (int64, error) { return s.Marked(ctx, source) })
}

// Delete implements [Writer].
func (w *DirectoryWriter) Delete(ctx context.Context, id string) (bool, error) {
	return use(w, func(s Writer) (bool, error) { return s.Delete(ctx, id) })
}

// Count implements [Writer].
func (w *DirectoryWriter) Count(ctx context.Context) (int64, error) {
	return use(w, func(s Writer) (int64, error) { return s.Count(ctx) })
}

// All implements [Writer].
func (w *DirectoryWriter) All(ctx context.Context) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		store, err := w.begin()
		if err != nil {
			yield(nil, err)
			return
		}
		defer w.end()
		store.(Writer).All(ctx)(yield)
	}
}

// Close implements [Writer].
func (*DirectoryWriter) Close() error { return nil }

// Interface guards
var _ Writer = (*DirectoryWriter)(nil)
