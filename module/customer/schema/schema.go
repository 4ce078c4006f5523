// Package schema is what the stores have in common that keep customers in a SQL
// database: the schema, how a lookup becomes a statement, and how a customer
// becomes a row. It runs nothing itself.
package schema

import (
	"context"
	"fmt"
	"strings"

	"github.com/switchboard-ivr/switchboard/module/customer"
)

// The tables of a directory. In a database that has others they don't get into
// the way of these.
const (
	Customers = "switchboard_customers"
	Imports   = "switchboard_imports" // how far imports have come
	Schema    = "switchboard_schema"  // one row: the version
)

// The columns beside those of the fixed fields.
const (
	custom   = "custom"    // the custom fields, a JSON object, or ''
	telKey   = "tel_key"   // the telephone number in E.164, or ''
	emailKey = "email_key" // the email in lower case, or ''
	updated  = "updated"   // orders customers by when they were written
)

// Dialect is how one database's SQL differs from another's.
type Dialect struct {
	text   string // the type of a text
	number string // the type of a whole number of 64 bits
	row    string // names a row that one of several indexes has found; "" where OR uses them
	bind   string // what precedes the number of a parameter
	fields string // what a lookup yields
}

// The dialects of the stores. PostgreSQL compares and orders bytes, as SQLite
// does, whatever the database's collation.
var (
	SQLite   = Dialect{text: "TEXT", number: "INTEGER", bind: "?", fields: packed(fields)}
	Postgres = Dialect{text: `text COLLATE "C"`, number: "bigint", row: "id", bind: "$", fields: fields}
)

// Version is the schema's version that this program reads and writes.
func Version() int64 { return int64(len(migrations)) }

// migrations lead from one version to the next. What was released once never
// changes; a test holds the texts.
var migrations = []func(Dialect) []string{
	create,
}

// Migrate returns the statements that lead from a version to [Version],
// including those that note it. Version 0 is an empty database. The error is
// about a version that this program doesn't know.
func (d Dialect) Migrate(from int64) ([]string, error) {
	if from < 0 || from > Version() {
		return nil, fmt.Errorf("the schema has version %d, this program knows up to %d; run the newer program", from, Version())
	}
	var all []string
	for _, m := range migrations[from:] {
		all = append(all, m(d)...)
	}
	if len(all) == 0 {
		return nil, nil
	}
	return append(all, "DELETE FROM "+Schema, fmt.Sprintf("INSERT INTO %s (version) VALUES (%d)", Schema, Version())), nil
}

// Begin creates the table of the version. It is the first statement of a
// migration, and does nothing when run again.
func (d Dialect) Begin() string {
	return "CREATE TABLE IF NOT EXISTS " + Schema + " (version " + d.number + " NOT NULL)"
}

// ReadVersion yields no row for an empty database.
func ReadVersion() string { return "SELECT version FROM " + Schema }

// create is version 1. All keys but the id have an index without the empty
// values: most customers have two or three of a dozen.
func create(d Dialect) []string {
	columns := make([]string, 0, len(customer.Fields)+4)
	for _, f := range customer.Fields {
		columns = append(columns, f.Column+" "+d.text+" NOT NULL")
	}
	columns[0] += " PRIMARY KEY"
	for _, name := range []string{custom, telKey, emailKey} {
		columns = append(columns, name+" "+d.text+" NOT NULL")
	}
	columns = append(columns, updated+" "+d.number+" NOT NULL")
	all := []string{
		"CREATE TABLE " + Customers + " (\n\t" + strings.Join(columns, ",\n\t") + "\n)",
		"CREATE TABLE " + Imports + " (source " + d.text + " NOT NULL PRIMARY KEY, line " + d.number + " NOT NULL)",
	}
	for _, name := range append([]string{telKey, emailKey}, accounts...) {
		all = append(all, fmt.Sprintf("CREATE INDEX %s_%s ON %[1]s (%[2]s) WHERE %[2]s <> ''", Customers, name))
	}
	return all
}

// accounts are the columns that thirdAccountId is compared with.
var accounts = func() (names []string) {
	for _, f := range customer.Fields {
		if f.Account {
			names = append(names, f.Column)
		}
	}
	return names
}()

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
