//go:build !noswitchboardfast

package jq

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"
)

// Fast path of Program.run for programs that need no machine: names after `.`,
// variables, literals, objects of these, comparisons with literals, and what puts
// them together. Most programs of a flow are nothing else, and for them a machine
// costs more than the work.
//
// It yields a value, or leaves the run to the machine: errors and rare cases are not
// its business, so one place says what jq means. FuzzDirect holds it to the machine.

func newDirect(q *gojq.Query, vars []string, defined bool) direct {
	return director{vars, defined}.query(q)
}

// A director makes a direct of a program as it is written.
type director struct {
	vars    []string
	defined bool // definitions may have given a builtin's name to something else
}

// query returns nil for what needs a machine.
func (c director) query(q *gojq.Query) direct {
	switch {
	case q == nil, len(q.FuncDefs) > 0, len(q.Patterns) > 0:
		return nil
	case isPath(q):
		return follow(names(q, nil))
	case q.Term != nil:
		return c.term(q.Term)
	}
	if _, ok := holds[q.Op]; ok {
		return c.comparison(q)
	}
	switch q.Op {
	case gojq.OpPipe, gojq.OpAnd, gojq.OpOr, gojq.OpAlt:
		left, right := c.query(q.Left), c.query(q.Right)
		if left == nil || right == nil {
			return nil
		}
		return connect(q.Op, left, right)
	default:
		return nil
	}
}

func connect(op gojq.Operator, left, right direct) direct {
	return func(in any, vars []any) (any, bool) {
		v, ok := left(in, vars)
		if !ok {
			return nil, false
		}
		switch op {
		case gojq.OpPipe:
			return right(v, vars)
		case gojq.OpAlt:
			if truthy(v) {
				return v, true
			}
			return right(in, vars)
		}
		if truthy(v) == (op == gojq.OpOr) {
			return op == gojq.OpOr, true
		}
		v, ok = right(in, vars)
		return truthy(v), ok
	}
}

func truthy(v any) bool { return v != nil && v != false }

func (c director) term(t *gojq.Term) direct {
	if len(t.SuffixList) > 0 {
		return nil
	}
	switch t.Type {
	case gojq.TermTypeNull:
		return constant(nil)
	case gojq.TermTypeTrue:
		return constant(true)
	case gojq.TermTypeFalse:
		return constant(false)
	case gojq.TermTypeString:
		if len(t.Str.Queries) > 0 {
			return nil
		}
		return constant(t.Str.Str)
	case gojq.TermTypeQuery:
		return c.query(t.Query)
	case gojq.TermTypeFunc:
		return c.call(t.Func)
	case gojq.TermTypeObject:
		return c.object(t.Object)
	case gojq.TermTypeIf:
		return c.choice(t.If)
	default:
		return nil
	}
}

func constant(v any) direct { return func(any, []any) (any, bool) { return v, true } }

func (c director) call(f *gojq.Func) direct {
	if name, ok := strings.CutPrefix(f.Name, "$"); ok {
		return c.variable(name)
	}
	if len(f.Args) > 0 || c.defined {
		return nil
	}
	switch f.Name {
	case "not":
		return func(in any, _ []any) (any, bool) { return !truthy(in), true }
	case "blank":
		return func(in any, _ []any) (any, bool) { return isBlank(in), true }
	}
	return nil
}

func (c director) variable(name string) direct {
	i := slices.Index(c.vars, name)
	if i < 0 {
		return nil
	}
	return func(_ any, vars []any) (any, bool) {
		if i >= len(vars) {
			return nil, false
		}
		return vars[i], true
	}
}

func (c director) object(o *gojq.Object) direct {
	keys, values := make([]string, len(o.KeyVals)), make([]direct, len(o.KeyVals))
	for i, kv := range o.KeyVals {
		name, isVariable := strings.CutPrefix(kv.Key, "$")
		switch {
		case kv.KeyQuery != nil, kv.KeyString != nil && len(kv.KeyString.Queries) > 0:
			return nil
		case kv.KeyString != nil:
			name, isVariable = kv.KeyString.Str, false
		}
		keys[i] = name
		switch {
		case kv.Val != nil && !isVariable:
			values[i] = c.query(kv.Val)
		case isVariable:
			values[i] = c.variable(name)
		default:
			values[i] = follow([]string{name})
		}
		if values[i] == nil {
			return nil
		}
	}
	return func(in any, vars []any) (any, bool) {
		m := make(map[string]any, len(keys))
		for i, key := range keys {
			v, ok := values[i](in, vars)
			if !ok {
				return nil, false
			}
			m[key] = v
		}
		return m, true
	}
}

func (c director) choice(e *gojq.If) direct {
	conditions, branches := arms(e)
	isTrue, then := c.all(conditions), c.all(branches)
	if isTrue == nil || then == nil {
		return nil
	}
	return func(in any, vars []any) (any, bool) {
		for i, condition := range isTrue {
			v, ok := condition(in, vars)
			if !ok {
				return nil, false
			}
			if truthy(v) {
				return then[i](in, vars)
			}
		}
		return then[len(isTrue)](in, vars)
	}
}

// all is nil when one of them needs a machine.
func (c director) all(queries []*gojq.Query) []direct {
	directs := make([]direct, len(queries))
	for i, q := range queries {
		if directs[i] = c.query(q); directs[i] == nil {
			return nil
		}
	}
	return directs
}

// comparison compares with a literal: a string, null or boolean for equality,
// and small whole numbers with whole numbers of Go's, such as $status.
func (c director) comparison(q *gojq.Query) direct {
	left, fixed, op, sign := q.Left, q.Right, q.Op, 1
	if literal(left) && !literal(fixed) {
		left, fixed, sign = fixed, left, -1
	}
	value := c.query(left)
	if value == nil || !literal(fixed) {
		return nil
	}
	if fixed.Term.Type == gojq.TermTypeNumber {
		n, err := strconv.Atoi(fixed.Term.Number)
		if err != nil || strconv.Itoa(n) != fixed.Term.Number {
			return nil
		}
		is := holds[op]
		return func(in any, vars []any) (any, bool) {
			v, ok := value(in, vars)
			i, whole := v.(int)
			if !ok || !whole {
				return nil, false
			}
			return is[1+sign*cmp.Compare(i, n)], true
		}
	}
	want := c.term(fixed.Term)
	if want == nil || (op != gojq.OpEq && op != gojq.OpNe) {
		return nil
	}
	constant, _ := want(nil, nil)
	return func(in any, vars []any) (any, bool) {
		v, ok := value(in, vars)
		switch v.(type) {
		case nil, bool, string:
			return (v == constant) == (op == gojq.OpEq), ok
		default: // of another type than the constant
			return op == gojq.OpNe, ok
		}
	}
}

// holds says of each operator whether it is true of a lesser, an equal and a greater
// value.
var holds = map[gojq.Operator][3]bool{
	gojq.OpEq: {false, true, false}, gojq.OpNe: {true, false, true}, gojq.OpLt: {true, false, false},
	gojq.OpLe: {true, true, false}, gojq.OpGt: {false, false, true}, gojq.OpGe: {false, true, true},
}

// follow goes from member to member. What is no object is left to the machine;
// null has null members.
func follow(path []string) direct {
	return func(in any, _ []any) (any, bool) {
		for _, name := range path {
			switch v := in.(type) {
			case nil:
			case map[string]any:
				in = v[name]
			default:
				return nil, false
			}
		}
		return in, true
	}
}
