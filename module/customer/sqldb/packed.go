package sqldb

import (
	"errors"
	"strings"

	"github.com/switchboard-ivr/switchboard/module/customer"
)

// packed is the columns that a lookup yields as one text. SQLite's driver asks
// for the name, the declared type, the type and the value of every column, and
// that costs more than finding the row. No value holds a NUL.
func packed(columns string) string { return "concat_ws(char(0), " + columns + ")" }

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
