package program

import "testing"

func TestOutdent(t *testing.T) {
	for src, want := range map[string]string{
		"":                                  "",
		".a":                                ".a",
		"{\n\t\t\ta: 1,\n\t\t\tb: 2\n\t\t}": "{\n\ta: 1,\n\tb: 2\n}",
		"{\n\t\ta: 1,\n\n\t\t  # one\n\t\tb: 2\n\t\t}": "{\na: 1,\n\n  # one\nb: 2\n}",
		"{\n  a: 1\n\tb: 2}":                           "{\n  a: 1\n\tb: 2}",
		"{\n\t\ta: \"x\n\t\ty\"\n\t\t}":                "{\n\t\ta: \"x\n\t\ty\"\n\t\t}",
		"{\n\t\ta: \"\\\"\"\n\t\t}":                    "{\na: \"\\\"\"\n}",
		"    .a\n    | .b":                             "    .a\n| .b",
	} {
		if got := Outdent(src); got != want {
			t.Errorf("%q: %q, want %q", src, got, want)
		}
	}
}
