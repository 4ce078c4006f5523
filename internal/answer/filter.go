package answer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

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
