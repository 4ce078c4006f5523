//go:build !noswitchboardfast

package jsonval

import (
	"encoding/json"
	"strings"
)

// Fast path of Decode (part_plain.go) for a document of which programs look at a
// part: the rest is checked, but takes no memory. Decoding an API's answer so takes
// a fraction of the time. FuzzDecodePart of package jq holds it to Decode: the same
// documents are refused, and no program can tell the results apart.

// DecodePart decodes a document as Decode does, and checks all of it, but makes
// values only of the part that programs look at. Of the rest, an object that isn't
// empty keeps one member "", an array one null. A nil part is everything.
func DecodePart(data []byte, l Limits, part *Part) (any, error) {
	if part == nil {
		return Decode(data, l)
	}
	// What is kept of it is copied.
	return document(viewOf(data), l, func(d *decoder) any { return d.part(part) })
}

// part reads a value, and keeps of it what p says.
func (d *decoder) part(p *Part) any {
	switch d.peek() {
	case '{':
		if p.Whole {
			return d.subtree()
		}
		return d.members(p)
	case '[':
		if p.Whole {
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
	if d.skipText(); !d.reserved(start) {
		return ""
	}
	d.i = start
	return strings.Clone(d.text())
}

// reserved reserves the memory of what stands since start.
func (d *decoder) reserved(start int) bool {
	if d.err == nil {
		if err := d.reserve(d.s[start:d.i], true); err != nil {
			d.fail(err)
		}
	}
	return d.err == nil
}

// subtree makes values of all of an array or object, over a copy of its own.
func (d *decoder) subtree() any {
	start := d.i
	if d.skip(); !d.reserved(start) {
		return nil
	}
	of := newDecoder(d.Limits, strings.Clone(d.s[start:d.i]))
	v := of.value()
	if of.err != nil { // the time is over
		return d.fail(of.err)
	}
	return v
}

// members reads an object, and keeps of it the members of p.
func (d *decoder) members(p *Part) any {
	if d.count(); d.err != nil {
		return nil
	}
	m, before := make(map[string]any, len(p.Members)), d.nodes
	d.eachMember(func(k string) {
		if part, ok := p.Members[k]; ok {
			m[part.Name] = d.part(part) // k is a part of the view
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
	d.open()
	for first := true; d.next('}', first); first = false {
		f(d.key())
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
	d.open()
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
			d.escape()
		case c < ' ':
			d.fail(ErrSyntax)
		}
	}
	d.fail(ErrSyntax)
}
