package jq

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// Regular expressions. gojq's take quadratic time (each match counts characters
// from the start of the text), hold the clock all that while, and keep every
// pattern for ever. Ours are literals in the program,
// compiled with it, and look for one match after the other under the run's clock.
// Matches, offsets and flags are gojq's.

const (
	maxSearch  = 1 << 20  // bytes of text to look in
	maxCost    = 32 << 20 // bytes of text × instructions of the pattern
	maxMatches = 100_000
)

// A pattern is a regular expression with its flags.
type pattern struct {
	re     *regexp.Regexp
	later  *regexp.Regexp // the same behind a first character, see next
	names  []string       // of the groups, from 1
	named  bool
	global bool
	cost   int
}

// newPattern compiles a pattern; flags are g (all matches), i (any case) and m
// (a dot matches line breaks), those that gojq knows.
func newPattern(expr, flags string) (*pattern, error) {
	if i := strings.IndexFunc(flags, func(f rune) bool { return !strings.ContainsRune("gim", f) }); i >= 0 {
		return nil, fault("regular expressions have the flags g, i and m, not " + flags[i:])
	}
	p := &pattern{global: strings.Contains(flags, "g")}
	prefix := ""
	if strings.Contains(flags, "i") {
		prefix = "(?i)"
	}
	if strings.Contains(flags, "m") {
		prefix += "(?s)"
	}
	tree, err := syntax.Parse(prefix+expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, err
	}
	if p.re, err = regexp.Compile(prefix + expr); err != nil {
		return nil, err
	}
	p.cost = len(prog.Inst)
	p.names = p.re.SubexpNames()[1:]
	p.named = strings.Join(p.names, "") != ""
	if looksBack(tree) {
		// (?s:.*?) finds the leftmost match, as an unanchored search does.
		if p.later, err = regexp.Compile(`\A(?s:.)(?s:.*?)(` + prefix + expr + `)`); err != nil {
			return nil, err
		}
		p.cost += 4
	}
	return p, nil
}

// looksBack reports whether a match can depend on what is before it.
func looksBack(tree *syntax.Regexp) bool {
	switch tree.Op {
	case syntax.OpBeginLine, syntax.OpBeginText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return true
	}
	return slices.ContainsFunc(tree.Sub, looksBack)
}

// next finds the first match at or after at, as pairs of byte offsets.
func (p *pattern) next(s string, at int) []int {
	switch {
	case at == 0:
		return p.re.FindStringSubmatchIndex(s)
	case p.later == nil:
		return shifted(p.re.FindStringSubmatchIndex(s[at:]), at)
	}
	_, size := utf8.DecodeLastRuneInString(s[:at])
	m := p.later.FindStringSubmatchIndex(s[at-size:])
	if m == nil {
		return nil
	}
	return shifted(m[2:], at-size)
}

func shifted(m []int, by int) []int {
	for i := range m {
		if m[i] >= 0 {
			m[i] += by
		}
	}
	return m
}

// haystack is v as a text that one search may go through: a search does not look
// at the clock.
func (r *run) haystack(v any, p *pattern) (string, any) {
	s, ok := v.(string)
	if !ok {
		return "", fault("regular expressions need a string")
	}
	within(len(s), maxSearch)
	within(len(s)*p.cost, maxCost)
	return s, nil
}

// find gives the matches of a pattern in v. An empty match may stand right
// behind another match, as in jq.
func (r *run) find(v any, p *pattern, all bool) (s string, matches [][]int, err any) {
	if s, err = r.haystack(v, p); err != nil {
		return "", nil, err
	}
	for at := 0; at <= len(s); {
		m := p.next(s, at)
		if m == nil {
			break
		}
		r.step(pace) // a search can read all the rest for a short match
		matches = append(matches, m)
		within(len(matches), maxMatches)
		if !all {
			break
		}
		if at = m[1]; m[0] == m[1] {
			_, size := utf8.DecodeRuneInString(s[at:])
			at += max(size, 1)
		}
	}
	r.spend(len(matches) * 16 * (p.re.NumSubexp() + 2))
	return s, matches, nil
}

// group is the text of a match's group; null when it took no part.
func group(s string, m []int, i int) any {
	if m[2*i] < 0 {
		return nil
	}
	return s[m[2*i]:m[2*i+1]]
}

func (r *run) pattern(args []any) *pattern { return r.patterns[args[0].(int)] }

