package answer

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// Bounds of what is written. Handlers have tighter ones of their own: max_size
// of an API's answer (64 MiB at most), and what the phone system takes.
const (
	maxBytes = 64 << 20
	maxFlat  = 16 << 20 // names of deep values are long
	maxDepth = 1000
)

// ErrNotOneValue says that a document can't be text, which is a single value.
var ErrNotOneValue = errors.New("answer: not one value")

// Format is how an answer is written.
type Format uint8

// The formats. All of them are one line of UTF-8 without a byte order mark.
const (
	// JSON is compact, keys sorted, numbers as they came.
	JSON Format = iota
	// Flat is a JSON object of one level whose values are all strings: a.b
	// becomes a_b, an array list_1 … list_n and list_count, booleans true and
	// false, numbers as written, null "". A document that is no object is
	// called value (or value_1 … value_count).
	Flat
	// Form is the pairs of Flat as application/x-www-form-urlencoded, sorted,
	// with %20 for a blank: phone systems don't all know +.
	Form
	// Text is one value: a document that is no object or array, or the only
	// key of an object beside _status and _age. Line breaks become blanks.
	Text
)

var formats = []struct{ name, contentType string }{
	JSON: {"json", "application/json"},
	Flat: {"flat", "application/json"},
	Form: {"form", "application/x-www-form-urlencoded"},
	Text: {"text", "text/plain; charset=utf-8"},
}

// ParseFormat returns the format with a name of the configuration.
func ParseFormat(s string) (Format, error) {
	for f, format := range formats {
		if format.name == s {
			return Format(f), nil
		}
	}
	return JSON, fmt.Errorf("unknown format %q: want json, flat, form or text", s)
}

// String is the name in the configuration.
func (f Format) String() string { return formats[f].name }

// ContentType is the Content-Type of an answer in the format.
func (f Format) ContentType() string { return formats[f].contentType }

// Append appends doc to dst in the format. doc is of the types that jq works
// with. Errors are ErrCollision (flat and form), ErrNotOneValue (text),
// jsonval.ErrTooLarge and jsonval.ErrNotJSON (a value of another type); dst then comes
// back as it was.
func (f Format) Append(dst []byte, doc any) ([]byte, error) {
	return plain[f].Append(dst, doc)
}

// plain are the formats without a phone system.
var plain = [...]Style{JSON: {Format: JSON}, Flat: {Format: Flat}, Form: {Format: Form}, Text: {Format: Text}}

func (s *Style) appendFlat(dst []byte, doc any) ([]byte, error) {
	pairs, err := s.flatten(doc)
	if err != nil {
		return dst, err
	}
	out := append(dst, '{')
	for i, p := range pairs {
		if i > 0 {
			out = append(out, ',')
		}
		if out, err = jsonval.Encode(out, p.key, jsonval.Limits{Bytes: maxBytes}); err != nil {
			return dst, err
		}
		out = append(out, ':')
		if out, err = jsonval.Encode(out, p.value, jsonval.Limits{Bytes: maxBytes}); err != nil {
			return dst, err
		}
	}
	return append(out, '}'), nil
}

func (s *Style) appendForm(dst []byte, doc any) ([]byte, error) {
	pairs, err := s.flatten(doc)
	if err != nil {
		return dst, err
	}
	for i, p := range pairs {
		if i > 0 {
			dst = append(dst, '&')
		}
		dst = appendEscaped(dst, p.key)
		dst = append(dst, '=')
		dst = appendEscaped(dst, p.value)
	}
	return dst, nil
}

// appendEscaped percent-encodes all but the unreserved of RFC 3986.
func appendEscaped(dst []byte, s string) []byte {
	return append(dst, strings.ReplaceAll(url.QueryEscape(s), "+", "%20")...)
}

