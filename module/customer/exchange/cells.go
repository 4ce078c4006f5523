package exchange

import (
	"bytes"
	"errors"
)

var (
	errBareQuote = errors.New("a quote stands inside a cell that is not quoted")
	errAfter     = errors.New("text follows a closing quote")
	errOpen      = errors.New("a quote is not closed")
	errLong      = errors.New("the row is longer than 1 MiB; is a quote missing?")
)

// malformed are the errors of rows that can't be cut into cells. Reading goes on
// behind them.
var malformed = []error{errBareQuote, errAfter, errOpen, errLong}

// cells cuts rows of a CSV (RFC 4180) into cells. A row may go over several
// lines; it is fed line by line.
type cells struct {
	text []byte // of all cells, one behind the other
	ends []int
	in   place
}

type place byte

const (
	before place = iota // a cell
	plain
	quoted
	after // a closing quote
)

func (c *cells) reset() { c.text, c.ends, c.in = c.text[:0], c.ends[:0], before }

// feed takes a line with its end, and reports whether the row is complete.
func (c *cells) feed(line []byte) (complete bool, err error) {
	content := chomp(line)
	for i := 0; ; {
		switch c.in {
		case before:
			c.in = plain
			if i < len(content) && content[i] == '"' {
				c.in = quoted
				i++
			}
		case plain:
			cell, more := content[i:], false
			if comma := bytes.IndexByte(cell, ','); comma >= 0 {
				cell, more = cell[:comma], true
			}
			if bytes.IndexByte(cell, '"') >= 0 && !isFormulaText(cell) {
				return false, errBareQuote
			}
			c.text = append(c.text, cell...)
			c.end()
			if !more {
				return true, nil
			}
			i += len(cell) + 1
		case quoted:
			quote := -1
			if i < len(content) {
				quote = bytes.IndexByte(content[i:], '"')
			}
			if quote < 0 {
				c.text = append(c.text, line[i:]...)
				return false, nil
			}
			c.text = append(c.text, content[i:i+quote]...)
			i += quote + 1
			if i < len(content) && content[i] == '"' {
				c.text = append(c.text, '"')
				i++
				continue
			}
			c.in = after
		case after:
			if i < len(content) && content[i] != ',' {
				return false, errAfter
			}
			c.end()
			if i >= len(content) {
				return true, nil
			}
			i++
		}
	}
}

// filled is the number of cells up to the last one that isn't blank.
func (c *cells) filled() int {
	for n := len(c.ends); n > 0; n-- {
		from := 0
		if n > 1 {
			from = c.ends[n-2]
		}
		if len(bytes.TrimSpace(c.text[from:c.ends[n-1]])) > 0 {
			return n
		}
	}
	return 0
}

func (c *cells) end() {
	c.ends = append(c.ends, len(c.text))
	c.in = before
}

// each gives every cell. They share one text, made of one allocation.
func (c *cells) each(do func(i int, cell string)) {
	text, from := string(c.text), 0
	for i, to := range c.ends {
		do(i, text[from:to])
		from = to
	}
}

func (c *cells) all() []string {
	all := make([]string, len(c.ends))
	c.each(func(i int, cell string) { all[i] = cell })
	return all
}
