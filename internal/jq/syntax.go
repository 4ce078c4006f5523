package jq

import "github.com/itchyny/gojq"

// How the rewriter guards operators, and the pieces of tree that it makes.

// operator guards an operator whose sides have been gone through.
func (w *rewriter) operator(q *gojq.Query) {
	if w.trusted {
		return
	}
	simple := literal(q.Left) || literal(q.Right)
	defs := q.FuncDefs
	q.FuncDefs = nil
	switch q.Op {
	case gojq.OpAdd:
		if !literalNumber(q.Left) && !literalNumber(q.Right) {
			*q = *pipe(moved(q), w.native("post"))
		}
	case gojq.OpSub:
		if !simple {
			w.before(q, "minus")
		}
	case gojq.OpMul:
		if !literalNumber(q.Left) || !literalNumber(q.Right) {
			w.before(q, "times")
			*q = *pipe(moved(q), w.native("post"))
		}
	case gojq.OpDiv:
		if !literalNumber(q.Left) && !literalNumber(q.Right) {
			w.before(q, "over")
		}
	case gojq.OpEq, gojq.OpNe, gojq.OpLt, gojq.OpLe, gojq.OpGt, gojq.OpGe:
		if !simple {
			*q = *w.native(comparisons[q.Op], q.Left, q.Right)
		}
	case gojq.OpAssign:
		*q = *w.ourCall("assign", q.Left, q.Right)
	case gojq.OpModify:
		*q = *w.ourCall("modify", q.Left, q.Right)
	case gojq.OpUpdateAdd, gojq.OpUpdateSub, gojq.OpUpdateMul, gojq.OpUpdateDiv, gojq.OpUpdateMod, gojq.OpUpdateAlt:
		w.update(q)
	}
	q.FuncDefs = defs
}

// assigns reports whether an operator is an assignment.
func assigns(op gojq.Operator) bool {
	_, updates := updates[op]
	return updates || op == gojq.OpAssign || op == gojq.OpModify
}

var comparisons = map[gojq.Operator]string{
	gojq.OpEq: "equal", gojq.OpNe: "unequal", gojq.OpLt: "less", gojq.OpLe: "atmost",
	gojq.OpGt: "greater", gojq.OpGe: "atleast",
}

var updates = map[gojq.Operator]gojq.Operator{
	gojq.OpUpdateAdd: gojq.OpAdd, gojq.OpUpdateSub: gojq.OpSub, gojq.OpUpdateMul: gojq.OpMul,
	gojq.OpUpdateDiv: gojq.OpDiv, gojq.OpUpdateMod: gojq.OpMod, gojq.OpUpdateAlt: gojq.OpAlt,
}

// before makes `r as $r | (l | guard($r)) op $r` of `l op r`.
func (w *rewriter) before(q *gojq.Query, guard string) {
	right := variable(inner("right"))
	*q = gojq.Query{
		Left: q.Right, Op: gojq.OpPipe, Patterns: []*gojq.Pattern{{Name: "$" + inner("right")}},
		Right: &gojq.Query{Left: pipe(q.Left, w.native(guard, right)), Op: q.Op, Right: right},
	}
}

// update makes `r as $r | l |= (. op $r)` of `l op= r`.
func (w *rewriter) update(q *gojq.Query) {
	by := q.Right
	if !literal(by) {
		by = variable(inner("by"))
	}
	op := &gojq.Query{Left: identityQuery(), Op: updates[q.Op], Right: by}
	w.operator(op)
	modify := w.ourCall("modify", q.Left, op)
	if !literal(q.Right) {
		modify = &gojq.Query{Left: q.Right, Op: gojq.OpPipe, Patterns: []*gojq.Pattern{{Name: "$" + inner("by")}}, Right: modify}
	}
	*q = *modify
}

// native makes a call of a native.
func (w *rewriter) native(name string, args ...*gojq.Query) *gojq.Query {
	w.unit.natives[name] = true
	return callOf(inner(name), args...)
}

