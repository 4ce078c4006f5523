package jq

import (
	"strings"

	"github.com/itchyny/gojq"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// A rewriter goes once through a parsed program, in place. It resolves each name
// to a definition, a builtin or a mistake, and puts the guards of guards.go
// where gojq would do something unbounded. Operators are the reason for working
// on the tree: a definition cannot replace them.
type rewriter struct {
	src      string // where mistakes are looked up; "" within the prelude
	inDefine bool
	unit     *unit
	funcs    *binding
	vars     *binding
	patterns *[]*pattern
	depth    int

	// compares is set within a predicate, where an assignment is a mistake.
	compares bool

	// trusted is set within the prelude, where names and operators are gojq's,
	// except for those that ours tells.
	trusted bool
}

// A unit is a definition of the prelude or of Spec.Define, or the program: what
// is compiled only when something calls it.
type unit struct {
	def     *gojq.FuncDef
	free    map[string]bool // variables that it does not bind
	calls   map[*unit]bool
	natives map[string]bool
}

func newUnit(def *gojq.FuncDef) *unit {
	return &unit{def: def, free: map[string]bool{}, calls: map[*unit]bool{}, natives: map[string]bool{}}
}

// A binding is a function ("name/arity") or a variable in scope.
type binding struct {
	name string
	unit *unit // of a function from Spec.Define
	up   *binding
}

func (b *binding) find(name string) *binding {
	for ; b != nil; b = b.up {
		if b.name == name {
			return b
		}
	}
	return nil
}

// mistake ends the rewriting with a *SyntaxError at a token; Compile recovers it.
func (w *rewriter) mistake(token, reason, hint string) {
	err := errorAt(w.src, find(w.src, token), reason, hint)
	err.InDefine = w.inDefine
	panic(err)
}

// scoped runs f and forgets what it brought into scope.
func (w *rewriter) scoped(f func()) {
	funcs, vars := w.funcs, w.vars
	f()
	w.funcs, w.vars = funcs, vars
}

// maxNesting is how deep a program can be nested: all that goes through it is
// recursive.
const maxNesting = 1000

func (w *rewriter) query(q *gojq.Query) {
	if q == nil {
		return
	}
	if w.depth++; w.depth > maxNesting {
		w.mistake("", "program is nested too deeply", "")
	}
	w.scoped(func() {
		for _, def := range q.FuncDefs {
			w.funcs = &binding{name: arity(def.Name, len(def.Args)), up: w.funcs}
			w.define(def)
		}
		switch {
		case q.Term != nil:
			w.term(q.Term)
		case q.Op == 0:
			w.mistake("", `missing query (try ".")`, hintFor(w.src))
		default:
			w.query(q.Left)
			for _, p := range q.Patterns {
				w.pattern(p)
			}
			w.query(q.Right)
			if w.compares && assigns(q.Op) {
				w.mistake(q.Op.String(), "an assignment", "write == to compare")
			}
			w.operator(q)
		}
	})
	w.depth--
}

// define goes through a definition whose name is in scope already.
func (w *rewriter) define(def *gojq.FuncDef) {
	w.scoped(func() {
		for _, arg := range def.Args {
			if name, isVar := strings.CutPrefix(arg, "$"); isVar {
				w.vars = &binding{name: name, up: w.vars}
				arg = name
			}
			w.funcs = &binding{name: arity(arg, 0), up: w.funcs}
		}
		w.query(def.Body)
	})
}

// pattern brings the variables of a destructuring pattern into scope.
func (w *rewriter) pattern(p *gojq.Pattern) {
	if p.Name != "" {
		w.vars = &binding{name: p.Name[1:], up: w.vars}
	}
	for _, e := range p.Array {
		w.pattern(e)
	}
	for _, e := range p.Object {
		if name, isVar := strings.CutPrefix(e.Key, "$"); isVar {
			w.vars = &binding{name: name, up: w.vars}
		}
		w.keyText(e.KeyString)
		if w.query(e.KeyQuery); e.KeyQuery != nil {
			w.subscript(e.KeyQuery)
		}
		if e.Val != nil {
			w.pattern(e.Val)
		}
	}
}

func (w *rewriter) term(t *gojq.Term) {
	suffixes := t.SuffixList
	t.SuffixList = nil
	w.base(t)
	for _, s := range suffixes {
		if s.Index != nil {
			w.index(s.Index)
		}
		if s.Iter && !w.trusted {
			before := *t
			*t = gojq.Term{Type: gojq.TermTypeQuery, Query: pipe(&gojq.Query{Term: &before}, w.native("iter"))}
		}
		t.SuffixList = append(t.SuffixList, s)
	}
}

// base goes through a term without its suffixes.
func (w *rewriter) base(t *gojq.Term) {
	switch t.Type {
	case gojq.TermTypeIndex:
		w.index(t.Index)
	case gojq.TermTypeFunc:
		w.call(t)
	case gojq.TermTypeObject:
		for _, kv := range t.Object.KeyVals {
			if name, isVar := strings.CutPrefix(kv.Key, "$"); isVar {
				w.variable(name)
			}
			w.keyText(kv.KeyString)
			w.query(kv.KeyQuery)
			w.query(kv.Val)
		}
	case gojq.TermTypeArray:
		w.query(t.Array.Query)
	case gojq.TermTypeNumber:
		if len(t.Number) > jsonval.MaxNumber {
			w.mistake(t.Number, "number has more than 64 characters", "")
		}
	case gojq.TermTypeUnary:
		w.term(t.Unary.Term)
	case gojq.TermTypeFormat:
		w.format(t)
	case gojq.TermTypeString:
		if t.Str.Queries != nil {
			w.interpolated(t, "")
		}
	case gojq.TermTypeIf:
		w.query(t.If.Cond)
		w.query(t.If.Then)
		for _, e := range t.If.Elif {
			w.query(e.Cond)
			w.query(e.Then)
		}
		w.query(t.If.Else)
	case gojq.TermTypeTry:
		w.query(t.Try.Body)
		w.query(t.Try.Catch)
	case gojq.TermTypeReduce:
		w.loop(t.Reduce.Query, t.Reduce.Patterns, t.Reduce.Start, t.Reduce.Update)
	case gojq.TermTypeForeach:
		w.loop(t.Foreach.Query, t.Foreach.Patterns, t.Foreach.Start, t.Foreach.Update, t.Foreach.Extract)
	case gojq.TermTypeLabel:
		w.query(t.Label.Body)
	case gojq.TermTypeQuery:
		w.query(t.Query)
	}
}

// loop goes through reduce and foreach; the start does not see the variables.
func (w *rewriter) loop(source *gojq.Query, patterns []*gojq.Pattern, start *gojq.Query, bodies ...*gojq.Query) {
	w.query(source)
	w.query(start)
	w.scoped(func() {
		for _, p := range patterns {
			w.pattern(p)
		}
		for _, body := range bodies {
			w.query(body)
		}
	})
}

func (w *rewriter) variable(name string) {
	if w.vars.find(name) == nil {
		if name == "ENV" {
			w.mistake("$ENV", "$ENV is off: a program does not see the environment", "")
		}
		w.unit.free[name] = true
	}
}

// index goes through what stands in .[…] and behind a dot.
func (w *rewriter) index(x *gojq.Index) {
	w.keyText(x.Str)
	w.query(x.Start)
	w.query(x.End)
	if x.Start != nil && !x.IsSlice && !literal(x.Start) {
		w.subscript(x.Start)
	}
}

func (w *rewriter) subscript(q *gojq.Query) {
	if !w.trusted && !literal(q) {
		*q = *pipe(moved(q), w.native("subscript"))
	}
}

// keyText bounds the parts of a key that is put together.
func (w *rewriter) keyText(s *gojq.String) {
	if s == nil {
		return
	}
	for _, part := range s.Queries {
		if part.Term.Str == nil {
			w.query(part)
			*part = *paren(pipe(moved(part), w.native("key")))
		}
	}
}

// format is a @name, alone or before a string.
func (w *rewriter) format(t *gojq.Term) {
	name, ok := formats[t.Format]
	if !ok {
		hint := ""
		if strings.HasSuffix(strings.TrimSpace(w.src), ".jq") {
			hint = "a program that begins with @ and ends in .jq is a file, which is put in when a Caddyfile is adapted"
		}
		w.mistake(t.Format, "there is no format "+t.Format, hint)
	}
	switch {
	case t.Str == nil:
		*t = *w.ourCall(name).Term
	case t.Str.Queries == nil:
		*t = gojq.Term{Type: gojq.TermTypeString, Str: t.Str}
	default:
		w.interpolated(t, name)
	}
}

// interpolated makes a call of a string with \(…), each of which goes through a
// format.
func (w *rewriter) interpolated(t *gojq.Term, format string) {
	var parts []*gojq.Query
	for _, part := range t.Str.Queries {
		if part.Term.Str == nil {
			if w.query(part); format != "" && format != "tostring" {
				part = pipe(part, w.ourCall(format))
			}
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		parts = append(parts, &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeString, Str: &gojq.String{}}})
	}
	for len(parts) > maxParts {
		parts = append([]*gojq.Query{w.native("concat", parts[:maxParts]...)}, parts[maxParts:]...)
	}
	*t = *w.native("concat", parts...).Term
}
