package exchange

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/module/customer"
)

// jsonRows reads one object a line.
type jsonRows struct{ in *lines }

func (j *jsonRows) next() (row, error) {
	for {
		line, whole, err := j.in.next()
		if err != nil {
			return row{}, err
		}
		if len(bytes.TrimSpace(line)) > 0 {
			return jsonRow(j.in.number, line, whole), nil
		}
	}
}

// jsonRow parses the text of a row; unless it is whole, the row was too long. The text
// of a rejected row is put on one line.
func jsonRow(number int64, text []byte, whole bool) row {
	r := row{line: number, reason: errLong}
	if whole {
		r.record, r.reason = Parse(bytes.TrimSpace(text))
	}
	if r.reason != nil {
		r.record, r.text = nil, strings.NewReplacer("\r", " ", "\n", " ").Replace(string(chomp(text)))
	}
	return r
}

var errObject = errors.New("the row is not one JSON object of texts, numbers, true, false and null")

// Parse reads a customer from a flat JSON object of names on the wire. Numbers
// and booleans become text as they are written, null is blank. Names that begin
// with _ are passed over. The record is normalized. Errors hold no value.
func Parse(text []byte) (*customer.Record, error) { return ParseAs(text, "") }

// ParseAs is [Parse] for the customer with an id, which the object may leave out; ""
// accepts any id.
func ParseAs(text []byte, id string) (*customer.Record, error) {
	r, err := parse(text)
	if err != nil {
		return nil, err
	}
	if id != "" {
		if given := strings.TrimSpace(r.ID); given != "" && given != id {
			return nil, errors.New("the id in the object is another one")
		}
		r.ID = id
	}
	return r, r.Normalize()
}

func parse(text []byte) (*customer.Record, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("the row is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errObject
	}
	r := new(customer.Record)
	seen := make(map[string]bool, len(customer.Fields))
	for d.More() {
		key, _ := d.Token()
		name, ok := key.(string)
		if !ok {
			return nil, errObject
		}
		t, err := d.Token()
		value, ok := jsonval.Text(t)
		switch {
		case err != nil || !ok && t != nil:
			return nil, errObject
		case strings.HasPrefix(name, "_"):
			continue
		case seen[name]:
			return nil, errors.New("a field stands there twice")
		}
		if seen[name] = true; t != nil {
			r.Set(name, value)
		}
	}
	_, unclosed := d.Token()
	if _, err := d.Token(); unclosed != nil || !errors.Is(err, io.EOF) {
		return nil, errObject
	}
	return r, nil
}

// AppendJSON appends a customer as a flat JSON object of names on the wire:
// what is blank is left out, except of custom fields. [Parse] reads it again.
func AppendJSON(to []byte, r *customer.Record) []byte {
	to = append(to, '{')
	first := true
	each := func(name, value string) {
		if !first {
			to = append(to, ',')
		}
		first = false
		to = appendString(to, name)
		to = append(to, ':')
		to = appendString(to, value)
	}
	for i := range customer.Fields {
		if value := *customer.Fields[i].Of(r); value != "" {
			each(customer.Fields[i].Wire, value)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.Custom)) {
		each(id, r.Custom[id])
	}
	return append(to, '}')
}

func appendString(to []byte, s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string can always be written
	return append(to, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}

// arrayRows reads one JSON array of objects, each as a line of NDJSON is read. As
// an array may be one line, its rows are counted in place of lines.
type arrayRows struct {
	in     *lines
	text   []byte // of the current row
	closed bool
}

var (
	errArray  = errors.New("the JSON array is cut off; it ends without ]")
	errBehind = errors.New("something follows the JSON array; the file holds one array of objects, or one object a line")
)

// newArrayRows reads the beginning of an array.
func newArrayRows(in *lines) (*arrayRows, error) {
	a := &arrayRows{in: in}
	c, err := a.skip()
	if err == nil && c != '[' || errors.Is(err, io.EOF) {
		err = errors.New("the file is not a JSON array; it begins with another sign than [")
	}
	_, _ = a.read()
	return a, err
}

func (a *arrayRows) next() (row, error) {
	if a.closed {
		return row{}, a.end()
	}
	whole, err := a.element()
	if err != nil {
		return row{}, err
	}
	text := bytes.TrimSpace(a.text)
	if a.closed && len(text) == 0 { // an empty array, or a comma at its end
		return row{}, a.end()
	}
	a.in.number++
	return jsonRow(a.in.number, text, whole), nil
}

// element reads up to the comma behind an element or the end of the array. Of one
// that is longer than the limit it keeps the beginning, and whole is false.
func (a *arrayRows) element() (whole bool, err error) {
	a.text, whole = a.text[:0], true
	depth, quoted, escaped := 0, false, false
	for {
		c, err := a.read()
		if errors.Is(err, io.EOF) {
			return false, errArray
		}
		if err != nil {
			return false, err
		}
		switch {
		case escaped:
			escaped = false
		case quoted:
			quoted, escaped = c != '"', c == '\\'
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			depth++
		case depth == 0 && c == ',':
			return whole, nil
		case depth == 0 && c == ']':
			a.closed = true
			return whole, nil
		case c == '}' || c == ']':
			depth = max(0, depth-1)
		}
		if len(a.text) < a.in.limit {
			a.text = append(a.text, c)
		} else {
			whole = false
		}
	}
}

// end looks behind the array.
func (a *arrayRows) end() error {
	_, err := a.skip()
	if err == nil {
		return errBehind
	}
	return err
}

// skip passes blanks, and returns what follows them without reading it.
func (a *arrayRows) skip() (byte, error) {
	for {
		c, err := a.in.peek()
		if err != nil || !isBlank(c) {
			return c, err
		}
		_, _ = a.read()
	}
}

func (a *arrayRows) read() (byte, error) {
	c, err := a.in.r.ReadByte()
	if err == nil {
		a.in.offset++
	}
	return c, err
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
