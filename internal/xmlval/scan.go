package xmlval

import (
	"strings"
	"unicode/utf8"
)

// What a byte may be a part of. Other bytes end a text or a name.
const (
	inText  = 1 << iota // text as it is
	inValue             // the value of an attribute as it is
	inName              // a name of ASCII characters
	isSpace
)

var classes = func() (of [256]uint8) {
	for c := range 256 {
		b := byte(c)
		switch {
		case b == '\t' || b == '\n':
			of[b] = inText | isSpace
		case b == '\r':
			of[b] = isSpace
		case b == '&' || b == '<' || b < ' ' || b == 0xEF: // U+FFFE and U+FFFF begin with 0xEF
		case b == ']':
			of[b] = inValue
		case b == '"' || b == '\'':
			of[b] = inText
		default:
			of[b] = inText | inValue
		}
		if b == ' ' {
			of[b] |= isSpace
		}
		if 'a' <= b|0x20 && b|0x20 <= 'z' || '0' <= b && b <= '9' || strings.IndexByte("_-.", b) >= 0 {
			of[b] |= inName
		}
	}
	return of
}()

// space skips white space, and reports whether there was any.
func (d *decoder) space() bool {
	start := d.i
	for d.i < len(d.s) && classes[d.s[d.i]]&isSpace != 0 {
		d.i++
	}
	return d.i > start
}

// name reads a name, with its prefix.
func (d *decoder) name() string {
	start, colon, plain := d.i, 0, true
	for d.i < len(d.s) {
		c := d.s[d.i]
		if classes[c]&inName == 0 {
			switch {
			case c == ':' && colon == 0:
				colon = d.i
			case c >= utf8.RuneSelf:
				plain = false
			default:
				return d.checkedName(start, colon, plain)
			}
		}
		d.i++
	}
	d.fail(ErrCutOff)
	return ""
}

// checkedName is the name from start to where the decoder stands. Colon is where its
// colon is, 0 for none; plain is whether it is ASCII.
func (d *decoder) checkedName(start, colon int, plain bool) string {
	name := d.s[start:d.i]
	switch {
	case len(name) > maxName:
		d.fail(ErrLongName)
	case name == "" || plain && name[0] <= '9': // digits, - and .
		d.fail(ErrMalformed)
	case !plain && !validName(name):
		d.fail(ErrMalformed)
	case colon != 0 && (colon == start || colon == d.i-1) || d.s[d.i] == ':':
		d.fail(ErrMalformed)
	}
	return name
}

// local is a name without its prefix.
func local(name string) string { return name[strings.IndexByte(name, ':')+1:] }

// validName reports whether a text is a Name of XML 1.0, fifth edition, that
// doesn't begin with a colon.
func validName(name string) bool {
	for i, r := range name {
		if !startsName(r) && (i == 0 || !continuesName(r)) {
			return false
		}
	}
	return name != "" && name[0] != ':'
}

func startsName(r rune) bool {
	return r == ':' || r == '_' || 'a' <= r|0x20 && r|0x20 <= 'z' && r < utf8.RuneSelf ||
		within(r, 0xC0, 0xD6, 0xD8, 0xF6, 0xF8, 0x2FF, 0x370, 0x37D, 0x37F, 0x1FFF, 0x200C, 0x200D, 0x2070, 0x218F,
			0x2C00, 0x2FEF, 0x3001, 0xD7FF, 0xF900, 0xFDCF, 0xFDF0, 0xFFFD, 0x10000, 0xEFFFF)
}

func continuesName(r rune) bool {
	return r == '-' || r == '.' || within(r, '0', '9', 0xB7, 0xB7, 0x300, 0x36F, 0x203F, 0x2040)
}

// within reports whether r is in one of the ranges.
func within(r rune, ranges ...rune) bool {
	for ; len(ranges) > 0; ranges = ranges[2:] {
		if ranges[0] <= r && r <= ranges[1] {
			return true
		}
	}
	return false
}

// characters reads text to the next <.
func (d *decoder) characters() string {
	from := d.i
	var b []byte // what was read, when it isn't as written
	for d.i < len(d.s) {
		c := d.s[d.i]
		if classes[c]&inText != 0 {
			d.i++
			continue
		}
		switch c {
		case '<':
			if b == nil {
				return d.s[from:d.i]
			}
			return string(append(b, d.s[from:d.i]...))
		case '&':
			if d.skips {
				d.reference()
				continue
			}
			b = append(d.rewritten(b, from), d.s[from:d.i]...)
			b = utf8.AppendRune(b, d.reference())
			from = d.i
		case '\r': // a line ends in \n (XML 1.0, section 2.11)
			b = append(append(d.rewritten(b, from), d.s[from:d.i]...), '\n')
			if d.i++; d.i < len(d.s) && d.s[d.i] == '\n' {
				d.i++
			}
			from = d.i
		case ']':
			if d.i++; strings.HasPrefix(d.s[d.i:], "]>") {
				d.fail(ErrMalformed)
			}
		default:
			d.character()
		}
	}
	d.fail(ErrCutOff)
	return ""
}

