package jq

import (
	"encoding/json"
	"strings"
	"unsafe"
)

// DecodePart decodes a document as Decode does, and checks all of it, but makes
// values only of the part that programs look at. Of the rest, an object that isn't
// empty keeps one member "", an array one null. A nil part is everything.
func DecodePart(data []byte, l Limits, part *Projection) (any, error) {
	if part == nil {
		return Decode(data, l)
	}
	// What is kept of it is copied.
	return document(viewOf(data), l, func(d *decoder) any { return d.part(part) })
}

// viewOf is data, which is not changed while it is read, as a string.
func viewOf(data []byte) string {
	return unsafe.String(unsafe.SliceData(data), len(data)) //nolint:gosec // see above
}

// part reads a value, and keeps of it what p says.
func (d *decoder) part(p *Projection) any {
	switch d.peek() {
	case '{':
		if p.whole {
			return d.subtree()
		}
		return d.members(p)
	case '[':
		if p.whole {
			return d.subtree()
		}
		before := d.nodes
		if d.skip(); d.nodes > before+1 {
			return []any{nil}
		}
		return []any{}
	case '"':
		d.count()
		return d.textCopy()
	case 't', 'f', 'n':
		return d.value()
	default:
		d.count()
		start := d.i
		if !d.scanNumber() {
			return nil
		}
		return json.Number(strings.Clone(d.s[start:d.i]))
	}
}

// textCopy reads a string, and copies it.
func (d *decoder) textCopy() string {
	if len(d.s) <= d.smallDocument() {
		return strings.Clone(d.text())
	}
	start := d.i
	d.skipText()
	if d.err == nil {
		d.err = d.reserve(d.s[start:d.i], true)
	}
	if d.err != nil {
		d.fail(d.err)
		return ""
	}
	d.i = start
	return strings.Clone(d.text())
}

// subtree makes values of all of an array or object, over a copy of its own.
func (d *decoder) subtree() any {
	start := d.i
	d.skip()
	if d.err == nil {
		d.err = d.reserve(d.s[start:d.i], true)
	}
	if d.err != nil {
		return d.fail(d.err)
	}
	of := newDecoder(d.Limits, strings.Clone(d.s[start:d.i]))
	v := of.value()
	if of.err != nil { // the time is over
		return d.fail(of.err)
	}
	return v
}

// members reads an object, and keeps of it the members of p.
func (d *decoder) members(p *Projection) any {
	if d.count(); d.err != nil {
		return nil
	}
	m, before := make(map[string]any, len(p.members)), d.nodes
	d.eachMember(func(k string) {
		if part, ok := p.members[k]; ok {
			m[part.name] = d.part(part) // k is a part of the view
			return
		}
		d.skip()
	})
	if d.err != nil {
		return nil
	}
	if len(m) == 0 && d.nodes > before {
		m[""] = nil
	}
	return m
}

// eachMember goes through an object; f reads the value of each key.
func (d *decoder) eachMember(f func(key string)) {
	if d.depth++; d.depth > d.Depth {
		d.fail(ErrTooLarge)
		return
	}
	d.i++
	for first := true; d.next('}', first); first = false {
		if d.peek() != '"' {
			d.fail(ErrSyntax)
			return
		}
		k := d.text()
		d.blank()
		if d.peek() != ':' {
			d.fail(ErrSyntax)
			return
		}
		d.i++
		d.blank()
		f(k)
	}
	d.depth--
}

// skip checks a value and makes nothing of it.
func (d *decoder) skip() {
	switch c := d.peek(); c {
	case '"':
		d.count()
		d.skipText()
	case '{':
		d.count()
		d.eachMember(func(string) { d.skip() })
	case '[':
		d.count()
		d.skipArray()
	case 't', 'f', 'n':
		d.value()
	default:
		d.count()
		d.scanNumber()
	}
}

func (d *decoder) skipArray() {
	if d.depth++; d.depth > d.Depth {
		d.fail(ErrTooLarge)
		return
	}
	d.i++
	for first := true; d.next(']', first); first = false {
		d.skip()
	}
	d.depth--
}

func (d *decoder) skipText() {
	d.i++
	for d.i < len(d.s) {
		c := d.s[d.i]
		d.i++
		switch {
		case c == '"':
			return
		case c == '\\':
			d.skipEscape()
		case c < ' ':
			d.fail(ErrSyntax)
			return
		}
	}
	d.fail(ErrSyntax)
}

func (d *decoder) skipEscape() {
	e := d.peek()
	d.i++
	switch e {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
	case 'u':
		d.unit()
	default:
		d.fail(ErrSyntax)
	}
}
