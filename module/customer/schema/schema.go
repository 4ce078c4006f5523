// Package schema is what the stores have in common that keep customers in a SQL
// database: the schema, how a lookup becomes a statement, and how a customer
// becomes a row. It runs nothing itself.
package schema

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/phone"
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

// Columns are those of a customer's row, in the order of [Values].
var Columns = func() []string {
	columns := make([]string, 0, len(customer.Fields)+4)
	for _, f := range customer.Fields {
		columns = append(columns, f.Column)
	}
	return append(columns, custom, telKey, emailKey, updated)
}()

// fields are the columns that a lookup yields: the fixed fields and the custom
// ones.
var fields = strings.Join(Columns[:len(customer.Fields)+1], ", ")

// Texts appends the values of a customer's row to row: all but the last column,
// which says when it was written.
func Texts(row []string, r *customer.Record, region phone.Region) ([]string, error) {
	for i := range customer.Fields {
		row = append(row, *customer.Fields[i].Of(r))
	}
	var object string
	if len(r.Custom) > 0 {
		text, err := json.Marshal(r.Custom)
		if err != nil {
			return nil, err
		}
		object = string(text)
	}
	var tel, email string
	if r.Tel != "" {
		tel = customer.TelKey(r.Tel, region)
	}
	if r.Email != "" {
		email = customer.EmailKey(r.Email)
	}
	return append(row, object, tel, email), nil
}

// Row is a customer as a lookup in PostgreSQL yields one.
type Row struct {
	record *customer.Record
	custom string
	dest   []any
}

// Dest returns where the columns go. The customer is then at [Row.Record].
func (r *Row) Dest() []any {
	r.record = new(customer.Record)
	r.dest = r.dest[:0]
	for i := range customer.Fields {
		r.dest = append(r.dest, customer.Fields[i].Of(r.record))
	}
	r.dest = append(r.dest, &r.custom)
	return r.dest
}

// Record returns the customer that was read.
func (r *Row) Record() (*customer.Record, error) {
	return r.record, setCustom(r.record, r.custom)
}

// setCustom sets the custom fields to what their column holds.
func setCustom(r *customer.Record, object string) error {
	if object == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(object), &r.Custom); err != nil {
		return errors.New("the column custom holds no JSON object of texts")
	}
	return nil
}

// assignments replace every column of a customer that is there already.
func assignments() string {
	all := make([]string, 0, len(Columns)-1)
	for _, column := range Columns[1:] {
		all = append(all, column+" = excluded."+column)
	}
	return " ON CONFLICT (id) DO UPDATE SET " + strings.Join(all, ", ")
}

// Upsert is SQLite's statement that writes customers, n of them, one after the
// other. Its arguments are those of [Columns], n times.
func Upsert(n int) string {
	row := "(" + strings.Repeat("?, ", len(Columns)-1) + "?)"
	return "INSERT INTO " + Customers + " (" + strings.Join(Columns, ", ") + ") VALUES " +
		strings.Repeat(row+", ", n-1) + row + assignments()
}

// UpsertAll is PostgreSQL's statement that writes many customers, of which no
// two have one id. Its arguments are those of [Columns], each an array.
func UpsertAll() string {
	arrays := make([]string, len(Columns))
	for i := range arrays {
		arrays[i] = Postgres.param(i+1) + "::text[]"
	}
	arrays[len(arrays)-1] = Postgres.param(len(arrays)) + "::bigint[]"
	return "INSERT INTO " + Customers + " (" + strings.Join(Columns, ", ") + ") SELECT * FROM unnest(" +
		strings.Join(arrays, ", ") + ")" + assignments()
}

// Clock says when customers were written: microseconds since 1970, but never
// the same twice, so that the order in which they came shows.
type Clock struct {
	mu   sync.Mutex
	last int64
}

// Take returns the first of n times that nobody else gets from this clock.
func (c *Clock) Take(n int) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := max(time.Now().UnixMicro(), c.last+1)
	c.last = first + int64(n) - 1
	return first
}

// packed is the columns that a lookup yields as one text. SQLite's driver asks
// for the name, the declared type, the type and the value of every column, and
// that costs more than finding the row. No value holds a NUL.
func packed(columns string) string { return "concat_ws(char(0), " + columns + ")" }

// UnpackNewest returns what [Finder.Newest] yields: the customer, nil for nobody, and
// whether there are others.
func UnpackNewest(text string) (newest *customer.Record, several bool, err error) {
	count, rest, _ := strings.Cut(text, "\x00")
	if count == "0" {
		return nil, false, nil
	}
	_, rest, ok := strings.Cut(rest, "\x00") // when it was written
	if !ok {
		return nil, false, errPacked
	}
	newest, err = Unpack(rest)
	return newest, count != "1", err
}

// Unpack returns the customer whose columns SQLite has yielded as one text.
func Unpack(text string) (*customer.Record, error) {
	record := new(customer.Record)
	for i := range customer.Fields {
		value, rest, ok := strings.Cut(text, "\x00")
		if !ok {
			return nil, errPacked
		}
		*customer.Fields[i].Of(record), text = value, rest
	}
	if strings.Contains(text, "\x00") {
		return nil, errPacked
	}
	return record, setCustom(record, text)
}

var errPacked = errors.New("a value is missing, or a value holds a NUL")
