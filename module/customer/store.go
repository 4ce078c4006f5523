package customer

import (
	"context"
	"errors"
	"io"
	"iter"

	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/internal/phone"
)

// Guest is what a module of the namespace `switchboard.customers` is: the
// settings of a store. Its Provision opens nothing.
type Guest interface {
	// Open returns the store. It may connect later, with the first use: a
	// database that is down must not keep the configuration from loading.
	Open(Env) (Store, error)
	// Identity stands for everything that makes it another store, secrets
	// included as a digest. Guests of the same identity share one store.
	Identity() string
	// Location says to people which store it is, without a secret:
	// "sqlite /var/lib/switchboard/customers.db".
	Location() string
}

// Env is what a store gets of its surroundings.
type Env struct {
	Region phone.Region
	Logger *zap.Logger
}

// Store finds customers. It is safe for concurrent use. Errors wrap
// [ErrUnavailable], [ErrMismatch] or [ErrTooLarge], and hold no data of customers.
type Store interface {
	// Find returns the customers that match every condition, those written
	// last first, and at most limit of them. q is not Nobody.
	Find(ctx context.Context, q Query, limit int) ([]*Record, error)
	io.Closer
}

// Writer is a [Store] that Switchboard keeps itself; the user's own tables are
// none.
type Writer interface {
	Store
	// Put inserts records, or replaces those of the same id, in one
	// transaction with the mark, which may be nil. They are normalized. Of two
	// with one id the later wins.
	Put(ctx context.Context, records []*Record, mark *Mark) error
	// Marked returns how far an import had come, 0 when it is unknown.
	Marked(ctx context.Context, source string) (line int64, err error)
	// Delete removes a customer, and reports whether there was one.
	Delete(ctx context.Context, id string) (bool, error)
	// Count is the number of customers.
	Count(ctx context.Context) (int64, error)
	// All are all customers by id. An error ends it.
	All(ctx context.Context) iter.Seq2[*Record, error]
}

// Mark says how far an import has come: everything up to the line is stored.
type Mark struct {
	Source string // names the file and its content
	Line   int64
	Done   bool // nothing is left: the mark is forgotten
}

// What keeps a store from answering.
var (
	// ErrUnavailable says that a store could not be asked: it is down, slow, or
	// lets nobody in.
	ErrUnavailable = errors.New("the customer directory is unavailable")
	// ErrMismatch says that the settings don't fit the user's own tables: the
	// database refuses a statement, or record makes no customer of a row. It is so
	// until somebody changes the one or the other.
	ErrMismatch = errors.New("the settings of the customer directory don't fit its tables")
	// ErrTooLarge says that a column holds more than is read.
	ErrTooLarge = errors.New("the customer directory's answer is too large")
)

// ErrReadOnly says that a store is the user's own tables.
var ErrReadOnly = errors.New("the customers are in tables of your own, which Switchboard only reads")
