package jq

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/itchyny/gojq"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// maxSource is how long a program and its definitions can be, in bytes each.
const maxSource = 64 << 10

// Compile compiles src. Every error is a *SyntaxError.
func Compile(src string, s Spec) (p *Program, err error) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *SyntaxError:
			p, err = nil, e
		default:
			p, err = nil, errorAt(src, 0, "program cannot be compiled", "")
		}
	}()
	prelude.once.Do(loadPrelude)
	w := &rewriter{inDefine: true, src: s.Define, patterns: new([]*pattern)}
	defs, units := w.definitions(s.Define)

	w.inDefine, w.src, w.compares = false, src, s.Want == Predicate
	main := newUnit(nil)
	w.unit = main
	query := w.parse(src)
	w.query(query)

	// What only looks at a program has it as it is written; by now it is known
	// not to be nested too deeply.
	written := w.parse(src)
	var define []*gojq.FuncDef
	if len(defs) > 0 {
		define = w.parse(s.Define).FuncDefs
	}
	yields, found := analyze(written, define)
	if s.Want != Predicate && !yields.kinds.canBe(s.Want) {
		w.mistake("", mismatch(yields.kinds, s.Want), hintForKind(src))
	}
	reads := new(jsonval.Part)
	reader{defined: len(defs) > 0}.query(written, reads, s.Want.need())

	p = &Program{
		src: src, want: s.Want, time: cmp.Or(s.Time, Deadline), memory: cmp.Or(s.Memory, maxMade),
		yields: yields, piped: found.piped, members: found.members, signings: *found.signs, reads: reads, readsInput: readsInput(written, define), warning: suspicion(src, s.Want, written, yields.kinds),
		direct: newDirect(written, s.Vars, len(defs) > 0), uses: map[string]bool{}, patterns: *w.patterns,
	}
	used := map[*unit]bool{}
	p.reach(main, used)
	w.known(p, s.Vars)

	top := &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeQuery, Query: query}}
	for _, u := range slices.Concat(prelude.order, units) {
		if used[u] {
			top.FuncDefs = append(top.FuncDefs, u.def)
		}
	}
	p.query = top
	for _, v := range s.Vars {
		p.vars = append(p.vars, "$"+v)
	}
	slices.Sort(p.natives)
	m, err := p.newMachine()
	if err != nil {
		w.mistake("", err.Error(), "")
	}
	p.machines.Put(m)
	return p, nil
}

// suspicion tells what looks wrong with a program that compiles.
func suspicion(src string, want Kind, written *gojq.Query, yields kinds) string {
	var why string
	switch {
	case want == Predicate && !yields.canBe(want):
		why = mismatch(yields, want)
	case want == Object && isPath(written) && len(names(written, nil)) > 0:
		path := written.String()
		why = "gives what " + path + " is, an object is needed; write {name: " + path + "} for an object with one member"
	default:
		return ""
	}
	if hint := hintForKind(src); hint != "" {
		why += "; " + hint
	}
	return why
}

func (w *rewriter) parse(src string) *gojq.Query {
	if len(src) > maxSource {
		w.mistake("", "program is longer than 64 KiB", "")
	}
	query, err := gojq.Parse(src)
	if err != nil {
		e := parseError(src, err)
		e.InDefine = w.inDefine
		panic(e)
	}
	if query.Meta != nil || len(query.Imports) > 0 {
		w.mistake("", "modules are off", "write `define @lib.jq` for a file of definitions")
	}
	return query
}

// definitions brings those of Spec.Define into scope, each as a unit.
func (w *rewriter) definitions(src string) (defs []*gojq.FuncDef, units []*unit) {
	if strings.TrimSpace(src) == "" {
		return nil, nil
	}
	query := w.parse(src)
	if query.Term != nil || query.Op != 0 {
		w.mistake("", "definitions only, please: def name: …;", "")
	}
	for _, def := range query.FuncDefs {
		w.unit = newUnit(def)
		w.funcs = &binding{name: arity(def.Name, len(def.Args)), unit: w.unit, up: w.funcs}
		w.define(def)
		units = append(units, w.unit)
	}
	return query.FuncDefs, units
}

// reach collects what u needs.
func (p *Program) reach(u *unit, used map[*unit]bool) {
	if used[u] {
		return
	}
	used[u] = true
	for name := range u.free {
		p.uses[name] = true
	}
	for name := range u.natives {
		if !slices.Contains(p.natives, name) {
			p.natives = append(p.natives, name)
		}
	}
	for callee := range u.calls {
		p.reach(callee, used)
	}
}

// known refuses a variable that the program is not given.
func (w *rewriter) known(p *Program, vars []string) {
	for _, name := range slices.Sorted(maps.Keys(p.uses)) {
		if slices.Contains(vars, name) {
			continue
		}
		hint := ""
		if len(vars) > 0 {
			hint = "known here: $" + strings.Join(vars, ", $")
		}
		w.mistake("$"+name, "there is no variable $"+name, hint)
	}
}
