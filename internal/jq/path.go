package jq

import (
	"encoding/json"
	"maps"
	"math"
	"math/big"
	"slices"

	"github.com/itchyny/gojq"
)

// Where a path leads, and how an editor changes what is there. A step is a key,
// an index or a slice, an object with start and end.

const (
	errPath    = fault("path is not an array of keys and indices")
	errKey     = fault("path has a key for what is not an object")
	errIndex   = fault("path has an index for what is not an array")
	errBefore  = fault("path has a negative index before the array's start")
	errSlice   = fault("path has a slice without a start and end")
	errReplace = fault("slice can be replaced by an array only")
)

// child is what .[step] gives.
func child(v, step any) (any, error) {
	n, _ := v.(*node)
	switch step := step.(type) {
	case string:
		switch v := v.(type) {
		case nil:
			return nil, nil
		case map[string]any:
			return v[step], nil
		case *node:
			if n.object != nil {
				return n.object[step], nil
			}
		}
		return nil, errKey
	case int, float64, *big.Int, json.Number, map[string]any:
		items, ok := v.([]any)
		switch {
		case v == nil:
			return nil, nil
		case n != nil && n.object == nil:
			items = n.items
		case !ok:
			return nil, errIndex
		}
		if slice, ok := step.(map[string]any); ok {
			if n != nil {
				items = plainValue(n).([]any) // it shares the elements from now on
				n.items = slices.Clone(items)
			}
			start, end, err := bounds(slice, len(items))
			return items[start:end:end], err
		}
		if i, ok := position(step, len(items)); ok && i < len(items) {
			return items[i], nil
		}
		return nil, nil
	}
	return nil, errPath
}

// position is the index that a step means; ok is false before the start.
func position(step any, length int) (i int, ok bool) {
	i, _ = gojq.ToInt(step)
	if i < 0 {
		i += length
	}
	return i, i >= 0
}

// bounds is the part that a slice means.
func bounds(slice map[string]any, length int) (start, end int, err error) {
	from, ok := slice["start"]
	to, ok2 := slice["end"]
	if !ok || !ok2 {
		return 0, 0, errSlice
	}
	if from != nil {
		if start, ok = bound(from, false, 0, length); !ok {
			return 0, 0, errSlice
		}
	}
	end = length
	if to != nil {
		if end, ok = bound(to, true, start, length); !ok {
			return 0, 0, errSlice
		}
	}
	return start, end, nil
}

// bound is one end of a slice, rounded outwards as gojq does.
func bound(v any, up bool, least, length int) (int, bool) {
	f, ok := gojq.ToFloat64(v)
	switch {
	case up && (math.IsNaN(f) || -1 < f && f < 0):
		return length, ok
	case up:
		f = math.Ceil(f)
	default:
		f = math.Floor(f)
	}
	i, _ := gojq.ToInt(f)
	if i < 0 {
		i += length
	}
	return min(max(i, least), length), ok
}

// own makes v's container the editor's.
func (r *run) own(v any) *node {
	switch v := v.(type) {
	case *node:
		return v
	case map[string]any:
		r.spend(48 * len(v))
		if v = maps.Clone(v); v == nil {
			v = map[string]any{}
		}
		return &node{object: v}
	case []any:
		r.spend(16 * len(v))
		return &node{items: slices.Clone(v)}
	default: // null, about to become an array
		return &node{}
	}
}

// update sets what is at path to x, which is gone to delete it. It recurses at
// most as deep as a path is long.
func (r *run) update(v any, path []any, x any) (any, error) {
	r.step(1)
	if len(path) == 0 {
		return x, nil
	}
	if v == (gone{}) {
		return v, nil
	}
	switch step := path[0].(type) {
	case string:
		return r.updateKey(v, step, path[1:], x)
	case int, float64, *big.Int, json.Number:
		return r.updateIndex(v, step, path[1:], x)
	case map[string]any:
		return r.updateSlice(v, step, path[1:], x)
	}
	return nil, errPath
}

func (r *run) updateKey(v any, k string, path []any, x any) (any, error) {
	switch {
	case v != nil:
	case x == (gone{}):
		return nil, nil
	default:
		v = map[string]any{}
	}
	old, err := child(v, k)
	if err != nil {
		return nil, err
	}
	if x == (gone{}) && !has(v, k) {
		return v, nil
	}
	u, err := r.update(old, path, x)
	if err != nil {
		return nil, err
	}
	n := r.own(v)
	n.object[k] = u
	return n, nil
}

func has(v any, k string) bool {
	if n, ok := v.(*node); ok {
		v = n.object
	}
	m, _ := v.(map[string]any)
	_, ok := m[k]
	return ok
}

// elements are those of an array; null has none.
func elements(v any) ([]any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []any:
		return v, nil
	case *node:
		if v.object == nil {
			return v.items, nil
		}
	}
	return nil, errIndex
}

func (r *run) updateIndex(v, step any, path []any, x any) (any, error) {
	items, err := elements(v)
	if err != nil {
		return nil, err
	}
	var old any
	i, ok := position(step, len(items))
	switch {
	case ok && i < len(items):
		old = items[i]
	case x == (gone{}):
		return v, nil
	case !ok:
		return nil, errBefore
	case i >= maxItems:
		panic(abort{ErrTooLarge})
	}
	u, err := r.update(old, path, x)
	if err != nil {
		return nil, err
	}
	n := r.own(v)
	if more := i + 1 - len(n.items); more > 0 {
		r.spend(16 * more)
		n.items = append(n.items, make([]any, more)...)
	}
	n.items[i] = u
	return n, nil
}

func (r *run) updateSlice(v any, slice map[string]any, path []any, x any) (any, error) {
	items, err := elements(v)
	if err != nil {
		return nil, err
	}
	start, end, err := bounds(slice, len(items))
	if err != nil {
		return nil, err
	}
	if start == end && x == (gone{}) {
		return v, nil
	}
	r.spend(16 * (end - start))
	part, err := r.update(slices.Clone(items[start:end]), path, x)
	if err != nil {
		return nil, err
	}
	n := r.own(v)
	if part == (gone{}) {
		for i := start; i < end; i++ {
			n.items[i] = gone{}
		}
		return n, nil
	}
	with, err := elements(part)
	if err != nil || part == nil {
		return nil, errReplace
	}
	if len(with) == end-start {
		copy(n.items[start:], with)
		return n, nil
	}
	within(len(n.items)+len(with), 2*maxItems)
	r.spend(16 * (len(n.items) + len(with)))
	n.items = slices.Replace(slices.Clone(n.items), start, end, with...)
	return n, nil
}
