package schema

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/phone"
	"github.com/switchboard-ivr/switchboard/module/customer"
)

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
