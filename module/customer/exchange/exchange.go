// Package exchange brings customers into a store and out of it, as CSV or as
// NDJSON (one JSON object a line), and into it as a JSON array, too. Memory stays
// flat, however long a file is.
package exchange

import (
	"errors"
	"fmt"
	"io"

	"github.com/switchboard-ivr/switchboard/module/customer"
)

// Format is how customers are written.
type Format string

// The formats. [Detect] is what tells them apart by their first character.
const (
	Detect Format = ""
	CSV    Format = "csv"
	NDJSON Format = "ndjson"
	JSON   Format = "json" // one array of objects; only for imports
)

// ParseFormat reads a format's name. Blank is [Detect].
func ParseFormat(name string) (Format, error) {
	switch f := Format(name); f {
	case Detect, CSV, NDJSON, JSON:
		return f, nil
	case "jsonl":
		return NDJSON, nil
	}
	return "", errors.New("the format is neither csv nor ndjson nor json")
}

// MaxRow is how long one row can be, in bytes. A longer one is rejected: most
// often a quote is missing.
const MaxRow = 1 << 20

// row is what stands in a file for one customer.
type row struct {
	line   int64 // where it begins, from 1; in a JSON array, which one it is
	record *customer.Record
	// reason says why it is no customer, without a value of it.
	reason error
	// cells and text are kept of a rejected row: its cells, where there are as
	// many as the header has, else its text.
	cells []string
	text  string
}

// rows reads a file row by row. At the end next returns io.EOF; any other error
// ends the reading, too.
type rows interface {
	next() (row, error)
	// header is the first row of a CSV, as it stands there.
	header() []string
	// custom are the header's names that are no fixed field.
	custom() []string
}

// open reads what comes before the first row.
func open(r io.Reader, format Format) (rows, Format, *lines, error) {
	in := newLines(r)
	if err := in.begin(); err != nil {
		return nil, "", nil, err
	}
	if format == Detect {
		format = CSV
		switch in.first() {
		case '{':
			format = NDJSON
		case '[':
			format = JSON
		}
	}
	switch format {
	case NDJSON:
		return &jsonRows{in: in}, format, in, nil
	case JSON:
		if c := in.first(); c != '[' {
			return nil, "", nil, errors.New("the file is not a JSON array; it begins with another sign than [")
		}
		return &arrayRows{in: in}, format, in, nil
	case Detect, CSV:
	}
	c, err := newCSVRows(in)
	if err != nil {
		return nil, "", nil, fmt.Errorf("line %d: %w", max(1, in.number), err)
	}
	return c, format, in, nil
}
