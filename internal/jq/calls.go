package jq

import (
	"errors"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

// call resolves the call, or the variable, that t is.
func (w *rewriter) call(t *gojq.Term) {
	f := t.Func
	if name, isVar := strings.CutPrefix(f.Name, "$"); isVar {
		w.variable(name)
		return
	}
	if w.trusted {
		w.callInPrelude(t)
		return
	}
	name := arity(f.Name, len(f.Args))
	if b := w.funcs.find(name); b != nil {
		if b.unit != nil {
			w.unit.calls[b.unit] = true
		}
		w.args(f)
		return
	}
	switch builtins[name].how {
	case plainly:
		w.args(f)
	case posted:
		w.args(f)
		before := *t
		*t = *paren(pipe(&gojq.Query{Term: &before}, w.native("post"))).Term
	case natively, defined:
		w.literalArgs(f)
		w.args(f)
		*t = *w.ourCall(f.Name, f.Args...).Term
	case specially:
		w.special(t, name)
	case refused:
		w.mistake(f.Name, name+" is off", refusals[f.Name])
	default:
		w.mistake(f.Name, noFunction(f.Name, len(f.Args)), "")
	}
}

// noFunction says what is wrong with a call that no function has: the name, or how many
// arguments it gives.
func noFunction(name string, args int) string {
	var counts []string
	for n, word := range []string{"no", "one", "two", "three", "four"} {
		if how := builtins[arity(name, n)].how; how != unknown && how != refused {
			counts = append(counts, word)
		}
	}
	last := len(counts) - 1
	if last < 0 {
		return "there is no function " + arity(name, args)
	}
	takes := counts[last] + " arguments"
	if counts[last] == "one" {
		takes = "one argument"
	}
	if last > 0 {
		takes = strings.Join(counts[:last], ", ") + " or " + takes
	}
	if takes == "no arguments" {
		takes += "; what it works on stands before it: `… | " + name + "`"
	}
	if named := parameters[name]; named != "" {
		takes += ": " + named
	}
	return name + " takes " + takes
}

// parameters are the arguments of the functions that jq does not have.
var parameters = map[string]string{
	"digest": "algorithm; encoding",
	"hmac":   "algorithm; key; encoding of the key; encoding",
	"sign":   "algorithm; key; encoding",
	"jwt":    "algorithm; key; header",
	"date":   "layout; time zone",
	"e164":   "region",
}

var refusals = map[string]string{
	"env": "a program does not see the environment; use a credential",
}

func (w *rewriter) args(f *gojq.Func) {
	for _, arg := range f.Args {
		w.query(arg)
	}
}

func (w *rewriter) callInPrelude(t *gojq.Term) {
	f := t.Func
	w.args(f)
	if name, ok := ours(f.Name); ok {
		*t = *w.ourCall(name, f.Args...).Term
	}
}

// literalArgs finds mistakes in arguments that are literals.
func (w *rewriter) literalArgs(f *gojq.Func) {
	for i, arg := range f.Args {
		if s, ok := literalString(arg); ok && s != "" {
			if err := check(natives[f.Name].valid, i, s); err != "" {
				w.mistake(f.Name, string(err), "")
			}
		}
	}
}

// special rewrites the builtins that take a pattern, a format or a path.
func (w *rewriter) special(t *gojq.Term, name string) {
	f := t.Func
	switch f.Name {
	case "getpath":
		w.args(f)
		f.Args[0] = pipe(f.Args[0], w.native("steps"))
		return
	case "format":
		s, ok := literalString(f.Args[0])
		if !ok {
			w.mistake(f.Name, "format needs a literal", "")
		}
		*t = gojq.Term{Type: gojq.TermTypeFormat, Format: "@" + s}
		w.format(t)
		return
	case "sub", "gsub":
		i := w.regex(f, 2)
		w.query(f.Args[1])
		*t = w.substitution(i, f.Args[1])
		return
	}
	i := w.regex(f, 1)
	switch name {
	case "test/1", "test/2":
		*t = *w.native("test", i).Term
	case "split/2":
		*t = *w.native("splits", i).Term
	default: // several results; in parentheses, so that a ? means all of it
		list := w.native(f.Name, i)
		list.Term.SuffixList = []*gojq.Suffix{{Iter: true}}
		*t = *paren(list).Term
	}
}

// substitution makes `sub(i) as [$captures, $cut] | splice($cut; [$captures[] | [str]])[]`.
func (w *rewriter) substitution(i, str *gojq.Query) gojq.Term {
	captures, cut := inner("captures"), inner("cut")
	each := variable(captures)
	each.Term.SuffixList = []*gojq.Suffix{{Iter: true}}
	array := func(q *gojq.Query) *gojq.Query {
		return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeArray, Array: &gojq.Array{Query: q}}}
	}
	texts := w.native("splice", variable(cut), array(pipe(each, array(str))))
	texts.Term.SuffixList = []*gojq.Suffix{{Iter: true}}
	return *paren(&gojq.Query{
		Left: w.native("sub", i), Op: gojq.OpPipe, Right: texts,
		Patterns: []*gojq.Pattern{{Array: []*gojq.Pattern{{Name: "$" + captures}, {Name: "$" + cut}}}},
	}).Term
}

// regex compiles the pattern of a call and gives its number as a query. Its flags
// are the argument at index flags.
func (w *rewriter) regex(f *gojq.Func, flags int) *gojq.Query {
	first, second := f.Args[0], (*gojq.Query)(nil)
	list := literalList(first)
	if len(list) == 2 && len(f.Args) == 1 && slices.Contains([]string{"test", "match", "capture"}, f.Name) {
		first, second = list[0], list[1] // test(["re", "flags"])
	} else if len(f.Args) > flags {
		second = f.Args[flags]
	}
	expr, ok := literalString(first)
	flag, ok2 := literalString(second)
	ok = ok && (ok2 || second == nil || literal(second) && second.Term.Type == gojq.TermTypeNull)
	if !ok {
		w.mistake(f.Name, "regular expressions and their flags must be string literals without \\(…)", "")
	}
	if f.Name == "gsub" || f.Name == "scan" {
		flag += "g"
	}
	p, err := newPattern(expr, flag)
	if err != nil {
		reason := err.Error()
		if e, ok := errors.AsType[*syntax.Error](err); ok {
			reason = "invalid regular expression: " + e.Code.String()
		}
		w.mistake(f.Name, reason, "")
	}
	*w.patterns = append(*w.patterns, p)
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeNumber, Number: arity("", len(*w.patterns)-1)[1:]}}
}

// literalString is the text of a string literal.
func literalString(q *gojq.Query) (string, bool) {
	if !literal(q) {
		return "", false
	}
	switch q.Term.Type {
	case gojq.TermTypeString:
		return q.Term.Str.Str, true
	case gojq.TermTypeQuery:
		return literalString(q.Term.Query)
	}
	return "", false
}

// literalList gives the elements of an array constructor with commas.
func literalList(q *gojq.Query) (list []*gojq.Query) {
	if q.Term == nil || q.Term.Type != gojq.TermTypeArray || len(q.Term.SuffixList) > 0 {
		return nil
	}
	for q = q.Term.Array.Query; q != nil && q.Op == gojq.OpComma; q = q.Left {
		list = append([]*gojq.Query{q.Right}, list...)
	}
	return append([]*gojq.Query{q}, list...)
}