// ourCall makes a call of a definition of the prelude, or else of a native.
func (w *rewriter) ourCall(name string, args ...*gojq.Query) *gojq.Query {
	if u, ok := prelude.units[arity(name, len(args))]; ok {
		w.unit.calls[u] = true
		return callOf(inner(name), args...)
	}
	return w.native(name, args...)
}

func callOf(name string, args ...*gojq.Query) *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: name, Args: args}}}
}

func variable(name string) *gojq.Query { return callOf("$" + name) }

func identityQuery() *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity}}
}

// arms are the conditions and branches of an if: one branch more than conditions,
// which is `.` where there is no else.
func arms(e *gojq.If) (conditions, branches []*gojq.Query) {
	conditions, branches = []*gojq.Query{e.Cond}, []*gojq.Query{e.Then}
	for _, elif := range e.Elif {
		conditions, branches = append(conditions, elif.Cond), append(branches, elif.Then)
	}
	if e.Else == nil {
		return conditions, append(branches, identityQuery())
	}
	return conditions, append(branches, e.Else)
}

func pipe(left, right *gojq.Query) *gojq.Query {
	return &gojq.Query{Left: left, Op: gojq.OpPipe, Right: right}
}

func paren(q *gojq.Query) *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeQuery, Query: q}}
}

// moved copies a node, so that its place can hold another.
func moved(q *gojq.Query) *gojq.Query {
	c := *q
	return &c
}

// literal reports whether q is a number, a string, true, false or null.
func literal(q *gojq.Query) bool {
	if q == nil || q.Term == nil || len(q.FuncDefs) > 0 || len(q.Term.SuffixList) > 0 {
		return false
	}
	switch t := q.Term; t.Type {
	case gojq.TermTypeNumber, gojq.TermTypeNull, gojq.TermTypeTrue, gojq.TermTypeFalse:
		return true
	case gojq.TermTypeString:
		return t.Str.Queries == nil
	case gojq.TermTypeUnary:
		return literal(&gojq.Query{Term: t.Unary.Term})
	case gojq.TermTypeQuery:
		return literal(t.Query)
	}
	return false
}

func literalNumber(q *gojq.Query) bool { return literal(q) && q.Term.Type == gojq.TermTypeNumber }

// isPath reports whether a query is names after `.` and nothing else.
func isPath(q *gojq.Query) bool {
	switch {
	case q == nil, len(q.FuncDefs) > 0, len(q.Patterns) > 0:
		return false
	case q.Term == nil:
		return q.Op == gojq.OpPipe && isPath(q.Left) && isPath(q.Right)
	}
	switch t := q.Term; t.Type {
	case gojq.TermTypeIdentity:
	case gojq.TermTypeIndex:
		if !isName(t.Index) {
			return false
		}
	case gojq.TermTypeQuery:
		if !isPath(t.Query) {
			return false
		}
	default:
		return false
	}
	for _, suffix := range q.Term.SuffixList {
		if suffix.Iter || (suffix.Index != nil && !isName(suffix.Index)) {
			return false
		}
	}
	return true
}

// isName reports whether an index is a name that stands in the program: `.a`,
// `."a"` or `["a"]`.
func isName(i *gojq.Index) bool {
	if i.Start != nil {
		return i.End == nil && !i.IsSlice && literal(i.Start) && i.Start.Term.Type == gojq.TermTypeString
	}
	return !i.IsSlice && (i.Str == nil || len(i.Str.Queries) == 0)
}

func name(i *gojq.Index) string {
	switch {
	case i.Start != nil:
		return i.Start.Term.Str.Str
	case i.Str != nil:
		return i.Str.Str
	default:
		return i.Name
	}
}

// names are those of a path, appended to before.
func names(q *gojq.Query, before []string) []string {
	if q.Term == nil {
		return names(q.Right, names(q.Left, before))
	}
	switch t := q.Term; t.Type {
	case gojq.TermTypeIndex:
		before = append(before, name(t.Index))
	case gojq.TermTypeQuery:
		before = names(t.Query, before)
	}
	for _, suffix := range q.Term.SuffixList {
		if suffix.Index != nil {
			before = append(before, name(suffix.Index))
		}
	}
	return before
}
