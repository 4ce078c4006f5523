package jq

import (
	"encoding/json"
	"maps"
	"math"
	"math/big"
	"reflect"
	"slices"

	"github.com/itchyny/gojq"
)

// Changing a value by paths: what =, |=, setpath, del and their kind compile to
// (prelude.go). gojq's own deletion writes into values that it shares with the
// input and with constants: two runs of `del(.a)` over one value end the process
// with "concurrent map writes". Its setpath recurses as deep as a path that can
// come from data, and makes an array as long as the index says.
//
// An editor copies a container when it first changes it, and each only once. A step
// of a path is a key, an index or a slice: an object with start and end.

const (
	errPath    = fault("path is not an array of keys and indices")
	errKey     = fault("path has a key for what is not an object")
	errIndex   = fault("path has an index for what is not an array")
	errBefore  = fault("path has a negative index before the array's start")
	errSlice   = fault("path has a slice without a start and end")
	errReplace = fault("slice can be replaced by an array only")
)

// gone marks what will be deleted.
type gone struct{}

// An editor is the state of one change; it is `.` within _modify and the like, and
// no program gets hold of it.
type editor struct {
	root    any
	owned   map[any]bool // containers that it may write: nobody else has them
	deleted []any
}

func edit(_ *run, v any, _ []any) any { return &editor{root: v} }

// identity tells containers apart; nil for those without a place for anything.
func identity(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return reflect.ValueOf(v).UnsafePointer()
	case []any:
		if len(v) > 0 {
			return &v[0]
		}
	}
	return nil
}

func (e *editor) own(v any) {
	if id := identity(v); id != nil {
		if e.owned == nil {
			e.owned = map[any]bool{}
		}
		e.owned[id] = true
	}
}

// release is called before a value is given out: from then on it is not the editor's
// to write. What is within a container that the editor does not own is not its own
// either.
func (e *editor) release(v any) {
	if id := identity(v); e.owned[id] {
		delete(e.owned, id)
		each(v, e.release)
	}
}

// get is getpath: the value as it is now, which the program may keep.
func get(_ *run, v any, args []any) any {
	e, path := v.(*editor), args[0].([]any) // of path(…)
	at := e.root
	for _, step := range path {
		if _, slice := step.(map[string]any); slice {
			e.release(at) // they share elements
		}
		var err error
		if at, err = child(at, step); err != nil {
			return err
		}
	}
	e.release(at)
	return at
}

// put sets the value at a path.
func put(r *run, v any, args []any) any {
	e := v.(*editor)
	if err := e.set(r, args[0], args[1]); err != nil {
		return err
	}
	return e
}

// drop notes a path for deletion: until it is done, paths mean the same.
func drop(_ *run, v any, args []any) any {
	e := v.(*editor)
	e.deleted = append(e.deleted, args[0])
	return e
}

// done is the changed value.
func done(r *run, v any, _ []any) any {
	e := v.(*editor)
	if len(e.deleted) == 0 {
		return e.root
	}
	// In order, so that what is within a deleted part is left alone.
	inOrder := func(a, b any) int { return r.compare(a, b, 0) }
	if !slices.IsSortedFunc(e.deleted, inOrder) {
		e.deleted = slices.Clone(e.deleted)
		slices.SortStableFunc(e.deleted, inOrder)
	}
	for _, path := range e.deleted {
		if err := e.set(r, path, gone{}); err != nil {
			return err
		}
	}
	return e.rest(e.root)
}

// rest is v without what is gone, which only containers of the editor hold.
func (e *editor) rest(v any) any {
	if v == (gone{}) {
		return nil
	}
	if !e.owned[identity(v)] {
		return v
	}
	switch v := v.(type) {
	case map[string]any:
		for k, member := range v {
			if member == (gone{}) {
				delete(v, k)
			} else {
				v[k] = e.rest(member)
			}
		}
	case []any:
		left := v[:0]
		for _, item := range v {
			if item != (gone{}) {
				left = append(left, e.rest(item))
			}
		}
		clear(v[len(left):])
		return left
	}
	return v
}

func setpath(r *run, v any, args []any) any {
	e := &editor{root: v}
	if err := e.set(r, args[0], args[1]); err != nil {
		return err
	}
	return e.root
}