// onMatches is a function of the matches of a pattern, all of them or as many as its
// flags say.
func onMatches(all bool, f func(r *run, p *pattern, s string, matches [][]int) any) native {
	return native{args: 1, call: func(r *run, v any, args []any) any {
		p := r.pattern(args)
		s, matches, err := r.find(v, p, all || p.global)
		if err != nil {
			return err
		}
		return f(r, p, s, matches)
	}}
}

func test(r *run, v any, args []any) any {
	p := r.pattern(args)
	s, err := r.haystack(v, p)
	if err != nil {
		return err
	}
	r.step(1 + len(s)*p.cost>>10)
	return p.re.MatchString(s)
}

// match gives an array of what match yields; its offsets count characters.
func match(r *run, p *pattern, s string, matches [][]int) any {
	r.spend(600 * len(matches) * (1 + len(p.names)))
	out := make([]any, len(matches))
	at, runes := 0, 0
	for i, m := range matches {
		runes += utf8.RuneCountInString(s[at:m[0]])
		at = m[0]
		captures := make([]any, len(p.names))
		for j, name := range p.names {
			c := map[string]any{"name": nil, "offset": -1, "length": 0, "string": nil}
			if name != "" {
				c["name"] = name
			}
			if from, to := m[2*j+2], m[2*j+3]; from >= 0 {
				c["offset"] = runes + utf8.RuneCountInString(s[at:from])
				c["length"] = utf8.RuneCountInString(s[from:to])
				c["string"] = s[from:to]
			}
			captures[j] = c
		}
		out[i] = map[string]any{
			"offset": runes, "length": utf8.RuneCountInString(s[m[0]:m[1]]), "string": s[m[0]:m[1]],
			"captures": captures,
		}
		r.step(1)
	}
	return out
}

// object holds the named groups of a match.
func (p *pattern) object(s string, m []int) any {
	o := make(map[string]any, len(p.names))
	for i, name := range p.names {
		if name != "" {
			o[name] = group(s, m, i+1)
		}
	}
	return o
}

// objects are those of several matches. Without named groups they are one.
func (r *run) objects(p *pattern, s string, matches [][]int) []any {
	out := make([]any, len(matches))
	if !p.named {
		var empty any = map[string]any{}
		for i := range out {
			out[i] = empty
		}
		return out
	}
	r.spend(300 * len(matches) * len(p.names))
	for i, m := range matches {
		out[i] = p.object(s, m)
	}
	return out
}

func capture(r *run, p *pattern, s string, matches [][]int) any {
	return r.objects(p, s, matches)
}

func scan(r *run, p *pattern, s string, matches [][]int) any {
	r.spend(16 * len(matches) * (2 + 2*len(p.names)))
	out := make([]any, len(matches))
	for i, m := range matches {
		if len(p.names) == 0 {
			out[i] = s[m[0]:m[1]]
			continue
		}
		groups := make([]any, len(p.names))
		for j := range groups {
			groups[j] = group(s, m, j+1)
		}
		out[i] = groups
	}
	return out
}

func splits(_ *run, _ *pattern, s string, matches [][]int) any {
	out := make([]any, 0, len(matches)+1)
	at := 0
	for _, m := range matches {
		out = append(out, s[at:m[0]])
		at = m[1]
	}
	return append(out, s[at:])
}

// A cut is a text with the matches that sub will replace.
type cut struct {
	s       string
	matches [][]int
}

// sub gives the captures that the replacement is made of, and the cut.
func sub(r *run, p *pattern, s string, matches [][]int) any {
	return []any{r.objects(p, s, matches), &cut{s, matches}}
}

// splice gives the texts with the replacements args[1], an array for each match.
// A replacement that yields several values makes several texts, as in gojq.
func splice(r *run, _ any, args []any) any {
	c, ok := args[0].(*cut)
	values, ok2 := args[1].([]any)
	if !ok || !ok2 || len(values) != len(c.matches) {
		return fault("sub lost its matches")
	}
	var texts [][]byte
	at, size := 0, 0
	for i, m := range c.matches {
		list, _ := values[i].([]any)
		for j, v := range list {
			s, ok := v.(string)
			if !ok && v != nil {
				return fault("sub needs a string to put in")
			}
			if j == len(texts) {
				texts = append(texts, nil)
			}
			size += m[0] - at + len(s)
			within(size, maxText)
			texts[j] = append(append(texts[j], c.s[at:m[0]]...), s...)
		}
		at = m[1]
		r.step(1)
	}
	if len(texts) == 0 {
		return []any{c.s}
	}
	out := make([]any, len(texts))
	for i := range texts {
		size += len(c.s) - at
		within(size, maxText)
		out[i] = string(append(texts[i], c.s[at:]...))
	}
	r.spend(size)
	return out
}
