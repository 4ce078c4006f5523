package schema

import (
	"iter"
	"strconv"
	"strings"
	"sync"

	"github.com/switchboard-ivr/switchboard/module/customer"
)

// Finder turns lookups into statements, of which there are as many as there are
// combinations of parameters.
type Finder struct {
	dialect Dialect
	texts   sync.Map // what is to be found and the parameters, joined -> the statement
}

// NewFinder returns a finder for a database.
func NewFinder(d Dialect) *Finder { return &Finder{dialect: d} }

// Find returns the statement of a lookup and its arguments. Values are only ever
// arguments. It yields [Scan]'s columns, or with SQLite [Unpack]'s text.
func (f *Finder) Find(q customer.Query, limit int) (text string, args []any) {
	text, args = f.statement("find", q, Dialect.find)
	return text, append(args, int64(limit))
}

// Newest returns the statement that yields the customer of a lookup who was written
// last, and how many there are, as [UnpackNewest] takes them. It is for SQLite,
// which needn't sort for it, and sorting even one row costs more than finding it.
func (f *Finder) Newest(q customer.Query) (text string, args []any) {
	return f.statement("newest", q, Dialect.newest)
}

func (f *Finder) statement(what string, q customer.Query, write func(Dialect, customer.Query) string) (text string, args []any) {
	args = make([]any, 0, len(q)+1)
	var shape strings.Builder
	shape.WriteString(what)
	for _, c := range q {
		args = append(args, c.Key)
		shape.WriteByte(' ')
		shape.WriteString(string(c.Param))
	}
	if found, ok := f.texts.Load(shape.String()); ok {
		return found.(string), args
	}
	text = write(f.dialect, q)
	f.texts.Store(shape.String(), text)
	return text, args
}

func (d Dialect) find(q customer.Query) string {
	return "SELECT " + d.fields + d.where(q) + " ORDER BY " + updated + " DESC, id LIMIT " + d.param(len(q)+1)
}

// newest rests on what SQLite promises of max: the other columns are those of the
// row that has it.
func (d Dialect) newest(q customer.Query) string {
	return "SELECT " + packed("count(*), max("+updated+"), "+fields) + d.where(q)
}

func (d Dialect) where(q customer.Query) string {
	conditions := make([]string, len(q))
	for i, c := range q {
		conditions[i] = d.condition(c.Param, d.param(i+1))
	}
	return " FROM " + Customers + " WHERE " + strings.Join(conditions, " AND ")
}

// condition is written so that the partial indexes serve it.
func (d Dialect) condition(p customer.Param, value string) string {
	switch p {
	case customer.ByTel:
		return equals(telKey, value)
	case customer.ByEmail:
		return equals(emailKey, value)
	case customer.ByAccount:
		return d.anyAccount(value)
	default:
		return "id = " + value
	}
}

func (d Dialect) anyAccount(value string) string {
	reads := make([]string, len(accounts))
	for i, column := range accounts {
		reads[i] = equals(column, value)
		if d.row != "" {
			reads[i] = "SELECT " + d.row + " FROM " + Customers + " WHERE " + reads[i]
		}
	}
	if d.row != "" {
		return d.row + " IN (" + strings.Join(reads, " UNION ALL ") + ")"
	}
	return "((" + strings.Join(reads, ") OR (") + "))"
}

func equals(column, value string) string {
	return column + " = " + value + " AND " + column + " <> ''"
}

func (d Dialect) param(n int) string { return d.bind + strconv.Itoa(n) }

// Page is the statement that yields the customers behind an id, in the order of
// ids. Its arguments are the id and the greatest number of rows.
func (d Dialect) Page() string {
	return "SELECT " + d.fields + " FROM " + Customers + " WHERE id > " + d.param(1) + " ORDER BY id LIMIT " + d.param(2)
}

// Count is the statement that counts the customers.
func Count() string { return "SELECT count(*) FROM " + Customers }

// Delete is the statement that removes the customer with an id.
func (d Dialect) Delete() string { return "DELETE FROM " + Customers + " WHERE id = " + d.param(1) }

// Marked is the statement that yields how far the import of a source has come; 0
// is unknown.
func (d Dialect) Marked() string {
	return "SELECT coalesce(max(line), 0) FROM " + Imports + " WHERE source = " + d.param(1)
}

// Mark is the statement that notes a mark, and its arguments.
func (d Dialect) Mark(m *customer.Mark) (text string, args []any) {
	if m.Done {
		return "DELETE FROM " + Imports + " WHERE source = " + d.param(1), []any{m.Source}
	}
	return "INSERT INTO " + Imports + " (source, line) VALUES (" + d.param(1) + ", " + d.param(2) +
		") ON CONFLICT (source) DO UPDATE SET line = excluded.line", []any{m.Source, m.Line}
}

// Pages makes one sequence of pages, each of which holds the customers behind an
// id. Nothing is held open between them, so whoever reads may take his time.
func Pages(page func(after string) ([]*customer.Record, error)) iter.Seq2[*customer.Record, error] {
	return func(yield func(*customer.Record, error) bool) {
		for after := ""; ; {
			records, err := page(after)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, record := range records {
				if after = record.ID; !yield(record, nil) {
					return
				}
			}
			if len(records) == 0 {
				return
			}
		}
	}
}
