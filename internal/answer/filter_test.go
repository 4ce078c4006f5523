package answer

import (
	"testing"
	"unicode/utf8"
)

func TestFilters(t *testing.T) {
	for _, c := range []struct {
		names    []string
		in, want string
	}{
		{nil, "a\"$\\\n", "a\"$\\\n"},
		{[]string{"control"}, "a\r\nb\tc\x00d\x7fe\u0085f\u009fg\u2028h\u2029i\u00a0j", "a  b c d e f g h i\u00a0j"},
		{[]string{"expression"}, `x" & "1`, `x' & '1`},
		{[]string{"expression"}, `C:\`, `C:/`},
		{[]string{"dollar"}, "A$AP ${SHELL(id)}", "A＄AP ＄{SHELL(id)}"},
		{[]string{"control", "expression", "dollar"}, "\"$\"\n张三 😀 é", "'＄' 张三 😀 é"},
		{[]string{"dollar"}, "plain", "plain"},
		{[]string{"dollar"}, "", ""},
		{[]string{"dollar"}, "$", "＄"},
	} {
		f, err := newFilter(c.names)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.apply(c.in); got != c.want {
			t.Errorf("%v of %q: got %q, want %q", c.names, c.in, got, c.want)
		}
	}
}

// No filter writes what another replaces, so their order doesn't matter, and
// what has passed once passes again unchanged.
func TestFiltersDontFeedEachOther(t *testing.T) {
	for name, rule := range filters {
		found := 0
		for r := range rune(utf8.MaxRune + 1) {
			with, ok := rule(r)
			if !ok {
				continue
			}
			found++
			if with == "" {
				t.Errorf("%s drops %q: two texts would become one", name, r)
			}
			for other, rule := range filters {
				for _, r := range with {
					if _, ok := rule(r); ok {
						t.Errorf("%s writes %q, which %s replaces", name, r, other)
					}
				}
			}
		}
		if found == 0 {
			t.Errorf("%s replaces nothing", name)
		}
	}
}

func TestUnknownFilters(t *testing.T) {
	for _, names := range [][]string{{"quotes"}, {""}, {"dollar", "dollar"}} {
		if _, err := newFilter(names); err == nil {
			t.Errorf("%q is taken", names)
		}
	}
}
