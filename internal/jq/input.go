package jq

import (
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

// ReadsInput reports whether what the program does can depend on its input, as far as
// its text shows. It follows the program's own definitions. In doubt it is true.
func (p *Program) ReadsInput() bool { return p.readsInput }

// A dependence finds what looks at the input of the program. What stands behind a pipe
// has another input, which depends on the program's only if the left side does.
type dependence struct {
	scope *definition
	left  *int // steps until it gives up: definitions can call each other many times
}

// A definition is a function in scope, or with a nil def an argument of one.
type definition struct {
	name string
	def  *gojq.FuncDef
	up   *definition
}

func (d *definition) find(name string) *definition {
	for ; d != nil && d.name != name; d = d.up {
		continue
	}
	return d
}

func readsInput(written *gojq.Query, defs []*gojq.FuncDef) bool {
	d := dependence{left: new(int)}
	*d.left = maxAnalysis
	return d.define(defs).query(written)
}

func (d dependence) define(defs []*gojq.FuncDef) dependence {
	for _, def := range defs {
		d.scope = &definition{arity(def.Name, len(def.Args)), def, d.scope}
	}
	return d
}

func (d dependence) query(q *gojq.Query) bool {
	if q == nil {
		return false
	}
	if *d.left--; *d.left < 0 {
		return true
	}
	d = d.define(q.FuncDefs)
	switch {
	case q.Term != nil:
		return d.term(q.Term)
	case q.Op == gojq.OpPipe && q.Patterns == nil:
		return d.query(q.Left)
	}
	return assigns(q.Op) || d.query(q.Left) || d.query(q.Right) || d.patterns(q.Patterns)
}

// any reports whether one of the queries looks at the input.
func (d dependence) any(queries ...*gojq.Query) bool { return slices.ContainsFunc(queries, d.query) }

// patterns reports whether a key in a pattern is computed.
func (d dependence) patterns(patterns []*gojq.Pattern) bool {
	return slices.ContainsFunc(patterns, func(p *gojq.Pattern) bool {
		return d.patterns(p.Array) || slices.ContainsFunc(p.Object, func(o *gojq.PatternObject) bool {
			return o.KeyQuery != nil || o.KeyString != nil && d.text(o.KeyString) || o.Val != nil && d.patterns([]*gojq.Pattern{o.Val})
		})
	})
}

func (d dependence) text(s *gojq.String) bool { return d.any(s.Queries...) }

func (d dependence) term(t *gojq.Term) bool {
	for _, suffix := range t.SuffixList {
		if x := suffix.Index; x != nil && (d.any(x.Start, x.End) || x.Str != nil && d.text(x.Str)) {
			return true
		}
	}
	switch t.Type {
	case gojq.TermTypeNull, gojq.TermTypeTrue, gojq.TermTypeFalse, gojq.TermTypeNumber, gojq.TermTypeBreak:
		return false
	case gojq.TermTypeString, gojq.TermTypeFormat:
		return t.Str == nil || d.text(t.Str)
	case gojq.TermTypeFunc:
		return d.call(t.Func)
	case gojq.TermTypeObject:
		return slices.ContainsFunc(t.Object.KeyVals, d.member)
	case gojq.TermTypeArray:
		return d.query(t.Array.Query)
	case gojq.TermTypeUnary:
		return d.term(t.Unary.Term)
	case gojq.TermTypeIf:
		conditions, branches := arms(t.If)
		return d.any(conditions...) || d.any(branches...)
	case gojq.TermTypeTry:
		return d.query(t.Try.Body) // the error, which catch sees, comes of it
	case gojq.TermTypeReduce: // the update sees its own value
		return d.any(t.Reduce.Query, t.Reduce.Start) || d.patterns(t.Reduce.Patterns)
	case gojq.TermTypeForeach:
		return d.any(t.Foreach.Query, t.Foreach.Start) || d.patterns(t.Foreach.Patterns)
	case gojq.TermTypeLabel:
		return d.query(t.Label.Body)
	case gojq.TermTypeQuery:
		return d.query(t.Query)
	}
	return true
}

// member is a member of an object literal: {name} and {"name"} are {name: .name}.
func (d dependence) member(kv *gojq.ObjectKeyVal) bool {
	if kv.Val == nil {
		return !strings.HasPrefix(kv.Key, "$")
	}
	return d.any(kv.KeyQuery, kv.Val) || kv.KeyString != nil && d.text(kv.KeyString)
}

// call is a variable, a definition of the program's, or a builtin. The arguments of a
// definition are looked at where it is called.
func (d dependence) call(f *gojq.Func) bool {
	if strings.HasPrefix(f.Name, "$") {
		return false // it is looked at where it is bound
	}
	called := arity(f.Name, len(f.Args))
	in := d.scope.find(called)
	switch {
	case in == nil:
		return !slices.Contains([]string{"now/0", "uuid/0", "empty/0"}, called)
	case in.def == nil:
		return false
	case d.any(f.Args...):
		return true
	}
	d.scope = in // it sees itself and what is above it
	for _, arg := range in.def.Args {
		d.scope = &definition{arity(strings.TrimPrefix(arg, "$"), 0), nil, d.scope}
	}
	return d.query(in.def.Body)
}
