package jq

import (
	"maps"
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

// canBe reports whether a result can be of the wanted kind. A program that
// certainly yields nothing is left to Run.
func (k kinds) canBe(want Kind) bool {
	of := [...]kinds{Any: kAny, Object: kObject, Array: kArray, String: kString, Number: kNumber, Predicate: kBool}
	return k == kNone || k&of[want] != 0
}

// String lists the types, for messages.
func (k kinds) String() string {
	if k == kNone {
		return "something that is not JSON"
	}
	var list []string
	for i, name := range []string{"null", "a boolean", "a number", "a string", "an array", "an object"} {
		if k&(1<<i) != 0 {
			list = append(list, name)
		}
	}
	return strings.Join(list, " or ")
}

// ObjectKeys are the names of all members that the program's result can have,
// sorted, where its text shows them: because every way through it ends in an
// object literal with written keys. Null counts as no member. Otherwise ok is
// false.
func (p *Program) ObjectKeys() (names []string, ok bool) {
	if !p.yields.known || p.yields.names == nil {
		return nil, false
	}
	return slices.Sorted(maps.Keys(p.yields.names)), true
}

// A shape is what is known of a value: a superset of the types that it can have, and
// of its members' names.
type shape struct {
	kinds kinds
	known bool            // whether the names are known
	names map[string]bool // nil for a value without members: null, or none
}

func of(k kinds) shape { return shape{kinds: k} }

func (s shape) or(t shape) shape {
	either := shape{kinds: s.kinds | t.kinds, known: s.known && t.known}
	if either.known && (s.names != nil || t.names != nil) {
		either.names = maps.Clone(t.names)
		if either.names == nil {
			either.names = map[string]bool{}
		}
		maps.Copy(either.names, s.names)
	}
	return either
}

// An inference finds what a program yields, as far as its text shows.
type inference struct {
	own   map[string]bool // functions that the program defines, of whose results nothing is known
	depth int
}

// ownNames collects the definitions anywhere in a program; closures count too.
func ownNames(defs []*gojq.FuncDef) map[string]bool {
	own := map[string]bool{}
	for _, def := range defs {
		own[arity(def.Name, len(def.Args))] = true
	}
	return own
}

// query gives what q yields from the input in.
func (f inference) query(q *gojq.Query, in shape) shape {
	if f.depth++; q == nil || f.depth > maxDepth {
		return of(kAny)
	}
	if len(q.FuncDefs) > 0 {
		own := ownNames(q.FuncDefs)
		maps.Copy(own, f.own)
		f.own = own
	}
	switch {
	case q.Term != nil:
		return f.term(q.Term, in)
	case q.Op == gojq.OpPipe:
		left := in
		if q.Patterns == nil {
			left = f.query(q.Left, in)
		}
		return f.query(q.Right, left)
	case assigns(q.Op):
		return assigned(q, in)
	}
	left, right := f.query(q.Left, in), f.query(q.Right, in)
	switch q.Op {
	case gojq.OpComma:
		return left.or(right)
	case gojq.OpAlt:
		left.kinds &^= kNull
		return left.or(right)
	case gojq.OpAdd, gojq.OpMul:
		sum := left.or(right) // it has the members of both
		sum.kinds = arithmetic(q.Op, left.kinds, right.kinds)
		return sum
	case gojq.OpSub, gojq.OpDiv:
		return of(arithmetic(q.Op, left.kinds, right.kinds))
	case gojq.OpMod:
		return of(kNumber)
	}
	return of(kBool) // comparisons, and, or
}

// assigned is the input with a member more.
func assigned(q *gojq.Query, in shape) shape {
	out := of(kAny)
	if isPath(q.Left) {
		if path := names(q.Left, nil); len(path) > 0 {
			out = in.or(shape{known: true, names: map[string]bool{path[0]: true}})
			out.kinds = kAny
		}
	}
	return out
}

// arithmetic gives the types of l op r.
func arithmetic(op gojq.Operator, l, r kinds) (out kinds) {
	both := l & r
	switch op {
	case gojq.OpAdd:
		out = both & (kNumber | kString | kArray | kObject)
		if l&kNull != 0 {
			out |= r
		}
		if r&kNull != 0 {
			out |= l
		}
	case gojq.OpSub:
		out = both & (kNumber | kArray)
	case gojq.OpMul:
		out = both & (kNumber | kObject)
		if l&kString != 0 && r&kNumber != 0 || l&kNumber != 0 && r&kString != 0 {
			out |= kString | kNull
		}
	case gojq.OpDiv:
		out = both & kNumber
		if both&kString != 0 {
			out |= kArray
		}
	}
	return out
}

func (f inference) term(t *gojq.Term, in shape) shape {
	for _, s := range t.SuffixList {
		if !s.Optional {
			return of(kAny)
		}
	}
	switch t.Type {
	case gojq.TermTypeIdentity:
		return in
	case gojq.TermTypeNull:
		return shape{kinds: kNull, known: true}
	case gojq.TermTypeTrue, gojq.TermTypeFalse:
		return of(kBool)
	case gojq.TermTypeObject:
		return literalKeys(t.Object)
	case gojq.TermTypeArray:
		return of(kArray)
	case gojq.TermTypeNumber, gojq.TermTypeUnary:
		return of(kNumber)
	case gojq.TermTypeFormat, gojq.TermTypeString:
		return of(kString)
	case gojq.TermTypeIf:
		return f.branches(t.If, in)
	case gojq.TermTypeTry:
		if t.Try.Catch == nil {
			return f.query(t.Try.Body, in)
		}
		return f.query(t.Try.Body, in).or(f.query(t.Try.Catch, of(kAny)))
	case gojq.TermTypeReduce:
		return of(f.query(t.Reduce.Start, in).kinds | f.query(t.Reduce.Update, of(kAny)).kinds)
	case gojq.TermTypeForeach:
		if t.Foreach.Extract != nil {
			return of(f.query(t.Foreach.Extract, of(kAny)).kinds)
		}
		return of(f.query(t.Foreach.Update, of(kAny)).kinds)
	case gojq.TermTypeLabel:
		return f.query(t.Label.Body, in)
	case gojq.TermTypeBreak:
		return of(kNone)
	case gojq.TermTypeQuery:
		return f.query(t.Query, in)
	case gojq.TermTypeFunc:
		return f.call(t.Func, in)
	}
	return of(kAny)
}

func (f inference) branches(e *gojq.If, in shape) shape {
	_, branches := arms(e)
	out := f.query(branches[0], in)
	for _, branch := range branches[1:] {
		out = out.or(f.query(branch, in))
	}
	return out
}

func (f inference) call(c *gojq.Func, in shape) shape {
	name := arity(c.Name, len(c.Args))
	b, ok := builtins[name]
	if !ok || f.own[name] {
		return of(kAny) // a variable, a closure, or a mistake that is found later
	}
	switch name {
	case "select/1", "values/0":
		return in
	case "scalars/0":
		return of(in.kinds)
	case "first/1", "last/1":
		return of(f.query(c.Args[0], in).kinds)
	case "limit/2", "skip/2", "nth/2":
		return of(f.query(c.Args[1], in).kinds)
	case "objects/0", "map_values/1", "del/1":
		in.kinds = b.yields
		return in
	case "empty/0", "error/0", "error/1":
		return shape{known: true}
	}
	return of(b.yields)
}

// literalKeys are the keys of an object literal, if none is computed.
func literalKeys(o *gojq.Object) shape {
	keys := shape{kinds: kObject, known: true, names: map[string]bool{}}
	for _, kv := range o.KeyVals {
		key, ok := literalKey(kv.Key, kv.KeyString)
		if !ok || kv.KeyQuery != nil {
			return of(kObject)
		}
		keys.names[key] = true
	}
	return keys
}

func literalKey(key string, text *gojq.String) (string, bool) {
	if text != nil {
		return text.Str, len(text.Queries) == 0
	}
	return strings.TrimPrefix(key, "$"), key != ""
}
