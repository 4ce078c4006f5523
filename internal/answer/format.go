package answer

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
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

// Style is how the answers of one route are written: a format, and what a
// phone system can't take. The zero Style is JSON without a limit. It is
// immutable and safe for concurrent use; a copy with another Format is another
// Style.
type Style struct {
	Format Format

	// Limit is the most bytes of an answer, 0 for no limit of its own.
	Limit int

	// FieldLimit is the most bytes of one string after the filter, 0 for none.
	// A longer one makes the whole answer jsonval.ErrTooLarge: half of a value would
	// be another value.
	FieldLimit int

	// NoNull writes "" where JSON has null, at every depth.
	NoNull bool

	// Object writes a JSON answer that is no object as {"value": …}, the name
	// that Flat gives it.
	Object bool

	system string // whose style it is, for messages
	filter *filter
}

// In is the style in another format. What is for JSON alone falls away.
func (s *Style) In(format Format) Style {
	other := *s
	other.Format = format
	if format != JSON {
		other.NoNull, other.Object = false, false
	}
	return other
}

// Errors is the style of an error message: JSON, through the same filter and
// within the same limits.
func (s *Style) Errors() Style {
	return Style{Format: JSON, Limit: s.Limit, FieldLimit: s.FieldLimit, system: s.system, filter: s.filter}
}

// ContentType is the Content-Type of the answers.
func (s *Style) ContentType() string { return s.Format.ContentType() }

// Append appends doc to dst. Strings and keys pass the filter first. Errors are
// those of [Format.Append]; over a limit it is jsonval.ErrTooLarge, never a cut
// answer. dst then comes back as it was.
func (s *Style) Append(dst []byte, doc any) ([]byte, error) {
	out, err := s.write(dst, doc)
	if err != nil {
		return dst, err
	}
	if s.Limit > 0 && len(out)-len(dst) > s.Limit {
		return dst, jsonval.ErrTooLarge
	}
	return out, nil
}

func (s *Style) write(dst []byte, doc any) ([]byte, error) {
	switch s.Format {
	case Flat:
		return s.appendFlat(dst, doc)
	case Form:
		return s.appendForm(dst, doc)
	case Text:
		return s.appendText(dst, doc)
	default:
		doc, err := s.shape(doc)
		if err != nil {
			return dst, err
		}
		return jsonval.Encode(dst, doc, jsonval.Limits{Bytes: s.limit(maxBytes), Depth: maxDepth})
	}
}

// limit is what an answer may have, at most general bytes.
func (s *Style) limit(general int) int { return min(cmp.Or(s.Limit, general), general) }

// text returns a string as it is written.
func (s *Style) text(value string) (string, error) {
	value = s.filter.apply(value)
	if s.FieldLimit > 0 && len(value) > s.FieldLimit {
		return "", jsonval.ErrTooLarge
	}
	return value, nil
}

// maxValues is the most values of a JSON answer that is shaped, as many as
// jsonval.Encode would write.
const maxValues = 1_000_000

// shape returns doc as a JSON answer has it: filtered, without null, an object.
// A style that asks for none of it gets doc itself.
func (s *Style) shape(doc any) (any, error) {
	if _, ok := doc.(map[string]any); s.Object && !ok {
		doc = map[string]any{"value": doc}
	}
	if s.filter == nil && s.FieldLimit == 0 && !s.NoNull {
		return doc, nil
	}
	// A value takes a byte at least. Results of programs share parts: counted,
	// a small one can't become a long copy.
	h := shaper{style: s, left: s.limit(maxValues)}
	return h.value(doc, 0)
}

type shaper struct {
	style *Style
	left  int
}

func (h *shaper) value(v any, depth int) (any, error) {
	if h.left--; h.left < 0 || depth > maxDepth {
		return nil, jsonval.ErrTooLarge
	}
	switch v := v.(type) {
	case string:
		return h.style.text(v)
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			var err error
			if out[i], err = h.value(value, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			key := h.style.filter.apply(key)
			if _, ok := out[key]; ok {
				return nil, ErrCollision
			}
			var err error
			if out[key], err = h.value(value, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	if h.style.NoNull && isNull(v) {
		return "", nil
	}
	return v, nil
}
