package xmlval

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// attributes reads the attributes of a start tag to its end. Open is whether
// content follows, null whether xsi:nil is true.
func (d *decoder) attributes() (open, null bool) {
	base, prefixed := len(d.members), false
	for {
		space := d.space()
		switch {
		case d.i == len(d.s):
			d.fail(ErrCutOff)
			return false, false
		case d.s[d.i] == '>':
			d.i++
			open = true
		case strings.HasPrefix(d.s[d.i:], "/>"):
			d.i += 2
		case !space:
			d.fail(ErrMalformed)
			return false, false
		default:
			name := d.name()
			prefixed = prefixed || strings.IndexByte(name, ':') >= 0
			d.attribute(base, name)
			if d.err != nil {
				return false, false
			}
			continue
		}
		switch {
		case d.skips:
			d.members = d.members[:base]
		case len(d.members) > base:
			null = d.named(base, prefixed)
		}
		return open, null
	}
}

// attribute reads what stands behind the name of an attribute.
func (d *decoder) attribute(base int, name string) {
	if d.count(); d.err != nil {
		return
	}
	attributes := d.members[base:]
	if len(attributes) == maxAttributes {
		d.fail(ErrAttributes)
		return
	}
	for i := range attributes {
		if attributes[i].key == name {
			d.fail(ErrTwice)
			return
		}
	}
	d.space()
	if d.i < len(d.s) && d.s[d.i] != '=' {
		d.fail(ErrMalformed)
		return
	}
	d.i = min(d.i+1, len(d.s))
	if d.space(); d.i == len(d.s) {
		d.fail(ErrCutOff)
		return
	}
	quote := d.s[d.i]
	if quote != '"' && quote != '\'' {
		d.fail(ErrMalformed)
		return
	}
	d.i++
	value := d.quoted(quote)
	if d.skips {
		value = ""
	}
	d.push(name, d.boxed(value))
}

// named gives the attributes, which begin at base, the keys of their members, and
// drops those that are about namespaces and types.
func (d *decoder) named(base int, prefixed bool) (null bool) {
	attributes := d.members[base:]
	if prefixed {
		for i := range attributes {
			if prefix, ok := strings.CutPrefix(attributes[i].key, "xmlns:"); ok {
				d.bind(prefix, attributes[i].value == instance)
			}
		}
	}
	kept := attributes[:0]
	for _, a := range attributes {
		prefix, name, ok := strings.Cut(a.key, ":")
		switch {
		case !ok:
			name = a.key
			if name == "xmlns" {
				continue
			}
		case prefix == "xmlns":
			continue
		case d.isInstance(prefix):
			value := strings.Trim(a.value.(string), " ")
			null = null || name == "nil" && (value == "true" || value == "1")
			continue
		}
		d.take(sizeBoxed + int64(len(name)))
		kept = append(kept, member{attributeKey + name, a.value})
	}
	clear(attributes[len(kept):])
	d.members = d.members[:base+len(kept)]
	return null
}

// bind notes what a prefix is bound to, if it matters. There are at most
// maxAttributes bindings, so that looking one up is cheap.
func (d *decoder) bind(prefix string, xsi bool) {
	if xsi == d.isInstance(prefix) {
		return
	}
	if len(d.xsi) == maxAttributes {
		d.fail(ErrAttributes)
		return
	}
	d.xsi = append(d.xsi, binding{prefix, xsi})
}

// isInstance reports whether a prefix stands for instance.
func (d *decoder) isInstance(prefix string) bool {
	for _, b := range slices.Backward(d.xsi) {
		if b.prefix == prefix {
			return b.xsi
		}
	}
	return false
}

// quoted reads the value of an attribute to the quote at its end. White space in
// it is blanks (XML 1.0, section 3.3.3).
func (d *decoder) quoted(quote byte) string {
	start := d.i
	var b []byte // what was read, when it isn't as written
	from := start
	for d.i < len(d.s) {
		c := d.s[d.i]
		if classes[c]&inValue != 0 {
			d.i++
			continue
		}
		if d.i-start > maxAttribute {
			d.fail(ErrLongContent)
			return ""
		}
		switch c {
		case quote:
			s := d.s[from:d.i]
			d.i++
			if b != nil {
				b = append(b, s...)
				d.take(int64(3 * len(b)))
				return string(b)
			}
			return s
		case '"', '\'':
			d.i++
		case '\t', '\n', '\r':
			b = append(append(b, d.s[from:d.i]...), ' ')
			if d.i++; c == '\r' && d.i < len(d.s) && d.s[d.i] == '\n' {
				d.i++
			}
			from = d.i
		case '&':
			b = append(b, d.s[from:d.i]...)
			b = utf8.AppendRune(b, d.reference())
			from = d.i
		case '<':
			d.fail(ErrMalformed)
		default:
			d.character()
		}
	}
	d.fail(ErrCutOff)
	return ""
}
