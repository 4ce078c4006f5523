package exchange

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/switchboard-ivr/switchboard/module/customer"
)

// Lister gives all customers by id; a [customer.Writer] is one.
type Lister interface {
	All(ctx context.Context) iter.Seq2[*customer.Record, error]
}

// Export writes all customers by id and returns their number. An import of it
// gives the same customers. In a CSV every fixed field has a column, and every
// custom field that somebody has; cells that a spreadsheet would take for a
// formula begin with a ', which the import takes off again.
func Export(ctx context.Context, store Lister, to io.Writer, format Format, progress func(n int64)) (n int64, err error) {
	w := bufio.NewWriterSize(to, 256<<10)
	var put func(*customer.Record) error
	if format == NDJSON {
		var text []byte
		put = func(r *customer.Record) error {
			text = append(AppendJSON(text[:0], r), '\n')
			_, err := w.Write(text)
			return err
		}
	} else {
		custom, err := customIDs(ctx, store)
		if err != nil {
			return 0, err
		}
		if put, err = csvWriter(w, custom); err != nil {
			return 0, err
		}
	}
	for r, err := range store.All(ctx) {
		if err != nil {
			return n, err
		}
		if err := put(r); err != nil {
			return n, err
		}
		if n++; progress != nil && n%1000 == 0 {
			progress(n)
		}
	}
	return n, w.Flush()
}

// customIDs are the ids of all custom fields: the header comes before the rows.
func customIDs(ctx context.Context, store Lister) ([]string, error) {
	ids := map[string]bool{}
	for r, err := range store.All(ctx) {
		if err != nil {
			return nil, err
		}
		for id, value := range r.Custom {
			if value != "" {
				ids[id] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(ids)), nil
}

var errNewField = errors.New("a customer has got a custom field while they were exported; export again")

// csvWriter leaves it to the caller to flush the writer.
func csvWriter(to *bufio.Writer, custom []string) (func(*customer.Record) error, error) {
	w := csv.NewWriter(to) // to itself is its buffer
	cells := make([]string, 0, len(customer.Fields)+len(custom))
	for i := range customer.Fields {
		cells = append(cells, customer.Fields[i].Wire)
	}
	for _, id := range custom {
		cells = append(cells, defuse(id))
	}
	put := func(r *customer.Record) error {
		cells = cells[:0]
		for i := range customer.Fields {
			cells = append(cells, defuse(*customer.Fields[i].Of(r)))
		}
		for _, id := range custom {
			cells = append(cells, defuse(r.Custom[id]))
		}
		for id, value := range r.Custom {
			if _, known := slices.BinarySearch(custom, id); value != "" && !known {
				return errNewField
			}
		}
		return w.Write(cells)
	}
	return put, w.Write(cells)
}

// A spreadsheet takes a cell that begins with = + - @ (in their wide forms,
// too) or with a control character for a formula. Such a cell is written with a
// ' before it, which spreadsheets read as "this is text". Reading takes it off
// again, so that what was exported comes back as it was; a value that itself
// begins with ' and one of these gets another one.

func defuse(cell string) string {
	if active(strings.TrimLeft(cell, "'")) {
		return "'" + cell
	}
	return cell
}

func undefuse(cell string) string {
	if len(cell) > 1 && cell[0] == '\'' && active(strings.TrimLeft(cell, "'")) {
		return cell[1:]
	}
	return cell
}

// cellText is the text that a cell of a CSV stands for: without the ' that [defuse]
// has written, or without what makes a formula of a text, as in ="00123", which
// keeps a spreadsheet from making a number of it.
func cellText(cell string) string {
	if text := undefuse(cell); len(text) != len(cell) {
		return text
	}
	if isFormulaText(cell) {
		return cell[2 : len(cell)-1]
	}
	return cell
}

// isFormulaText reports whether a cell is a formula that is nothing but a text.
func isFormulaText[T string | []byte](cell T) bool {
	last := len(cell) - 1
	if last < 2 || cell[0] != '=' || cell[1] != '"' || cell[last] != '"' {
		return false
	}
	return strings.IndexByte(string(cell[2:last]), '"') < 0
}

func active(cell string) bool {
	first, _ := utf8.DecodeRuneInString(cell)
	return strings.ContainsRune("=+-@\t\r\n＝＋－＠", first)
}
