package jq

import (
	"maps"
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

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

// PipedInto are the names of the input's members whose values go through the
// function, which is named with its arity, as in "e164/1": of
// `{tel: (.tel | e164("CN"))}` that is tel. Sorted. It follows pipes, variables
// and the program's own definitions. A call that ends in `// error(…)` doesn't
// count: nothing goes on where the function has no result.
func (p *Program) PipedInto(function string) []string {
	return slices.Sorted(maps.Keys(p.piped[function]))
}

// MembersOf are the names of the members of $variable that the program reads, sorted,
// as far as its text shows them: of `$customer.name`, and of `$customer | .name`, that
// is name. A variable of that name that the program binds itself is another.
func (p *Program) MembersOf(variable string) []string {
	return slices.Sorted(maps.Keys(p.members["$"+variable]))
}

// Signing is a call of jwt or sign: its algorithm and its key, as far as the
// program's text shows them. Each is a string literal, or a variable of the
// program as "$name"; of `$a // $b // "c"` it is all three, and the first that
// isn't null is used.
type Signing struct{ Algorithm, Key []string }

// Signings are the calls of jwt and sign that the program makes, where both the
// algorithm and the key are literals or variables. It follows variables and
// the program's own definitions.
func (p *Program) Signings() []Signing { return p.signings }

// An analysis finds what a program yields, as far as its text shows, and what goes
// through its functions.
type analysis struct {
	piped   map[string]map[string]bool // members of the input, by the function that they go through
	members map[string]map[string]bool // that are read of variables, by "$name"
	signs   *[]Signing
	defs    []*gojq.FuncDef // in scope, the last ones first
	vars    *analyzed
	left    *int // steps until it gives up: definitions can call each other many times
}

const maxAnalysis = 20_000

// analyzed is a variable in scope, or an argument of a definition, as "name/0".
type analyzed struct {
	name string
	shape
	up *analyzed
}

func (v *analyzed) find(name string) *analyzed {
	for ; v != nil && v.name != name; v = v.up {
		continue
	}
	return v
}

func analyze(written *gojq.Query, defs []*gojq.FuncDef) (yields shape, found analysis) {
	a := analysis{piped: map[string]map[string]bool{}, members: map[string]map[string]bool{}, signs: new([]Signing), left: new(int)}
	*a.left = maxAnalysis
	in := of(kAny)
	in.input = true
	return a.define(defs).query(written, in), a
}

func (a analysis) define(defs []*gojq.FuncDef) analysis {
	for _, def := range defs {
		a.defs = append([]*gojq.FuncDef{def}, a.defs...)
	}
	return a
}

func (a analysis) bind(name string, s shape) analysis {
	a.vars = &analyzed{name, s.as(kAny), a.vars}
	return a
}

// with binds the variables of a pattern.
func (a analysis) with(p *gojq.Pattern, s shape) analysis {
	if p.Name != "" {
		a = a.bind(p.Name, s)
	}
	for _, e := range p.Object {
		key, ok := literalKey(e.Key, e.KeyString)
		if ok && strings.HasPrefix(e.Key, "$") {
			a = a.bind(e.Key, s.member(key))
		}
		if ok && e.Val != nil {
			a = a.with(e.Val, s.member(key))
		}
	}
	return a
}

// query gives what q yields from the input in.
func (a analysis) query(q *gojq.Query, in shape) shape {
	if *a.left--; q == nil || *a.left < 0 {
		return of(kAny)
	}
	a = a.define(q.FuncDefs)
	switch {
	case q.Term != nil:
		return a.term(q.Term, in)
	case q.Op == gojq.OpPipe:
		left := a.query(q.Left, in)
		if q.Patterns == nil {
			return a.query(q.Right, left)
		}
		for _, p := range q.Patterns {
			a = a.with(p, left)
		}
		return a.query(q.Right, in)
	case q.Op == gojq.OpAlt && ends(q.Right):
		a.piped = map[string]map[string]bool{} // not counted
	}
	target := in
	if assigns(q.Op) { // a member that is set isn't read
		target.constant = nil
	}
	left, right := a.query(q.Left, target), a.query(q.Right, in)
	either := left.or(right)
	switch q.Op {
	case gojq.OpComma:
		return either
	case gojq.OpAlt:
		if left.constant != nil && right.constant != nil {
			either.constant = append(slices.Clip(left.constant), right.constant...)
		}
		return either.as(left.kinds&^kNull | right.kinds)
	case gojq.OpAdd, gojq.OpMul: // it has the members of both
		return either.as(arithmetic(q.Op, left.kinds, right.kinds))
	case gojq.OpSub, gojq.OpDiv:
		return left.mixed(right).as(arithmetic(q.Op, left.kinds, right.kinds))
	case gojq.OpMod:
		return left.mixed(right).as(kNumber)
	}
	if !assigns(q.Op) { // comparisons, and, or
		return left.mixed(right).as(kBool)
	}
	changed := left.mixed(right).as(kAny)
	if isPath(q.Left) {
		if path := names(q.Left, nil); len(path) > 0 { // the input with one member more
			changed.known = in.known
			changed.names = in.or(shape{known: true, names: map[string]bool{path[0]: true}}).names
		}
	}
	changed.input = left.input || right.input
	return changed
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

func (a analysis) term(t *gojq.Term, in shape) shape {
	s := a.base(t, in)
	for _, suffix := range t.SuffixList {
		if suffix.Index != nil {
			s = a.index(suffix.Index, s, in)
		} else if !suffix.Optional {
			s = shape{kinds: kAny, input: s.input, from: s.from}
		}
	}
	return s
}

// index follows .name and .["name"]; anything in the brackets sees the input in.
func (a analysis) index(x *gojq.Index, of, in shape) shape {
	a.query(x.Start, in)
	a.query(x.End, in)
	if isName(x) {
		if len(of.constant) == 1 && strings.HasPrefix(of.constant[0], "$") {
			note(a.members, of.constant[0], name(x))
		}
		return of.member(name(x))
	}
	return of.made(kAny)
}

// base goes through a term without its suffixes.
func (a analysis) base(t *gojq.Term, in shape) shape {
	switch t.Type {
	case gojq.TermTypeIdentity:
		return in
	case gojq.TermTypeIndex:
		return a.index(t.Index, in, in)
	case gojq.TermTypeFunc:
		return a.call(t.Func, in)
	case gojq.TermTypeQuery:
		return a.query(t.Query, in)
	case gojq.TermTypeLabel:
		return a.query(t.Label.Body, in)
	case gojq.TermTypeBreak:
		return of(kNone)
	case gojq.TermTypeNull:
		return shape{kinds: kNull, known: true}
	case gojq.TermTypeTrue, gojq.TermTypeFalse:
		return of(kBool)
	case gojq.TermTypeNumber:
		return of(kNumber)
	case gojq.TermTypeUnary:
		return a.term(t.Unary.Term, in).made(kNumber)
	case gojq.TermTypeArray:
		return a.query(t.Array.Query, in).made(kArray)
	case gojq.TermTypeString, gojq.TermTypeFormat:
		if t.Str == nil {
			return in.made(kString)
		}
		out := of(kString)
		if t.Type == gojq.TermTypeString && len(t.Str.Queries) == 0 {
			out.constant = []string{t.Str.Str}
		}
		for _, part := range t.Str.Queries {
			out = out.mixed(a.query(part, in)).as(kString)
		}
		return out
	case gojq.TermTypeObject:
		for _, kv := range t.Object.KeyVals {
			a.query(kv.KeyQuery, in)
			a.query(kv.Val, in)
		}
		return literalKeys(t.Object)
	case gojq.TermTypeIf:
		return a.branches(t.If, in)
	case gojq.TermTypeTry:
		body := a.query(t.Try.Body, in)
		if t.Try.Catch == nil {
			return body
		}
		return body.or(a.query(t.Try.Catch, of(kAny)))
	case gojq.TermTypeReduce:
		r := t.Reduce
		start, update := a.loop(r.Query, r.Patterns, in, r.Start, r.Update)
		return of(start.kinds | update.kinds)
	case gojq.TermTypeForeach:
		f := t.Foreach
		_, last := a.loop(f.Query, f.Patterns, in, f.Start, f.Update)
		if f.Extract != nil {
			_, last = a.loop(f.Query, f.Patterns, in, f.Start, f.Extract)
		}
		return of(last.kinds)
	}
	return of(kAny)
}

func (a analysis) branches(e *gojq.If, in shape) shape {
	conditions, branches := arms(e)
	for _, condition := range conditions {
		a.query(condition, in)
	}
	out := a.query(branches[0], in)
	for _, branch := range branches[1:] {
		out = out.or(a.query(branch, in))
	}
	return out
}

// loop goes through reduce and foreach, whose bodies see their own value.
func (a analysis) loop(source *gojq.Query, patterns []*gojq.Pattern, in shape, begin, body *gojq.Query) (start, each shape) {
	items := a.query(source, in)
	start = a.query(begin, in)
	for _, p := range patterns {
		a = a.with(p, items)
	}
	return start, a.query(body, of(kAny))
}

// call is a variable, a definition of the program's, or a builtin, whose result
// is taken to come from its input.
func (a analysis) call(f *gojq.Func, in shape) shape {
	called := arity(f.Name, len(f.Args))
	if strings.HasPrefix(f.Name, "$") {
		called = f.Name
	}
	if v := a.vars.find(called); v != nil {
		return v.shape
	} else if called == f.Name {
		return shape{kinds: kAny, constant: []string{called}}
	}
	args, all, inside := make([]shape, len(f.Args)), shape{}, in
	inside.constant = nil // a function may give its arguments another input
	for i, arg := range f.Args {
		args[i] = a.query(arg, inside)
		all = all.or(args[i])
	}
	for i, def := range a.defs {
		if arity(def.Name, len(def.Args)) != called {
			continue
		}
		a.defs = a.defs[i:] // it sees itself and what is above it
		for i, arg := range def.Args {
			a = a.bind(arg, args[i]).bind(arity(strings.TrimPrefix(arg, "$"), 0), args[i])
		}
		result := a.query(def.Body, in)
		return shape{kinds: kAny, input: result.input, from: result.from} // of its types nothing is said
	}
	for _, name := range in.from {
		note(a.piped, called, name)
	}
	b, ok := builtins[called]
	if !ok {
		return in.made(kAny) // a mistake that is found later
	}
	switch called {
	case "jwt/2", "jwt/3", "sign/3":
		if args[0].constant != nil && args[1].constant != nil {
			*a.signs = append(*a.signs, Signing{args[0].constant, args[1].constant})
		}
	case "select/1", "values/0":
		return in
	case "objects/0":
		return in.as(b.yields)
	case "map_values/1", "del/1":
		in.input = false
		return in.as(b.yields)
	case "scalars/0":
		return in.made(in.kinds)
	case "first/1", "last/1":
		return shape{kinds: args[0].kinds, input: all.input, from: all.from}
	case "limit/2", "skip/2", "nth/2":
		return in.made(args[1].kinds)
	case "empty/0", "error/0", "error/1":
		return shape{known: true}
	}
	return in.made(b.yields)
}

func note(in map[string]map[string]bool, key, name string) {
	if in[key] == nil {
		in[key] = map[string]bool{}
	}
	in[key][name] = true
}
