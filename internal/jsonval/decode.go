package jsonval

import (
	"encoding/json"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// Decode decodes exactly one JSON document (RFC 8259) into nil, bool, string,
// json.Number, []any and map[string]any. Numbers keep their spelling; of equal
// keys the last one wins; a lone surrogate becomes U+FFFD.
//
// Everything else is an error without a word of the data: ErrEmpty for a blank
// document; ErrTooLarge for one over the limits, or with a number of more than
// [MaxNumber] characters; ErrSyntax for a byte order mark, invalid UTF-8, trailing data
// and the like; ErrNoRoom and ErrDeadline when the context of the room ends. The
// strings share one copy of data.
//
// It takes half the time of encoding/json with UseNumber, and has the limits
// built in.
func Decode(data []byte, l Limits) (any, error) {
	if len(data) > l.OrDefaults().Bytes {
		return nil, ErrTooLarge // before it is copied
	}
	if err := l.reserve(viewOf(data), true); err != nil {
		return nil, err
	}
	return document(string(data), l, (*decoder).value)
}

// viewOf is data, which is not changed while it is read, as a string.
func viewOf(data []byte) string {
	return unsafe.String(unsafe.SliceData(data), len(data)) //nolint:gosec // see above
}

// document reads one document, whose value is read by read.
func document(s string, l Limits, read func(*decoder) any) (any, error) {
	d := newDecoder(l.OrDefaults(), s)
	if len(s) > d.Bytes {
		return nil, ErrTooLarge
	}
	if !utf8.ValidString(s) {
		return nil, ErrSyntax
	}
	if d.blank(); d.i == len(d.s) {
		return nil, ErrEmpty
	}
	v := read(&d)
	if d.blank(); d.err == nil && d.i < len(d.s) {
		d.err = ErrSyntax
	}
	if d.err != nil {
		return nil, d.err
	}
	return v, nil
}

// A decoder reads one document from s. After an error it stands at the end.
type decoder struct {
	Limits
	s     string
	i     int
	depth int
	nodes int
	pause int // how many nodes there may be before it looks at the clock
	err   error

	// Members of the arrays and objects that are being read, so that each is
	// made once and in its size.
	values []any
	keys   []string
}

// lookEvery is after how many nodes a decoder looks at the clock.
const lookEvery = 4096

func newDecoder(l Limits, s string) decoder {
	return decoder{Limits: l, s: s, pause: min(lookEvery, l.Nodes)}
}

// count counts a node.
func (d *decoder) count() {
	if d.nodes++; d.nodes > d.pause {
		d.look()
	}
}

// look ends decoding when it has taken too long or the document has too many nodes.
func (d *decoder) look() {
	switch {
	case d.nodes > d.Nodes:
		d.fail(ErrTooLarge)
	case d.Room.stopped():
		d.fail(ErrDeadline)
	default:
		d.pause = min(d.nodes+lookEvery, d.Nodes)
	}
}

func (d *decoder) fail(err error) any {
	if d.err == nil {
		d.err = err
	}
	d.i = len(d.s)
	return nil
}

func (d *decoder) blank() {
	for d.i < len(d.s) {
		switch d.s[d.i] {
		case ' ', '\t', '\n', '\r':
			d.i++
		default:
			return
		}
	}
}

// peek is the byte at hand, 0 at the end.
func (d *decoder) peek() byte {
	if d.i < len(d.s) {
		return d.s[d.i]
	}
	return 0
}

func (d *decoder) value() any {
	if d.count(); d.err != nil {
		return nil
	}
	switch c := d.peek(); c {
	case '"':
		return d.text()
	case '{':
		return d.object()
	case '[':
		return d.array()
	case 't':
		return d.word("true", true)
	case 'f':
		return d.word("false", false)
	case 'n':
		return d.word("null", nil)
	default:
		return d.number()
	}
}

func (d *decoder) word(w string, v any) any {
	if !strings.HasPrefix(d.s[d.i:], w) {
		return d.fail(ErrSyntax)
	}
	d.i += len(w)
	return v
}

func (d *decoder) digits() bool {
	start := d.i
	for c := d.peek(); '0' <= c && c <= '9'; c = d.peek() {
		d.i++
	}
	return d.i > start
}

func (d *decoder) number() any {
	start := d.i
	if !d.scanNumber() {
		return nil
	}
	return json.Number(d.s[start:d.i])
}

// scanNumber goes to the end of a number.
func (d *decoder) scanNumber() bool {
	start := d.i
	if d.peek() == '-' {
		d.i++
	}
	ok := true
	if d.peek() == '0' {
		d.i++
	} else {
		ok = d.digits()
	}
	if d.peek() == '.' {
		d.i++
		ok = d.digits() && ok
	}
	if c := d.peek(); c == 'e' || c == 'E' {
		d.i++
		if c := d.peek(); c == '+' || c == '-' {
			d.i++
		}
		ok = d.digits() && ok
	}
	switch {
	case !ok:
		d.fail(ErrSyntax)
	case d.i-start > MaxNumber:
		d.fail(ErrTooLarge)
	}
	return d.err == nil
}

func (d *decoder) array() any {
	d.open()
	base := len(d.values)
	for first := true; d.next(']', first); first = false {
		v := d.value()
		d.values = push(d.values, v)
	}
	if d.err != nil {
		return nil
	}
	a := make([]any, len(d.values)-base)
	copy(a, d.values[base:])
	d.values = d.values[:base]
	d.depth--
	return a
}

func (d *decoder) object() any {
	d.open()
	base, keys := len(d.values), len(d.keys)
	for first := true; d.next('}', first); first = false {
		k := d.key()
		v := d.value()
		d.keys, d.values = push(d.keys, k), push(d.values, v)
	}
	if d.err != nil {
		return nil // a member that failed may have left keys behind
	}
	m := make(map[string]any, len(d.keys)-keys)
	for i, k := range d.keys[keys:] {
		m[k] = d.values[base+i]
	}
	d.keys, d.values = d.keys[:keys], d.values[:base]
	d.depth--
	return m
}

// open enters an array or object.
func (d *decoder) open() {
	if d.depth++; d.depth > d.Depth {
		d.fail(ErrTooLarge)
		return
	}
	d.i++
}

// key reads a key and the colon behind it.
func (d *decoder) key() string {
	if d.peek() != '"' {
		d.fail(ErrSyntax)
		return ""
	}
	k := d.text()
	d.blank()
	if d.peek() != ':' {
		d.fail(ErrSyntax)
		return ""
	}
	d.i++
	d.blank()
	return k
}

// push appends to a stack, which doubles when it is full: append's smaller steps
// would leave several times as much garbage behind.
func push[T any](stack []T, v T) []T {
	if len(stack) == cap(stack) {
		stack = append(make([]T, 0, max(16, 2*len(stack))), stack...)
	}
	return append(stack, v)
}

// next goes to the next member of an array or object; false is its end.
func (d *decoder) next(end byte, first bool) bool {
	d.blank()
	switch c := d.peek(); {
	case d.err != nil:
		return false
	case c == end:
		d.i++
		return false
	case first:
		return true
	case c != ',':
		d.fail(ErrSyntax)
		return false
	}
	d.i++
	d.blank()
	return true
}

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
		case c == '\\':
			b = utf8.AppendRune(b, d.escape())
		case c < ' ':
			d.fail(ErrSyntax)
		default:
			b = append(b, c)
		}
	}
	d.fail(ErrSyntax)
	return ""
}

// escape reads what stands behind a backslash.
func (d *decoder) escape() rune {
	e := d.peek()
	d.i++
	switch e {
	case '"', '\\', '/':
		return rune(e)
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'u':
		return d.unit()
	}
	d.fail(ErrSyntax)
	return 0
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
		digit := strings.IndexByte("0123456789abcdef", c|0x20)
		if digit < 0 || c < '0' {
			return -1
		}
		u = u<<4 | rune(digit) //nolint:gosec // of one digit
	}
	return u
}
