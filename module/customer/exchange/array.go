package exchange

import (
	"bytes"
	"errors"
	"io"
)

// arrayRows reads one JSON array of objects, each as a line of NDJSON is read. As
// an array may be one line, its rows are counted in place of lines.
type arrayRows struct {
	in     *lines
	text   []byte // of the current row
	opened bool
	closed bool
}

var (
	errArray  = errors.New("the JSON array is cut off; it ends without ]")
	errBehind = errors.New("something follows the JSON array; the file holds one array of objects, or one object a line")
)

func (a *arrayRows) header() []string { return nil }
func (a *arrayRows) custom() []string { return nil }

func (a *arrayRows) next() (row, error) {
	if !a.opened {
		a.opened = true
		if _, err := a.skip(); err != nil {
			return row{}, err
		}
		_, _ = a.read() // the [
	}
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
	r := row{line: a.in.number}
	if whole {
		r.record, r.reason = Parse(text)
	} else {
		r.reason = errLong
	}
	if r.reason != nil {
		// One line, as the rejected rows are written.
		r.record, r.text = nil, string(bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("\r"), []byte(" ")), []byte("\n"), []byte(" ")))
	}
	return r, nil
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