func (s *Style) appendText(dst []byte, doc any) ([]byte, error) {
	if object, ok := doc.(map[string]any); ok {
		if doc, ok = only(object); !ok {
			return dst, ErrNotOneValue
		}
	}
	value, ok := scalar(doc)
	if !ok {
		return dst, ErrNotOneValue
	}
	if len(value) > maxBytes {
		return dst, jsonval.ErrTooLarge
	}
	value, err := s.text(oneLine.Replace(value))
	if err != nil {
		return dst, err
	}
	return append(dst, value...), nil
}

// only returns the one value of an object that isn't about the call.
func only(object map[string]any) (value any, ok bool) {
	for key, v := range object {
		if slices.Contains(aboutCall, key) {
			continue
		}
		if ok {
			return nil, false
		}
		value, ok = v, true
	}
	return value, ok
}

var aboutCall = []string{"_status", "_age"}

// oneLine replaces what anything could take for the end of a line.
var oneLine = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ", "\v", " ", "\f", " ", "\u0085", " ", "\u2028", " ", "\u2029", " ")

// isNull reports whether v is null. Programs can compute a NaN, which JSON
// writes as null.
func isNull(v any) bool {
	f, ok := v.(float64)
	return v == nil || ok && math.IsNaN(f)
}

// scalar returns what is no array and no object as a string: numbers as they
// are written, null as "". Invalid UTF-8 becomes U+FFFD.
func scalar(v any) (s string, ok bool) {
	if s, isString := v.(string); isString {
		return strings.ToValidUTF8(s, "\uFFFD"), true
	}
	if isNull(v) {
		return "", true
	}
	return jsonval.Text(v)
}

// ErrCollision says that two values of a document have the same flat key, as
// in {"a_b": 1, "a": {"b": 2}}. Dropping one would be a guess.
var ErrCollision = errors.New("answer: two values for one flat key")

type pair struct{ key, value string }

// flatten returns the values of a document as pairs of strings, sorted by key.
// a.b becomes a_b, an array list_1 … list_n and list_count. An empty object is
// "", so that a key of the contract never vanishes. A document that is no
// object is called value. Keys are compared after the filter.
func (s *Style) flatten(doc any) ([]pair, error) {
	f := flattener{style: s, pairs: make([]pair, 0, 16)}
	object, ok := doc.(map[string]any)
	if !ok {
		f.add("value", doc, 0)
	}
	for key, value := range object {
		f.add(key, value, 1)
	}
	if f.err != nil {
		return nil, f.err
	}
	slices.SortFunc(f.pairs, func(a, b pair) int { return cmp.Compare(a.key, b.key) })
	for i := 1; i < len(f.pairs); i++ {
		if f.pairs[i].key == f.pairs[i-1].key {
			return nil, ErrCollision
		}
	}
	return f.pairs, nil
}

type flattener struct {
	style   *Style
	pairs   []pair
	bytes   int // of all names and values on the way
	written int // of those that are in the answer
	err     error
}

// add counts bytes and depth on the way: results of programs share parts, and
// a small one can be long when written out.
func (f *flattener) add(key string, v any, depth int) {
	if f.err != nil {
		return
	}
	if f.bytes += len(key) + 1; f.bytes > maxFlat || depth > maxDepth {
		f.err = jsonval.ErrTooLarge
		return
	}
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			f.add(key+"_"+name, value, depth+1)
		}
		if len(v) == 0 {
			f.put(key, "")
		}
	case []any:
		for i, value := range v {
			f.add(key+"_"+strconv.Itoa(i+1), value, depth+1)
		}
		f.put(key+"_count", strconv.Itoa(len(v)))
	default:
		s, ok := scalar(v)
		if !ok {
			f.err = jsonval.ErrNotJSON
			return
		}
		f.put(key, s)
	}
}

func (f *flattener) put(key, value string) {
	key, _ = scalar(key)
	key = f.style.filter.apply(key)
	value, err := f.style.text(value)
	if err != nil {
		f.err = err
		return
	}
	f.bytes += len(value)
	f.written += len(key) + len(value)
	if f.bytes > maxFlat || f.written > f.style.limit(maxFlat) {
		f.err = jsonval.ErrTooLarge
		return
	}
	f.pairs = append(f.pairs, pair{key, value})
}