func delpaths(r *run, v any, args []any) any {
	paths, ok := args[0].([]any)
	if !ok {
		return errPath
	}
	return done(r, &editor{root: v, deleted: paths}, nil)
}

// set sets the value at a path to x, which is gone to delete it.
func (e *editor) set(r *run, path, x any) error {
	steps, ok := path.([]any)
	if !ok {
		return errPath
	}
	within(len(steps), maxDepth)
	root, err := e.update(r, e.root, steps, x)
	if err == nil {
		e.root = root
	}
	return err
}

// update sets what is at path within v. It recurses at most as deep as a path is long.
func (e *editor) update(r *run, v any, path []any, x any) (any, error) {
	r.step(1)
	if len(path) == 0 {
		return x, nil
	}
	if v == (gone{}) {
		return v, nil
	}
	switch step := path[0].(type) {
	case string:
		return e.updateKey(r, v, step, path[1:], x)
	case int, float64, *big.Int, json.Number:
		return e.updateIndex(r, v, step, path[1:], x)
	case map[string]any:
		return e.updateSlice(r, v, step, path[1:], x)
	}
	return nil, errPath
}

func (e *editor) updateKey(r *run, v any, k string, path []any, x any) (any, error) {
	m, err := members(v)
	if err != nil {
		return nil, err
	}
	old, there := m[k]
	if x == (gone{}) && !there {
		return v, nil
	}
	u, err := e.update(r, old, path, x)
	if err != nil {
		return nil, err
	}
	if !e.owned[identity(m)] {
		r.spend(48 * len(m))
		m = maps.Clone(m)
		if m == nil {
			m = map[string]any{}
		}
		e.own(m)
	}
	m[k] = u
	return m, nil
}

func (e *editor) updateIndex(r *run, v, step any, path []any, x any) (any, error) {
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
	}
	within(i+1, maxItems)
	u, err := e.update(r, old, path, x)
	if err != nil {
		return nil, err
	}
	items = e.array(r, items)
	if more := i + 1 - len(items); more > 0 {
		r.spend(16 * more)
		items = append(items, make([]any, more)...)
		e.own(items)
	}
	items[i] = u
	return items, nil
}

func (e *editor) updateSlice(r *run, v any, slice map[string]any, path []any, x any) (any, error) {
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
	part, err := e.update(r, slices.Clone(items[start:end]), path, x)
	if err != nil {
		return nil, err
	}
	items = e.array(r, items)
	if part == (gone{}) {
		for i := start; i < end; i++ {
			items[i] = gone{}
		}
		return items, nil
	}
	with, err := elements(part)
	if err != nil || part == nil {
		return nil, errReplace
	}
	if len(with) == end-start {
		copy(items[start:], with)
		return items, nil
	}
	within(len(items)+len(with), 2*maxItems)
	r.spend(16 * (len(items) + len(with)))
	items = slices.Replace(slices.Clone(items), start, end, with...)
	e.own(items)
	return items, nil
}

// array is an array that the editor may write.
func (e *editor) array(r *run, items []any) []any {
	if !e.owned[identity(items)] {
		r.spend(16 * len(items))
		items = slices.Clone(items)
		e.own(items)
	}
	return items
}

// child is what .[step] gives.
func child(v, step any) (any, error) {
	switch step := step.(type) {
	case string:
		m, err := members(v)
		return m[step], err
	case int, float64, *big.Int, json.Number:
		items, err := elements(v)
		if i, ok := position(step, len(items)); ok && i < len(items) {
			return items[i], nil
		}
		return nil, err
	case map[string]any:
		items, err := elements(v)
		if err != nil || v == nil {
			return nil, err
		}
		start, end, err := bounds(step, len(items))
		return items[start:end:end], err
	}
	return nil, errPath
}

// members are those of an object; null has none.
func members(v any) (map[string]any, error) {
	m, ok := v.(map[string]any)
	if !ok && v != nil {
		return nil, errKey
	}
	return m, nil
}

// elements are those of an array; null has none.
func elements(v any) ([]any, error) {
	items, ok := v.([]any)
	if !ok && v != nil {
		return nil, errIndex
	}
	return items, nil
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
