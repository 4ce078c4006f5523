package jsonval

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"
)

// Encode appends v to dst as compact JSON, as gojq.Marshal writes it: keys in
// the order of their bytes, json.Number as spelled, NaN as null, infinities as
// the greatest number, <>& as they are (so not for use within HTML). v must be
// of the types that Decode gives, or int, float64 or *big.Int.
//
// Over the limits it is ErrTooLarge, with another type ErrNotJSON, and dst is
// given back as it came. Depth, nodes and bytes are counted on the way, so that
// neither a deep value nor a shared one can take the stack or the memory.
func Encode(dst []byte, v any, l Limits) ([]byte, error) {
	return encodeWith(dst, v, encoder{Limits: l.OrDefaults()})
}

// EncodeFinite is Encode for a value that somebody else acts on: NaN and
// infinities, which JSON can't write, are ErrNotJSON instead of another value.
func EncodeFinite(dst []byte, v any, l Limits) ([]byte, error) {
	return encodeWith(dst, v, encoder{Limits: l.OrDefaults(), finite: true})
}

// EncodeMetered is Encode for a value of any size: each value counts as a step.
func EncodeMetered(dst []byte, v any, l Limits, meter Meter) ([]byte, error) {
	return encodeWith(dst, v, encoder{Limits: l.OrDefaults(), meter: meter})
}

func encodeWith(dst []byte, v any, e encoder) ([]byte, error) {
	keys := keyLists.Get().(*[]string)
	e.b, e.start, e.keys = dst, len(dst), *keys
	e.value(v, 0)
	if cap(e.keys) <= maxKeysPooled {
		clear(e.keys[:cap(e.keys)])
		*keys = e.keys[:0]
		keyLists.Put(keys)
	}
	if e.err != nil {
		return dst, e.err
	}
	return e.b, nil
}

var errNotFinite = fmt.Errorf("%w: a number that JSON can't write (NaN or infinite)", ErrNotJSON)

// Text returns a string as it is, and a number or a boolean as JSON writes it. ok is
// false for everything else.
func Text(v any) (s string, ok bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	case int:
		return strconv.Itoa(v), true
	case *big.Int:
		return v.String(), true
	case float64:
		b, err := Encode(nil, v, Limits{})
		return string(b), err == nil
	}
	return "", false
}

// keyLists are for the keys of the objects that are being written.
var keyLists = sync.Pool{New: func() any {
	keys := make([]string, 0, 32)
	return &keys
}}

const maxKeysPooled = 1024

type encoder struct {
	Limits
	b     []byte
	start int
	nodes int
	keys  []string // of the objects that are being written
	meter Meter    // counts the nodes, if any
	err   error

	finite bool // NaN and infinities are errors
}

// full reports whether to stop, after n more nodes.
func (e *encoder) full(n int) bool {
	if e.nodes += n; e.err == nil && (e.nodes > e.Nodes || len(e.b)-e.start > e.Bytes) {
		e.err = ErrTooLarge
	}
	if e.meter != nil {
		e.meter.Step(n)
	}
	return e.err != nil
}

func (e *encoder) value(v any, depth int) {
	if e.full(1) {
		return
	}
	switch v := v.(type) {
	case nil:
		e.b = append(e.b, "null"...)
	case bool:
		e.b = strconv.AppendBool(e.b, v)
	case int:
		e.b = strconv.AppendInt(e.b, int64(v), 10)
	case float64:
		e.float(v)
	case *big.Int:
		e.b = v.Append(e.b, 10)
	case json.Number:
		e.b = append(e.b, v...)
	case string:
		e.text(v)
	case []any:
		if depth++; depth > e.Depth {
			e.err = ErrTooLarge
			return
		}
		e.b = append(e.b, '[')
		for i, x := range v {
			if i > 0 {
				e.b = append(e.b, ',')
			}
			if e.value(x, depth); e.err != nil {
				return
			}
		}
		e.b = append(e.b, ']')
	case map[string]any:
		if depth++; depth > e.Depth {
			e.err = ErrTooLarge
			return
		}
		e.object(v, depth)
	default:
		e.err = ErrNotJSON
	}
	e.full(0)
}

func (e *encoder) object(m map[string]any, depth int) {
	if e.nodes+len(m) > e.Nodes {
		e.err = ErrTooLarge
		return
	}
	base := len(e.keys)
	for k := range m {
		e.keys = append(e.keys, k)
	}
	end := len(e.keys)
	slices.Sort(e.keys[base:])
	e.b = append(e.b, '{')
	for i := base; i < end; i++ {
		if i > base {
			e.b = append(e.b, ',')
		}
		k := e.keys[i]
		e.text(k)
		e.b = append(e.b, ':')
		if e.value(m[k], depth); e.err != nil {
			return
		}
	}
	e.b = append(e.b, '}')
	e.keys = e.keys[:base]
}

// float writes like encoding/json: short exponents, no infinities.
func (e *encoder) float(f float64) {
	if e.finite && (math.IsNaN(f) || math.IsInf(f, 0)) {
		e.err = errNotFinite
		return
	}
	if math.IsNaN(f) {
		e.b = append(e.b, "null"...)
		return
	}
	f = min(max(f, -math.MaxFloat64), math.MaxFloat64)
	format := byte('f')
	if x := math.Abs(f); x != 0 && x < 1e-6 || x >= 1e21 {
		format = 'e'
	}
	e.b = strconv.AppendFloat(e.b, f, format, -1, 64)
	if n := len(e.b); format == 'e' && e.b[n-3] == '-' && e.b[n-2] == '0' { // e-09 is e-9
		e.b = append(e.b[:n-2], e.b[n-1])
	}
}

func (e *encoder) text(s string) {
	if len(e.b)-e.start+len(s) > e.Bytes {
		e.err = ErrTooLarge
		return
	}
	e.b = append(e.b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if ' ' <= c && c <= '~' && c != '"' && c != '\\' {
			i++
			continue
		}
		size, escape := 1, escapes[c]
		if c >= utf8.RuneSelf {
			var r rune
			if r, size = utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
			escape = `\ufffd`
		}
		e.b = append(e.b, s[start:i]...)
		e.b = append(e.b, escape...)
		i += size
		start = i
	}
	e.b = append(e.b, s[start:]...)
	e.b = append(e.b, '"')
}

// escapes holds those of ASCII.
var escapes = func() (t [256]string) {
	const hex = "0123456789abcdef"
	for c := range byte(' ') {
		t[c] = `\u00` + string(hex[c>>4]) + string(hex[c&15])
	}
	t[0x7f] = `\u007f`
	t['\b'], t['\f'], t['\n'], t['\r'], t['\t'] = `\b`, `\f`, `\n`, `\r`, `\t`
	t['"'], t['\\'] = `\"`, `\\`
	return t
}()
