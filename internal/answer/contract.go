// Package answer makes what the phone system gets: the contract that every
// answer of a route keeps, and the formats that answers are written in.
package answer

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
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

// Apply returns the answer that doc becomes under the contract: every key of it
// is there, with a value of the default's kind. A key that is missing or null
// takes its default, and so does a value that doesn't fit: an array or object
// where the default is a text, number or boolean, anything but an array where it
// is one, anything but an object where it is one. Where the default is a string,
// numbers and booleans become strings, numbers as they are written. Where it is
// an object with keys, an object keeps it in turn. A default of null takes
// anything. Keys beyond the contract stay.
//
// In a format of one level, which all but JSON are, an array or an object has no
// key of its own. There a default of null takes no array and no object, and a
// default of {} stays, blank, beside the members of the object that it takes.
//
// A nil doc becomes the defaults, any other that is no object is ErrNotObject.
// The result may be changed at its first level only: below, it shares parts
// with doc, which stays as it is.
func (c *Contract) Apply(doc any, f Format) (map[string]any, error) {
	if doc == nil {
		return c.Default(), nil
	}
	object, ok := doc.(map[string]any)
	if !ok {
		return nil, ErrNotObject
	}
	return c.apply(object, f != JSON), nil
}

func (c *Contract) apply(object map[string]any, flat bool) map[string]any {
	out := make(map[string]any, len(object)+len(c.keys)+2) // and _status, _age
	maps.Copy(out, object)
	for _, key := range c.keys {
		out[key] = c.fit(out, key, flat)
	}
	return out
}

// fit is the value of a key of the contract: that of out where it fits, else the
// default.
func (c *Contract) fit(out map[string]any, key string, flat bool) any {
	value, fallback := out[key], c.defaults[key]
	if isNull(value) {
		return clone(fallback)
	}
	array, isArray := value.([]any)
	object, isObject := value.(map[string]any)
	switch fallback.(type) {
	case string:
		if s, ok := scalar(value); ok {
			return s
		}
	case []any:
		if isArray {
			return array
		}
	case map[string]any:
		switch {
		case isObject && c.inner[key] != nil:
			return c.inner[key].apply(object, flat)
		case isObject && flat && c.spread(out, key, object):
			return ""
		case isObject:
			return object
		}
	case nil:
		if !flat || !isArray && !isObject {
			return value
		}
	default:
		if !isArray && !isObject {
			return value
		}
	}
	return clone(fallback)
}

// spread puts the members of an object beside it, under the names that they get
// in one level. It reports false, and does nothing, when one is taken.
func (c *Contract) spread(out map[string]any, key string, object map[string]any) bool {
	for name := range object {
		_, there := out[key+"_"+name]
		_, wanted := c.defaults[key+"_"+name]
		if there || wanted {
			return false
		}
	}
	for name, member := range object {
		out[key+"_"+name] = member
	}
	return true
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

// longestOutcome is one of the longest words of package call.
const longestOutcome = "breaker_open"

// Fits reports whether the defaults of a contract can be written at all, with the
// longest outcome in statusField ("" for none): they are what remains when
// everything else has failed. The error is for the one who wrote the contract.
func (s *Style) Fits(contract *Contract, statusField string) error {
	if s.Format == Text && len(contract.keys) != 1 {
		return errors.New("text is one value, so the contract has exactly one key, e.g. `default `{name: \"\"}``")
	}
	doc := s.withOutcome(contract.Default(), statusField)
	if key, ok := s.firstChanged(doc); ok {
		return fmt.Errorf("the key %q has a character that %s replaces with another; give it a name of letters and digits", key, s.whose())
	}
	_, err := s.Append(nil, doc)
	if !errors.Is(err, jsonval.ErrTooLarge) {
		return err
	}
	free := *s
	free.Limit = 0
	if out, err := free.Append(nil, doc); err == nil {
		return fmt.Errorf("the defaults take %d bytes, and %s takes %d; shorten names and defaults, or leave some out", len(out), s.whose(), s.Limit)
	}
	if s.FieldLimit > 0 {
		return fmt.Errorf("a default is longer than the %d bytes that %s takes of one value", s.FieldLimit, s.whose())
	}
	return err
}

// Warn says when the names of a contract leave less than half of the limit for
// values, and "" when all is well.
func (s *Style) Warn(contract *Contract, statusField string) string {
	if s.Limit == 0 {
		return ""
	}
	out, err := s.Append(nil, s.withOutcome(blank(contract.Default()).(map[string]any), statusField))
	if err != nil || 2*len(out) <= s.Limit {
		return ""
	}
	return fmt.Sprintf("the names of the contract take %d of the %d bytes that %s takes; an answer with long values will be too_large", len(out), s.Limit, s.whose())
}

func (s *Style) whose() string {
	if s.system == "" {
		return "the phone system"
	}
	return s.system
}

func (s *Style) withOutcome(doc map[string]any, statusField string) map[string]any {
	if statusField != "" && s.Format != Text { // text is one value
		doc[statusField] = longestOutcome
	}
	return doc
}

// firstChanged returns a key of doc that the filter would change. A flow would
// look for it in vain.
func (s *Style) firstChanged(doc any) (changed string, ok bool) {
	ok = jsonval.Any(doc, func(key string, _ any) bool {
		changed = strings.ToValidUTF8(key, "\uFFFD")
		return s.filter.apply(key) != key
	})
	return changed, ok
}

// blank returns v with the same names, and values that take next to nothing.
func blank(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			v[key] = blank(value)
		}
		return v
	case []any:
		return []any{}
	}
	return ""
}
