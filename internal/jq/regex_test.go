package jq

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var patternSeeds = []string{
	``, `a`, `b`, `a*`, `a*?`, `a+`, `a?`, `.`, `.*`, `.+?`, `^`, `$`, `^a`, `a$`, `\A`, `\z`, `\b`, `\B`, `\bfoo\b`, `(?m)^`, `(?m)$`, `(?m)^.`, `(?m)a$`,
	`(a)(b)?`, `(?P<x>a)|(?P<y>b)`, `(?<x>\w)(?<y>\d)?`, `(a|ab)(c|bcd)`, `((a)*)*`, `(^|b)a`, `a|^`, `\s+`, `[^0-9]`, `[äö☆]+`, `☆`, `(?i)FOO`, `(?s).+`, `x*y*`, `a(?:)b`,
	`(a*)(b*)`, `(?:^a|b)c?`, `$a`, `a(.*b)?`, `,\s*`, `(\d+)-(\d+)`, `(?<name>[^=]+)=(?<value>.*)`, `\Ba\B`, `(?:\b)`, `()`, `(|a)+`, `(a|b)*?$`, `[[:alpha:]]+`, `\p{L}`,
}

var subjectSeeds = []string{
	"", "a", "b", "aaa", "abab", "foo bar foo", "FooBar", "a\nb\na", "\n\n", "ä☆ö a ☆☆", "☆a☆", "abcd", "12-34, 5-6", "name=value=x", "a b", " a  b ", "aXbxc", "äaä", "b\u0301a", "a,b, c", "日本語テキスト",
}

// regexProgram uses a pattern in all ways.
func regexProgram(pattern string) string {
	re := strconv.Quote(pattern)
	if strings.Contains(re, `\x`) || strings.Contains(re, `\a`) || strings.Contains(re, `\v`) || strings.Contains(re, `\U`) {
		return "." // not jq's escapes
	}
	var programs []string
	for _, flags := range []string{"", `; "g"`, `; "gim"`} {
		for _, f := range []string{"match", "test", "capture", "scan", "splits", "split"} {
			if f == "split" && flags == "" {
				continue
			}
			programs = append(programs, f+"("+re+flags+")")
		}
		programs = append(programs, `sub(`+re+`; "<\(.)>"`+flags+`)`, `gsub(`+re+`; "-"`+flags+`)`)
	}
	programs = append(programs, `sub(`+re+`; .x // "x", "y"; "g")`, `gsub(`+re+`; empty)`, `gsub(`+re+`; null)`,
		`gsub(`+re+`; if .x then "1", "2" else "3" end)`, `gsub(`+re+`; 1)`, `gsub(`+re+`; "\(.x)")`, `test([`+re+`, "i"])`, `match([`+re+`, "g"])`, `match(`+re+`; null)`)
	for i, src := range programs {
		programs[i] = `[try (` + src + `) catch "failed"]`
	}
	return strings.Join(programs, ", ")
}

func TestRegexDifferential(t *testing.T) {
	t.Parallel()
	inputs := []any{nil, 1, []any{"a"}}
	for _, s := range subjectSeeds {
		inputs = append(inputs, s)
	}
	for i, pattern := range patternSeeds {
		if i%slowdown == 0 {
			same(t, regexProgram(pattern), inputs)
		}
	}
}

func FuzzRegex(f *testing.F) {
	for i, pattern := range patternSeeds {
		f.Add(pattern, subjectSeeds[i%len(subjectSeeds)])
	}
	f.Fuzz(func(t *testing.T, pattern, subject string) {
		if len(pattern) > 60 || len(subject) > 200 || !utf8.ValidString(pattern) || !utf8.ValidString(subject) {
			return
		}
		if _, err := newPattern(pattern, ""); err != nil {
			return
		}
		same(t, regexProgram(pattern), []any{subject})
	})
}

// Strings of 50 KB and more go through gsub in time, and what is beyond it ends.
func TestRegexCost(t *testing.T) {
	t.Parallel()
	letters := strings.Repeat("a", 200_000)
	tests := []struct {
		src, in string
		err     error
	}{
		{`gsub("[^0-9]+"; "")`, letters, nil},
		{`gsub("[^0-9]"; "")`, letters[:90_000], nil},
		{`gsub("[^0-9]"; "")`, letters, ErrTooLarge},    // matches
		{`test("b")`, letters + letters + letters, nil}, // 600 KB
		{`test("b")`, strings.Repeat("a", 1<<20+1), ErrTooLarge},
		{`test("(((a{1,10}){1,10}){1,10})b")`, letters, ErrTooLarge},
		{`gsub("a"; "\("x" * 1000)")`, letters[:20_000], ErrTooLarge},
		{`[gsub("a"; "x" * 1000, "y" * 1000)]`, letters[:5_000], ErrTooLarge},
		{`[match("a"; "g")] | length`, letters[:90_000], nil},
		{`[match("(a)(a)(a)(a)(a)(a)(a)(a)"; "g")] | length`, letters, ErrTooLarge}, // memory
	}
	for _, tt := range tests {
		p := compile(t, tt.src, Spec{})
		start := time.Now()
		_, err := p.Run(t.Context(), tt.in)
		if !errors.Is(err, tt.err) && !errors.Is(err, ErrDeadline) {
			t.Errorf("%s: %v, want %v", tt.src, err, tt.err)
		}
		if took := time.Since(start); took > time.Second*slowdown {
			t.Errorf("%s took %v", tt.src, took)
		}
	}
}
