package jq

import (
	"strings"

	"github.com/itchyny/gojq"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// Project returns the part of a document that the programs need, all taken
// together; nil, which stands for everything, when one of them needs that. A nil
// program needs nothing. Decoding that part alone costs a fraction: most of an API's
// answer is of no use to a flow.
//
// It is found by reading the programs, and errs on the large side: a program that
// does more than follow names through `.` needs everything below.
func Project(programs ...*Program) *jsonval.Part {
	all := new(jsonval.Part)
	for _, p := range programs {
		if p != nil {
			all.Add(p.reads)
		}
	}
	if all.Whole {
		return nil
	}
	return all
}

// need is how much of a value an expression asks for.
type need bool

const (
	glance need = false // what it is: a scalar with its value, or an array or object, empty or not
	all    need = true
)

// need is how much of a program's result is asked for.
func (k Kind) need() need {
	if k == Predicate {
		return glance
	}
	return all
}

func ask(p *jsonval.Part, n need) { p.Whole = p.Whole || n == all }

// reader finds what a query reads. With definitions of their own, programs may
// have given a builtin's name to something else.
type reader struct{ defined bool }

// query reads q, whose input is the value at p.
func (r reader) query(q *gojq.Query, p *jsonval.Part, n need) {
	if part, ok := r.path(q, p); ok {
		ask(part, n)
		return
	}
	switch {
	case q == nil:
	case len(q.FuncDefs) > 0, len(q.Patterns) > 0:
		p.Whole = true
	case q.Term != nil:
		r.term(q.Term, p, n)
	default:
		r.operation(q, p, n)
	}
}

func (r reader) operation(q *gojq.Query, p *jsonval.Part, n need) {
	switch q.Op {
	case gojq.OpPipe:
		if part, ok := r.path(q.Left, p); ok {
			r.query(q.Right, part, n)
			return
		}
		r.query(q.Left, p, all) // the right side sees nothing else of the input
	case gojq.OpComma, gojq.OpAlt:
		r.query(q.Left, p, n)
		r.query(q.Right, p, n)
	case gojq.OpAnd, gojq.OpOr:
		r.query(q.Left, p, glance)
		r.query(q.Right, p, glance)
	case gojq.OpEq, gojq.OpNe, gojq.OpGt, gojq.OpLt, gojq.OpGe, gojq.OpLe:
		// values of different types compare by their types alone
		n = all
		if literal(q.Left) || literal(q.Right) {
			n = glance
		}
		r.query(q.Left, p, n)
		r.query(q.Right, p, n)
	case gojq.OpAdd, gojq.OpSub, gojq.OpMul, gojq.OpDiv, gojq.OpMod:
		r.query(q.Left, p, all)
		r.query(q.Right, p, all)
	default: // assignments change the input itself
		p.Whole = true
	}
}

func (r reader) term(t *gojq.Term, p *jsonval.Part, n need) {
	for _, suffix := range t.SuffixList {
		if i := suffix.Index; i != nil && (i.Start != nil || i.End != nil || (i.Str != nil && len(i.Str.Queries) > 0)) {
			p.Whole = true // an index may be computed from the input
			return
		}
	}
	if len(t.SuffixList) > 0 {
		n = all
	}
	switch t.Type {
	case gojq.TermTypeNull, gojq.TermTypeTrue, gojq.TermTypeFalse, gojq.TermTypeNumber:
	case gojq.TermTypeString:
		r.text(t.Str, p)
	case gojq.TermTypeFormat:
		if t.Str == nil {
			p.Whole = true
			return
		}
		r.text(t.Str, p)
	case gojq.TermTypeFunc:
		r.call(t.Func, p)
	case gojq.TermTypeObject:
		r.object(t.Object, p)
	case gojq.TermTypeArray:
		r.query(t.Array.Query, p, all)
	case gojq.TermTypeUnary:
		r.query(&gojq.Query{Term: t.Unary.Term}, p, all)
	case gojq.TermTypeIf:
		r.choice(t.If, p, n)
	case gojq.TermTypeQuery:
		r.query(t.Query, p, n)
	default:
		p.Whole = true
	}
}

func (r reader) text(s *gojq.String, p *jsonval.Part) {
	for _, q := range s.Queries {
		r.query(q, p, all)
	}
}

func (r reader) call(f *gojq.Func, p *jsonval.Part) {
	switch {
	case strings.HasPrefix(f.Name, "$"):
	case !r.defined && len(f.Args) == 0 && (f.Name == "not" || f.Name == "blank"):
		ask(p, glance)
	default:
		p.Whole = true
	}
}

func (r reader) object(o *gojq.Object, p *jsonval.Part) {
	for _, kv := range o.KeyVals {
		switch {
		case kv.KeyQuery != nil:
			r.query(kv.KeyQuery, p, all)
		case kv.KeyString != nil:
			r.text(kv.KeyString, p)
		}
		switch {
		case kv.Val != nil:
			r.query(kv.Val, p, all)
		case kv.Key != "" && !strings.HasPrefix(kv.Key, "$"): // {name} is {name: .name}
			ask(p.Member(kv.Key), all)
		case kv.Key == "":
			p.Whole = true
		}
	}
}

func (r reader) choice(e *gojq.If, p *jsonval.Part, n need) {
	conditions, branches := arms(e)
	for _, condition := range conditions {
		r.query(condition, p, glance)
	}
	for _, branch := range branches {
		r.query(branch, p, n)
	}
}

// path follows `.a.b`, in all its spellings, to the part of the input that it
// leads to.
func (r reader) path(q *gojq.Query, p *jsonval.Part) (*jsonval.Part, bool) {
	if !isPath(q) {
		return nil, false
	}
	for _, name := range names(q, nil) {
		p = p.Member(name)
	}
	return p, true
}