// rewritten makes room for the text that begins at from, if there is none yet. What
// it stands for is never longer.
func (d *decoder) rewritten(b []byte, from int) []byte {
	if b != nil {
		return b
	}
	n := max(strings.IndexByte(d.s[from:], '<'), 0)
	if d.take(int64(2 * n)); d.err != nil {
		return nil
	}
	return make([]byte, 0, n)
}

// character skips a character that may not be allowed.
func (d *decoder) character() {
	r, n := utf8.DecodeRuneInString(d.s[d.i:])
	if !allowed(r) {
		d.fail(ErrCharacter)
		return
	}
	d.i += n
}

// allowed reports whether XML 1.0 allows a character.
func allowed(r rune) bool {
	return within(r, '\t', '\n', '\r', '\r', ' ', 0xD7FF, 0xE000, 0xFFFD, 0x10000, utf8.MaxRune)
}

// entity is the character of an entity; 0 for one of a document's own.
func entity(name string) rune {
	switch name {
	case "amp":
		return '&'
	case "lt":
		return '<'
	case "gt":
		return '>'
	case "quot":
		return '"'
	case "apos":
		return '\''
	default:
		return 0
	}
}

// reference reads a reference to a character or to one of the five entities; its &
// is at hand.
func (d *decoder) reference() rune {
	const longest = 64 // with leading zeros
	s := d.s[d.i+1 : min(d.i+longest, len(d.s))]
	name, _, ok := strings.Cut(s, ";")
	if !ok {
		d.fail(ErrMalformed)
		return 0
	}
	digits, isNumber := strings.CutPrefix(name, "#")
	r := entity(name)
	if isNumber {
		r = number(digits)
	}
	switch {
	case isNumber && !allowed(r):
		d.fail(ErrCharacter)
	case r == 0 && validName(name):
		d.fail(ErrEntity)
	case r == 0:
		d.fail(ErrMalformed)
	default:
		d.i += len(name) + 2
	}
	return r
}

// number is the character of a reference such as 233 or xE9; 0 for none.
func number(digits string) (r rune) {
	base := rune(10)
	if hex, ok := strings.CutPrefix(digits, "x"); ok {
		digits, base = hex, 16
	}
	for _, c := range []byte(digits) {
		digit := rune(strings.IndexByte("0123456789abcdef", c)) //nolint:gosec // of one digit
		if c <= 'F' && 'A' <= c {
			digit = rune(c) - 'A' + 10
		}
		if digit < 0 || digit >= base || r > utf8.MaxRune {
			return 0
		}
		r = r*base + digit
	}
	return r
}

const (
	cdata   = "<![CDATA["
	comment = "<!--"
)

// section reads a CDATA section.
func (d *decoder) section() string {
	d.i += len(cdata)
	n := strings.Index(d.s[d.i:], "]]>")
	if n < 0 {
		d.fail(ErrCutOff)
		return ""
	}
	s := d.s[d.i : d.i+n]
	end := d.i + n + len("]]>")
	lines := strings.IndexByte(s, '\r') >= 0
	for d.i < end-len("]]>") {
		if classes[d.s[d.i]]&(inText|inValue) != 0 || d.s[d.i] == '\r' {
			d.i++
		} else {
			d.character()
		}
	}
	if d.err != nil {
		return ""
	}
	d.i = end
	if lines {
		d.take(int64(2 * len(s)))
		s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	}
	return s
}

// markup skips a comment or a processing instruction, and refuses declarations.
func (d *decoder) markup() {
	switch rest := d.s[d.i:]; {
	case d.declared():
		d.fail(ErrMalformed) // it must be the first thing
	case strings.HasPrefix(rest, "<?"):
		d.instruction()
	case strings.HasPrefix(rest, comment):
		n := strings.Index(rest[len(comment):], "--")
		if n < 0 {
			d.fail(ErrCutOff)
			return
		}
		d.i += len(comment) + n + len("--")
		if d.i < len(d.s) && d.s[d.i] == '>' {
			d.i++
			return
		}
		d.fail(ErrMalformed)
	case strings.HasPrefix(rest, "<!DOCTYPE"), strings.HasPrefix(rest, "<!ENTITY"):
		d.fail(ErrDTD)
	default:
		d.fail(ErrMalformed)
	}
}

// declared reports whether an XML declaration is at hand.
func (d *decoder) declared() bool {
	const begin = "<?xml"
	rest := d.s[d.i:]
	return len(rest) > len(begin) && strings.EqualFold(rest[:len(begin)], begin) && classes[rest[len(begin)]]&isSpace != 0
}

// instruction skips a processing instruction or an XML declaration.
func (d *decoder) instruction() {
	d.i += len("<?")
	d.name()
	n := strings.Index(d.s[d.i:], "?>")
	switch {
	case d.err != nil:
	case n < 0:
		d.fail(ErrCutOff)
	case n > 0 && classes[d.s[d.i]]&isSpace == 0:
		d.fail(ErrMalformed)
	default:
		d.i += n + len("?>")
	}
}
