package jq

import (
	"maps"
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

// ObjectKeys are the names of all members that the program's result can have,
// sorted, where its text shows them: because every way through it ends in an
// object literal with written keys. Null counts as no member. Otherwise ok is
// false.
func (p *Program) ObjectKeys() (names []string, ok bool) {
	f := keyFinder{own: ownNames(p.define)}
	keys := f.query(p.written, keySet{})
	if !keys.known || keys.names == nil {
		return nil, false
	}
	return slices.Sorted(maps.Keys(keys.names)), true
}

// A keySet is what is known of a value's members. The zero value is that nothing
// is known; known without names is a value without members: null, or none.
type keySet struct {
	known bool
	names map[string]bool
}

func (k keySet) or(other keySet) keySet {
	if !k.known || !other.known {
		return keySet{}
	}
	if k.names == nil && other.names == nil {
		return keySet{known: true}
	}
	all := map[string]bool{}
	maps.Copy(all, k.names)
	maps.Copy(all, other.names)
	return keySet{known: true, names: all}
}

// A keyFinder finds the members of what a query yields.
type keyFinder struct {
	own   map[string]bool // functions that the program defines
	depth int
}

func (f keyFinder) query(q *gojq.Query, in keySet) keySet {
	if f.depth++; q == nil || f.depth > maxDepth {
		return keySet{}
	}
	if len(q.FuncDefs) > 0 {
		own := ownNames(q.FuncDefs)
		maps.Copy(own, f.own)
		f.own = own
	}
	if q.Term != nil {
		return f.term(q.Term, in)
	}
	switch q.Op {
	case gojq.OpPipe:
		if q.Patterns == nil {
			in = f.query(q.Left, in)
		}
		return f.query(q.Right, in)
	case gojq.OpComma, gojq.OpAlt, gojq.OpAdd, gojq.OpMul:
		// + and * give the members of both
		return f.query(q.Left, in).or(f.query(q.Right, in))
	}
	if assigns(q.Op) && isPath(q.Left) {
		if path := names(q.Left, nil); len(path) > 0 {
			return in.or(keySet{known: true, names: map[string]bool{path[0]: true}})
		}
	}
	return keySet{}
}

func (f keyFinder) term(t *gojq.Term, in keySet) keySet {
	for _, s := range t.SuffixList {
		if !s.Optional {
			return keySet{}
		}
	}
	switch t.Type {
	case gojq.TermTypeIdentity:
		return in
	case gojq.TermTypeNull:
		return keySet{known: true}
	case gojq.TermTypeObject:
		return literalKeys(t.Object)
	case gojq.TermTypeQuery:
		return f.query(t.Query, in)
	case gojq.TermTypeIf:
		return f.branches(t.If, in)
	case gojq.TermTypeTry:
		keys := f.query(t.Try.Body, in)
		if t.Try.Catch != nil {
			keys = keys.or(f.query(t.Try.Catch, keySet{}))
		}
		return keys
	case gojq.TermTypeLabel:
		return f.query(t.Label.Body, in)
	case gojq.TermTypeFunc:
		return f.call(t.Func, in)
	}
	return keySet{}
}

func (f keyFinder) branches(e *gojq.If, in keySet) keySet {
	keys := f.query(e.Then, in)
	for _, elif := range e.Elif {
		keys = keys.or(f.query(elif.Then, in))
	}
	if e.Else == nil {
		return keys.or(in)
	}
	return keys.or(f.query(e.Else, in))
}

func (f keyFinder) call(c *gojq.Func, in keySet) keySet {
	name := arity(c.Name, len(c.Args))
	if f.own[name] {
		return keySet{}
	}
	switch name {
	case "empty/0", "error/0", "error/1":
		return keySet{known: true}
	case "select/1", "values/0", "objects/0", "map_values/1", "del/1":
		return in
	}
	return keySet{}
}

// literalKeys are the keys of an object literal, if none is computed.
func literalKeys(o *gojq.Object) keySet {
	keys := keySet{known: true, names: map[string]bool{}}
	for _, kv := range o.KeyVals {
		key, ok := literalKey(kv.Key, kv.KeyString)
		if !ok || kv.KeyQuery != nil {
			return keySet{}
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
