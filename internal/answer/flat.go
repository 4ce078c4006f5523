package answer

import (
	"cmp"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

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
