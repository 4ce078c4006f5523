package jq

import (
	"strings"

	"github.com/itchyny/gojq"
)

// canBe tells whether a result can be of the wanted kind. A program that
// certainly yields nothing is left to Run.
func (k kinds) canBe(want Kind) bool {
	switch {
	case k == kNone:
		return true
	case want == Object:
		return k&kObject != 0
	case want == Array:
		return k&kArray != 0
	case want == String:
		return k&kString != 0
	case want == Number:
		return k&kNumber != 0
	case want == Predicate:
		return k&kBool != 0
	}
	return true
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

// An inference tells what a program yields, as far as its text shows: a superset
// of the types of its results.
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

// query gives what q yields from an input of the types in.
func (f inference) query(q *gojq.Query, in kinds) kinds {
	if f.depth++; q == nil || f.depth > maxDepth {
		return kAny
	}
	if len(q.FuncDefs) > 0 {
		own := ownNames(q.FuncDefs)
		for name := range f.own {
			own[name] = true
		}
		f.own = own
	}
	if q.Term != nil {
		return f.term(q.Term, in)
	}
	switch q.Op {
	case gojq.OpPipe:
		left := in
		if q.Patterns == nil {
			left = f.query(q.Left, in)
		}
		return f.query(q.Right, left)
	case gojq.OpComma:
		return f.query(q.Left, in) | f.query(q.Right, in)
	case gojq.OpAlt:
		return f.query(q.Left, in)&^kNull | f.query(q.Right, in)
	case gojq.OpAnd, gojq.OpOr, gojq.OpEq, gojq.OpNe, gojq.OpLt, gojq.OpLe, gojq.OpGt, gojq.OpGe:
		return kBool
	case gojq.OpMod:
		return kNumber
	case gojq.OpAdd, gojq.OpSub, gojq.OpMul, gojq.OpDiv:
		return arithmetic(q.Op, f.query(q.Left, in), f.query(q.Right, in))
	}
	return kAny // assignments yield what their input is, or becomes
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

func (f inference) term(t *gojq.Term, in kinds) kinds {
	for _, s := range t.SuffixList {
		if !s.Optional {
			return kAny
		}
	}
	switch t.Type {
	case gojq.TermTypeIdentity:
		return in
	case gojq.TermTypeNull:
		return kNull
	case gojq.TermTypeTrue, gojq.TermTypeFalse:
		return kBool
	case gojq.TermTypeObject:
		return kObject
	case gojq.TermTypeArray:
		return kArray
	case gojq.TermTypeNumber, gojq.TermTypeUnary:
		return kNumber
	case gojq.TermTypeFormat, gojq.TermTypeString:
		return kString
	case gojq.TermTypeIf:
		return f.branches(t.If, in)
	case gojq.TermTypeTry:
		if t.Try.Catch == nil {
			return f.query(t.Try.Body, in)
		}
		return f.query(t.Try.Body, in) | f.query(t.Try.Catch, kAny)
	case gojq.TermTypeReduce:
		return f.query(t.Reduce.Start, in) | f.query(t.Reduce.Update, kAny)
	case gojq.TermTypeForeach:
		if t.Foreach.Extract != nil {
			return f.query(t.Foreach.Extract, kAny)
		}
		return f.query(t.Foreach.Update, kAny)
	case gojq.TermTypeLabel:
		return f.query(t.Label.Body, in)
	case gojq.TermTypeBreak:
		return kNone
	case gojq.TermTypeQuery:
		return f.query(t.Query, in)
	case gojq.TermTypeFunc:
		return f.call(t.Func, in)
	}
	return kAny
}

func (f inference) branches(e *gojq.If, in kinds) kinds {
	out := f.query(e.Then, in)
	for _, elif := range e.Elif {
		out |= f.query(elif.Then, in)
	}
	if e.Else == nil {
		return out | in
	}
	return out | f.query(e.Else, in)
}

func (f inference) call(c *gojq.Func, in kinds) kinds {
	name := arity(c.Name, len(c.Args))
	if f.own[name] {
		return kAny
	}
	switch name {
	case "select/1", "scalars/0", "values/0":
		return in
	case "first/1", "last/1":
		return f.query(c.Args[0], in)
	case "limit/2", "skip/2", "nth/2":
		return f.query(c.Args[1], in)
	}
	b, ok := builtins[name]
	if !ok {
		return kAny // a variable, a closure, or a mistake that is found later
	}
	return b.yields
}
