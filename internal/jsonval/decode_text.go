package jq

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

func (d *decoder) text() string {
	d.i++
	start := d.i
	for d.i < len(d.s) {
		switch c := d.s[d.i]; {
		case c == '"':
			d.i++
			return d.s[start : d.i-1]
		case c == '\\':
			return d.escaped(start)
		case c < ' ':
			d.fail(ErrSyntax)
			return ""
		}
		d.i++
	}
	d.fail(ErrSyntax)
	return ""
}

// escaped reads the rest of a string that has escapes.
func (d *decoder) escaped(start int) string {
	b := make([]byte, d.i-start, 2*(d.i-start)+16)
	copy(b, d.s[start:])
	for d.i < len(d.s) {
		c := d.s[d.i]
		d.i++
		switch {
		case c == '"':
			return string(b)
		case c < ' ':
			d.fail(ErrSyntax)
			return ""
		case c != '\\':
			b = append(b, c)
			continue
		}
		e := d.peek()
		d.i++
		switch e {
		case '"', '\\', '/':
			b = append(b, e)
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			b = utf8.AppendRune(b, d.unit())
		default:
			d.fail(ErrSyntax)
			return ""
		}
	}
	d.fail(ErrSyntax)
	return ""
}

// unit reads the digits of \uHHHH, and the second half of a surrogate pair.
func (d *decoder) unit() rune {
	u := d.hex4(d.i)
	if u < 0 {
		d.fail(ErrSyntax)
		return 0
	}
	d.i += 4
	if !utf16.IsSurrogate(u) {
		return u
	}
	if strings.HasPrefix(d.s[d.i:], `\u`) {
		if r := utf16.DecodeRune(u, d.hex4(d.i+2)); r != utf8.RuneError {
			d.i += 6
			return r
		}
	}
	return utf8.RuneError
}

// hex4 is the number in four hex digits, or -1.
func (d *decoder) hex4(at int) rune {
	if at+4 > len(d.s) {
		return -1
	}
	u := rune(0)
	for _, c := range []byte(d.s[at : at+4]) {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		u = u<<4 | rune(c)
	}
	return u
}
