package schema

import (
	"errors"
	"strings"

	"github.com/switchboard-ivr/switchboard/module/customer"
)

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
