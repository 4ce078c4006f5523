package exchange

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/switchboard-ivr/switchboard/module/customer"
)

// csvRows reads a CSV whose first row names the fields.
type csvRows struct {
	in      *lines
	cells   cells
	names   []string // the header as it stands in the file
	columns []column
	raw     []byte // the row's text
}

// column says where the cells of a column go.
type column struct {
	field  *customer.Field
	custom string // id of a custom field
	// neither: the column is ours, from a file of rejected rows
}

func newCSVRows(in *lines) (*csvRows, error) {
	c := &csvRows{in: in}
	if err := c.readFilled(); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the file is empty; its first line names the fields")
		}
		return nil, err
	}
	c.names = c.cells.all()
	for last := len(c.names) - 1; strings.TrimSpace(c.names[last]) == ""; last-- {
		c.names = c.names[:last] // as spreadsheets write them
	}
	seen, named := make(map[string]bool, len(c.names)), false
	for i, name := range c.names {
		name = cellText(strings.TrimSpace(name))
		if seen[name] {
			return nil, fmt.Errorf("columns of the header have the same name; the second is column %d", i+1)
		}
		seen[name] = true
		col := column{field: customer.FieldOf(name)}
		if col.field == nil && !strings.HasPrefix(name, "_") {
			if err := customer.CheckCustomID(name); err != nil {
				return nil, fmt.Errorf("column %d of the header has no name that a field can have; the header holds names, separated by commas, in UTF-8", i+1)
			}
			col.custom = name
		}
		named = named || name == "id"
		c.columns = append(c.columns, col)
	}
	if !named {
		return nil, errors.New("the header has no column id; it names the fields, as in id,tel,email,nick")
	}
	return c, nil
}

// custom are the header's names that are no fixed field.
func (c *csvRows) custom() []string {
	var ids []string
	for _, col := range c.columns {
		if col.custom != "" {
			ids = append(ids, col.custom)
		}
	}
	return ids
}

func (c *csvRows) next() (row, error) {
	err := c.readFilled()
	r := row{line: c.in.number - int64(max(0, bytes.Count(bytes.TrimSuffix(c.raw, []byte("\n")), []byte("\n"))))}
	switch {
	case slices.Contains(malformed, err):
		r.reason, r.text = err, string(c.raw)
		return r, nil
	case err != nil:
		return row{}, err
	}
	if n := c.cells.filled(); n > len(c.columns) || len(c.cells.ends) < len(c.columns) {
		r.reason = fmt.Errorf("the row has %d cells, the header has %d", max(n, len(c.cells.ends)), len(c.columns))
		r.text = string(c.raw)
		return r, nil
	}
	record := new(customer.Record)
	c.cells.each(func(i int, cell string) {
		if i >= len(c.columns) {
			return // blank
		}
		cell = cellText(cell)
		switch col := &c.columns[i]; {
		case col.field != nil:
			*col.field.Of(record) = cell
		case col.custom != "" && cell != "":
			record.Set(col.custom, cell)
		}
	})
	if r.reason = record.Normalize(); r.reason != nil {
		r.cells = c.cells.all()
		return r, nil
	}
	r.record = record
	return r, nil
}

// readFilled reads the next row of which some cell isn't blank. Spreadsheets write
// rows of commas, at the end and between others.
func (c *csvRows) readFilled() error {
	for {
		if err := c.read(); err != nil || c.cells.filled() > 0 {
			return err
		}
	}
}

// read reads one row into cells and raw. Blank lines are none.
func (c *csvRows) read() error {
	c.cells.reset()
	c.raw = c.raw[:0]
	for {
		line, whole, err := c.in.next()
		switch {
		case errors.Is(err, io.EOF) && len(c.raw) > 0:
			return errOpen
		case err != nil:
			return err
		case len(c.raw) == 0 && len(chomp(line)) == 0:
			continue
		}
		if !whole || len(c.raw)+len(line) > c.in.limit {
			c.raw = append(c.raw, line[:min(len(line), c.in.limit-len(c.raw))]...)
			return errLong
		}
		c.raw = append(c.raw, line...)
		if complete, err := c.cells.feed(line); complete || err != nil {
			return err
		}
	}
}
