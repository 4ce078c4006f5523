package jq

import (
	"maps"
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

// PipedInto are the names of the input's members whose values go through the
// function, which is named with its arity, as in "e164/1": of
// `{tel: (.tel | e164("CN"))}` that is tel. Sorted. It follows pipes, variables
// and the program's own definitions. A call that ends in `// error(…)` doesn't
// count: nothing goes on where the function has no result.
func (p *Program) PipedInto(function string) []string {
	t := tracer{function: function, found: map[string]bool{}, left: new(maxTraced)}
	t.define(p.define).query(p.written, origin{root: true})
	return slices.Sorted(maps.Keys(t.found))
}

// An origin says which parts of the input a value can come from.
type origin struct {
	root  bool // it can be the input itself
	names []string
}

func (o origin) and(other origin) origin {
	return origin{o.root || other.root, append(slices.Clip(o.names), other.names...)}
}

func (o origin) member(name string) origin {
	if o.root {
		o.names = append(slices.Clip(o.names), name)
	}
	return origin{names: o.names}
}

// A tracer follows values from the input to calls of a function.
type tracer struct {
	function string
	found    map[string]bool
	defs     []*gojq.FuncDef // in scope, the last ones first
	vars     *traced
	left     *int // steps until it gives up: definitions can call each other many times
}

const maxTraced = 10_000

// traced is a variable in scope, or an argument of a definition, as "name/0".
type traced struct {
	name string
	origin
	up *traced
}

func (v *traced) find(name string) *traced {
	for ; v != nil && v.name != name; v = v.up {
		continue
	}
	return v
}

func (t tracer) define(defs []*gojq.FuncDef) tracer {
	for _, def := range defs {
		t.defs = append([]*gojq.FuncDef{def}, t.defs...)
	}
	return t
}

func (t tracer) bind(name string, o origin) tracer {
	t.vars = &traced{name, o, t.vars}
	return t
}

// with binds the variables of a pattern.
func (t tracer) with(p *gojq.Pattern, o origin) tracer {
	if p.Name != "" {
		t = t.bind(p.Name, o)
	}
	for _, e := range p.Object {
		key, ok := literalKey(e.Key, e.KeyString)
		if ok && strings.HasPrefix(e.Key, "$") {
			t = t.bind(e.Key, o.member(key))
		}
		if ok && e.Val != nil {
			t = t.with(e.Val, o.member(key))
		}
	}
	return t
}

// query gives the origin of what q yields of a value of the origin in.
func (t tracer) query(q *gojq.Query, in origin) origin {
	if *t.left--; q == nil || *t.left < 0 {
		return origin{}
	}
	t = t.define(q.FuncDefs)
	if q.Term != nil {
		return t.term(q.Term, in)
	}
	switch q.Op {
	case gojq.OpPipe:
		left := t.query(q.Left, in)
		if q.Patterns == nil {
			return t.query(q.Right, left)
		}
		for _, p := range q.Patterns {
			t = t.with(p, left)
		}
		return t.query(q.Right, in)
	case gojq.OpAlt:
		if ends(q.Right) {
			t.found = map[string]bool{} // not counted
		}
	}
	return t.query(q.Left, in).and(t.query(q.Right, in))
}

// ends reports whether q is a call of error.
func ends(q *gojq.Query) bool {
	switch {
	case q.Term == nil:
		return false
	case q.Term.Type == gojq.TermTypeQuery:
		return ends(q.Term.Query)
	}
	return q.Term.Type == gojq.TermTypeFunc && q.Term.Func.Name == "error"
}

func (t tracer) term(term *gojq.Term, in origin) origin {
	o := t.base(term, in)
	for _, s := range term.SuffixList {
		if s.Index != nil {
			o = t.index(s.Index, o, in)
		}
	}
	return o
}

// index follows .name and .["name"]; anything in the brackets sees the input in.
func (t tracer) index(x *gojq.Index, of, in origin) origin {
	t.query(x.Start, in)
	t.query(x.End, in)
	if isName(x) {
		return of.member(name(x))
	}
	return origin{names: of.names}
}

// base goes through a term without its suffixes.
func (t tracer) base(term *gojq.Term, in origin) (out origin) {
	switch term.Type {
	case gojq.TermTypeIdentity:
		return in
	case gojq.TermTypeIndex:
		return t.index(term.Index, in, in)
	case gojq.TermTypeFunc:
		return t.call(term.Func, in)
	case gojq.TermTypeQuery:
		return t.query(term.Query, in)
	case gojq.TermTypeArray:
		out = t.query(term.Array.Query, in)
	case gojq.TermTypeUnary:
		out = t.term(term.Unary.Term, in)
	case gojq.TermTypeString, gojq.TermTypeFormat:
		if term.Str != nil {
			for _, part := range term.Str.Queries {
				out = out.and(t.query(part, in))
			}
			return out
		}
		out = in
	case gojq.TermTypeObject:
		for _, kv := range term.Object.KeyVals {
			t.query(kv.KeyQuery, in)
			t.query(kv.Val, in)
		}
		return origin{}
	case gojq.TermTypeIf:
		return t.branches(term.If, in)
	case gojq.TermTypeTry:
		return t.query(term.Try.Body, in).and(t.query(term.Try.Catch, origin{}))
	case gojq.TermTypeReduce:
		t.loop(term.Reduce.Query, term.Reduce.Patterns, in, term.Reduce.Start, term.Reduce.Update)
	case gojq.TermTypeForeach:
		t.loop(term.Foreach.Query, term.Foreach.Patterns, in, term.Foreach.Start, term.Foreach.Update, term.Foreach.Extract)
	case gojq.TermTypeLabel:
		return t.query(term.Label.Body, in)
	}
	return origin{names: out.names}
}

func (t tracer) branches(e *gojq.If, in origin) (out origin) {
	conditions, branches := arms(e)
	for _, condition := range conditions {
		t.query(condition, in)
	}
	for _, branch := range branches {
		out = out.and(t.query(branch, in))
	}
	return out
}

// loop goes through reduce and foreach, whose bodies see their own value.
func (t tracer) loop(source *gojq.Query, patterns []*gojq.Pattern, in origin, start *gojq.Query, bodies ...*gojq.Query) {
	of := t.query(source, in)
	t.query(start, in)
	for _, p := range patterns {
		t = t.with(p, of)
	}
	for _, body := range bodies {
		t.query(body, origin{})
	}
}

// call is a variable, a definition of the program's, or a builtin, whose result
// is taken to come from its input.
func (t tracer) call(f *gojq.Func, in origin) origin {
	called := arity(f.Name, len(f.Args))
	if strings.HasPrefix(f.Name, "$") {
		called = f.Name
	}
	if v := t.vars.find(called); v != nil {
		return v.origin
	} else if called == f.Name {
		return origin{}
	}
	args, all := make([]origin, len(f.Args)), origin{}
	for i, arg := range f.Args {
		args[i] = t.query(arg, in)
		all = all.and(args[i])
	}
	for i, def := range t.defs {
		if arity(def.Name, len(def.Args)) != called {
			continue
		}
		t.defs = t.defs[i:] // it sees itself and what is above it
		for i, arg := range def.Args {
			t = t.bind(arg, args[i]).bind(arity(strings.TrimPrefix(arg, "$"), 0), args[i])
		}
		return t.query(def.Body, in)
	}
	switch called {
	case t.function:
		for _, name := range in.names {
			t.found[name] = true
		}
	case "first/1", "last/1":
		return all
	case "select/1", "values/0", "objects/0":
		return in
	}
	return origin{names: in.names}
}
