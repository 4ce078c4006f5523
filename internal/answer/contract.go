// Package answer makes what the phone system gets: the contract that every
// answer of a route keeps, and the formats that answers are written in.
package answer

import (
	"errors"
	"maps"
	"slices"
)

// ErrNotObject says that a document is no object and can't keep a contract.
var ErrNotObject = errors.New("answer: not an object")

// Contract is the keys that every answer of a route has, with their defaults.
// It is immutable and safe for concurrent use.
type Contract struct {
	keys     []string
	defaults map[string]any
	inner    map[string]*Contract // of defaults that are objects
}

// NewContract makes a contract of the object that holds the defaults, of which
// it keeps a copy.
func NewContract(defaults map[string]any) *Contract {
	c := &Contract{
		keys:     slices.Sorted(maps.Keys(defaults)),
		defaults: clone(defaults).(map[string]any),
	}
	for key, value := range c.defaults {
		if object, ok := value.(map[string]any); ok && len(object) > 0 {
			if c.inner == nil {
				c.inner = map[string]*Contract{}
			}
			c.inner[key] = NewContract(object)
		}
	}
	return c
}

// Keys returns the keys of the contract, sorted.
func (c *Contract) Keys() []string { return slices.Clone(c.keys) }

// Default returns the defaults as an object of the caller's own.
func (c *Contract) Default() map[string]any { return clone(c.defaults).(map[string]any) }

// Apply returns the answer that doc becomes under the contract. A missing or
// null key takes its default. Where the default is a string, a number or
// boolean becomes one, numbers as they are written; where it is an object, an
// object keeps it in turn. Keys beyond the contract stay, and so do values of
// other types than their default.
//
// A nil doc becomes the defaults, any other that is no object is ErrNotObject.
// The result may be changed at its first level only: below, it shares parts
// with doc, which stays as it is.
func (c *Contract) Apply(doc any) (map[string]any, error) {
	if doc == nil {
		return c.Default(), nil
	}
	object, ok := doc.(map[string]any)
	if !ok {
		return nil, ErrNotObject
	}
	return c.apply(object), nil
}

func (c *Contract) apply(object map[string]any) map[string]any {
	out := make(map[string]any, len(object)+len(c.keys)+2) // and _status, _age
	maps.Copy(out, object)
	for _, key := range c.keys {
		value := out[key]
		switch fallback := c.defaults[key].(type) {
		case string:
			if isNull(value) {
				out[key] = fallback
			} else if s, ok := scalar(value); ok {
				out[key] = s
			}
		default:
			if isNull(value) {
				out[key] = clone(fallback)
			} else if nested, ok := value.(map[string]any); ok && c.inner[key] != nil {
				out[key] = c.inner[key].apply(nested)
			}
		}
	}
	return out
}

func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			out[key] = clone(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = clone(value)
		}
		return out
	}
	return v
}
