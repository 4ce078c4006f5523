package jq

// DecodePart decodes a document as Decode does, and checks all of it, but makes
// values only of the part that programs look at. Of the rest, objects keep no
// members and arrays no elements. A nil part is everything.
func DecodePart(data []byte, l Limits, part *Projection) (any, error) {
	if part == nil {
		return Decode(data, l)
	}
	return document(data, l, func(d *decoder) any { return d.part(part) })
}

// part reads a value, and keeps of it what p says.
func (d *decoder) part(p *Projection) any {
	if p.whole {
		return d.value()
	}
	switch d.peek() {
	case '{':
		return d.members(p)
	case '[':
		d.skip()
		return []any{}
	default:
		return d.value()
	}
}

// members reads an object, and keeps of it the members of p.
func (d *decoder) members(p *Projection) any {
	if d.nodes++; d.nodes > d.Nodes {
		return d.fail(ErrTooLarge)
	}
	m := make(map[string]any, len(p.members))
	d.eachMember(func(k string) {
		if part, ok := p.members[k]; ok {
			m[k] = d.part(part)
			return
		}
		d.skip()
	})
	if d.err != nil {
		return nil
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

func (d *decoder) count() {
	if d.nodes++; d.nodes > d.Nodes {
		d.fail(ErrTooLarge)
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
