package answer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

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

// A filter of the configuration: characters that a phone system's language
// would evaluate, and what is written in their place. No replacement is a
// character that another filter replaces, so their order doesn't matter.
var filters = map[string]func(rune) (with string, found bool){
	// What could end a line, or reach a terminal or a SIP header as a command,
	// becomes a blank: C0, DEL, C1 and Unicode's line and paragraph separators.
	"control": func(r rune) (string, bool) {
		return " ", r < ' ' || r >= 0x7f && r <= 0x9f || r == '\u2028' || r == '\u2029'
	},
	// Asterisk's $["${NAME}" = "x"]: a quote in the value ends the string and
	// what follows is read as operators. It becomes an apostrophe, which is no
	// quote to Asterisk and reads the same to an agent. A backslash could take
	// the closing quote's meaning away, and becomes a slash.
	"expression": func(r rune) (string, bool) {
		switch r {
		case '"':
			return "'", true
		case '\\':
			return "/", true
		}
		return "", false
	},
	// $ begins a variable in Kamailio, Asterisk and FreeSWITCH. It becomes the
	// fullwidth dollar sign, which people read as one and programs don't.
	"dollar": func(r rune) (string, bool) { return "\uff04", r == '$' },
}

// Filters returns the names of the filters, sorted.
func Filters() []string { return slices.Sorted(maps.Keys(filters)) }

// filter replaces characters. The nil filter replaces none.
type filter struct {
	ascii [utf8.RuneSelf]string
	rules []func(rune) (string, bool) // for what is no ASCII
}

func newFilter(names []string) (*filter, error) {
	if len(names) == 0 {
		return nil, nil
	}
	f := new(filter)
	for i, name := range names {
		rule, ok := filters[name]
		if !ok {
			return nil, fmt.Errorf("filter %q is unknown; there are %s", name, strings.Join(Filters(), ", "))
		}
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("filter %s is written twice", name)
		}
		f.rules = append(f.rules, rule)
		for r := range rune(utf8.RuneSelf) {
			if with, found := rule(r); found {
				f.ascii[r] = with
			}
		}
	}
	return f, nil
}

// apply returns s with its characters replaced: s itself, when there are none
// to replace.
func (f *filter) apply(s string) string {
	if f == nil {
		return s
	}
	var b []byte
	start := 0
	for i := 0; i < len(s); {
		with, size := f.replacement(s[i:])
		if with != "" {
			b = append(append(b, s[start:i]...), with...)
			start = i + size
		}
		i += size
	}
	if start == 0 {
		return s
	}
	return string(append(b, s[start:]...))
}

// replacement is what stands in for the first character of s, "" for itself, and
// how long that is.
func (f *filter) replacement(s string) (with string, size int) {
	if c := s[0]; c < utf8.RuneSelf {
		return f.ascii[c], 1
	}
	r, size := utf8.DecodeRuneInString(s)
	return f.beyondASCII(r), size
}

func (f *filter) beyondASCII(r rune) string {
	for _, rule := range f.rules {
		if with, found := rule(r); found {
			return with
		}
	}
	return ""
}
