package jq

import (
	"maps"
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

// A shape is what is known of a value: a superset of the types that it can have, of
// its members' names, and of where it can come from.
type shape struct {
	kinds kinds
	known bool            // whether the names of its members are known
	names map[string]bool // nil for a value without members: null, or none

	input bool     // it can be the program's input
	from  []string // or come from these members of it

	constant []string // the literal or variables that it is, as in Signing; nil for anything else
}

func of(k kinds) shape { return shape{kinds: k} }

func (s shape) or(t shape) shape {
	either := s.mixed(t)
	if either.known = s.known && t.known; either.known && (s.names != nil || t.names != nil) {
		either.names = map[string]bool{}
		maps.Copy(either.names, s.names)
		maps.Copy(either.names, t.names)
	}
	either.input = s.input || t.input
	return either
}

// mixed is what is made of two values.
func (s shape) mixed(t shape) shape {
	return shape{kinds: s.kinds | t.kinds, from: append(slices.Clip(s.from), t.from...)}
}

// made is a value of other types that is made of s.
func (s shape) made(k kinds) shape { return shape{kinds: k, from: s.from} }

// as is s with other types.
func (s shape) as(k kinds) shape {
	s.kinds = k
	return s
}

func (s shape) member(name string) shape {
	if s.input {
		s.from = append(slices.Clip(s.from), name)
	}
	return s.made(kAny)
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
