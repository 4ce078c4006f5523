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
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

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
// changes; a test holds the digests of the texts.
var migrations = []func(Dialect) []string{create}

// ErrForeign says that a table or a row is not as this program writes them.
var ErrForeign = errors.New("the tables are not those of this program")

// Migrate brings the tables to [Version], with statements that exec runs in one
// transaction; version reads the one number that a statement yields.
func (d Dialect) Migrate(exec func(text string) error, version func(text string) (int64, error)) error {
	if err := exec("CREATE TABLE IF NOT EXISTS " + Schema + " (version " + d.number + " NOT NULL)"); err != nil {
		return err
	}
	from, err := version(ReadVersion())
	if err != nil {
		return err
	}
	if from < 0 || from > Version() {
		return fmt.Errorf("%w: the schema has version %d, this program knows up to %d; run the newer program", ErrForeign, from, Version())
	}
	var all []string
	for _, m := range migrations[from:] {
		all = append(all, m(d)...)
	}
	if len(all) > 0 {
		all = append(all, "DELETE FROM "+Schema, fmt.Sprintf("INSERT INTO %s (version) VALUES (%d)", Schema, Version()))
	}
	for _, text := range all {
		if err := exec(text); err != nil {
			return err
		}
	}
	return nil
}

// ReadVersion yields 0 for an empty database.
func ReadVersion() string { return "SELECT coalesce(max(version), 0) FROM " + Schema }

// create is version 1. All keys but the id have an index without the empty
// values: most customers have two or three of a dozen.
func create(d Dialect) []string {
	last := len(Columns) - 1
	columns := make([]string, 0, len(Columns))
	for _, name := range Columns[:last] {
		columns = append(columns, name+" "+d.text+" NOT NULL")
	}
	columns[0] += " PRIMARY KEY"
	columns = append(columns, Columns[last]+" "+d.number+" NOT NULL")
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

// Opener opens a database before its first use, and again before the next one until
// it has succeeded once.
type Opener struct {
	open func(context.Context) error
	fail func(doing string, err error) error
	turn *semaphore.Weighted
	done atomic.Bool
}

// NewOpener returns an opener that calls open. fail turns an error of the database
// into one of package customer; doing says what was done.
func NewOpener(open func(context.Context) error, fail func(doing string, err error) error) *Opener {
	return &Opener{open: open, fail: fail, turn: semaphore.NewWeighted(1)}
}

// Do opens the database, unless it is open, and runs f; doing says what f does.
func (o *Opener) Do(ctx context.Context, doing string, f func() error) error {
	if err := o.once(ctx); err != nil {
		return o.fail("opening", err)
	}
	if err := f(); err != nil {
		return o.fail(doing, err)
	}
	return nil
}

func (o *Opener) once(ctx context.Context) error {
	if o.done.Load() {
		return nil
	}
	if err := o.turn.Acquire(ctx, 1); err != nil { // while another use opens it
		return err
	}
	defer o.turn.Release(1)
	if o.done.Load() { // by that use
		return nil
	}
	err := o.open(ctx)
	o.done.Store(err == nil)
	return err
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
func Texts(row []string, r *customer.Record, region phone.Region) []string {
	for i := range customer.Fields {
		row = append(row, *customer.Fields[i].Of(r))
	}
	var object []byte
	if len(r.Custom) > 0 {
		object, _ = json.Marshal(r.Custom) // texts always can be
	}
	return append(row, string(object), customer.TelKey(r.Tel, region), customer.EmailKey(r.Email))
}

// Scan returns the customer whose columns PostgreSQL has yielded, which scan stores.
func Scan(scan func(dest ...any) error) (*customer.Record, error) {
	record := new(customer.Record)
	var custom string
	dest := make([]any, 0, len(customer.Fields)+1)
	for i := range customer.Fields {
		dest = append(dest, customer.Fields[i].Of(record))
	}
	if err := scan(append(dest, &custom)...); err != nil {
		return nil, ErrForeign
	}
	return record, setCustom(record, custom)
}

// setCustom sets the custom fields to what their column holds.
func setCustom(r *customer.Record, object string) error {
	if object == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(object), &r.Custom); err != nil {
		return fmt.Errorf("%w: the column custom is not a JSON object of texts", ErrForeign)
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

var errPacked = fmt.Errorf("%w: a value is missing, or a value holds a NUL", ErrForeign)
