package jq

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

// Comparing is recursive in gojq and takes as long as it takes. These functions
// do the same, step by step under the run's clock and no deeper than maxDepth.

// compare is gojq.Compare.
func (r *run) compare(a, b any, depth int) int {
	r.step(1)
	within(depth, maxDepth)
	switch a := a.(type) {
	case string:
		if b, ok := b.(string); ok {
			r.step(min(len(a), len(b)) >> 12)
			return strings.Compare(a, b)
		}
	case []any:
		if b, ok := b.([]any); ok {
			for i := range min(len(a), len(b)) {
				if c := r.compare(a[i], b[i], depth+1); c != 0 {
					return c
				}
			}
			return cmp.Compare(len(a), len(b))
		}
	case map[string]any:
		if b, ok := b.(map[string]any); ok {
			ak, bk := r.keys(a), r.keys(b)
			if c := slices.Compare(ak, bk); c != 0 {
				return c
			}
			for _, k := range ak {
				if c := r.compare(a[k], b[k], depth+1); c != 0 {
					return c
				}
			}
			return 0
		}
	}
	return gojq.Compare(a, b) // scalars, or values of different types
}

func (r *run) keys(m map[string]any) []string {
	r.step(len(m))
	return slices.Sorted(maps.Keys(m))
}

// comparison makes the function for an operator.
func comparison(holds func(c int) bool) native {
	return native{args: 2, call: func(r *run, _ any, args []any) any {
		return holds(r.compare(args[0], args[1], 0))
	}}
}

// An item is an element of a list to put in order.
type item struct{ value, key any }

// ordered pairs the elements with their keys and sorts them by these.
func (r *run) ordered(v, by any) ([]item, any) {
	values, ok := v.([]any)
	if !ok {
		return nil, fault("only arrays can be sorted")
	}
	keys, ok := by.([]any)
	if !ok || len(keys) != len(values) {
		return nil, fault("sorting needs a key for each element")
	}
	r.spend(64 * len(values))
	items := make([]item, len(values))
	single := !slices.ContainsFunc(keys, func(k any) bool { a, ok := k.([]any); return !ok || len(a) != 1 })
	for i, v := range values {
		k := keys[i]
		if single { // sort_by and the like give [key]
			k = k.([]any)[0]
		}
		items[i] = item{v, sortKey(k)}
	}
	slices.SortStableFunc(items, func(a, b item) int { return r.compare(a.key, b.key, 0) })
	return items, nil
}

func order(r *run, v any, args []any) any {
	items, err := r.ordered(v, args[0])
	if err != nil {
		return err
	}
	out := make([]any, len(items))
	for i, it := range items {
		out[i] = it.value
	}
	return out
}

func groups(r *run, v any, args []any) any {
	items, err := r.ordered(v, args[0])
	if err != nil {
		return err
	}
	out := []any{}
	for start, i := 0, 1; i <= len(items); i++ {
		if i < len(items) && r.compare(items[start].key, items[i].key, 0) == 0 {
			continue
		}
		group := make([]any, 0, i-start)
		for _, it := range items[start:i] {
			group = append(group, it.value)
		}
		out, start = append(out, group), i
	}
	return out
}

// extreme makes min_by (sign 1) and max_by (sign -1): the first of the least,
// the last of the greatest.
func extreme(sign int) func(*run, any, []any) any {
	return func(r *run, v any, args []any) any {
		values, ok := v.([]any)
		keys, ok2 := args[0].([]any)
		if !ok || !ok2 || len(keys) != len(values) {
			return fault("only arrays have a least and a greatest element")
		}
		if len(values) == 0 {
			return nil
		}
		best := 0
		for i := 1; i < len(keys); i++ {
			if c := r.compare(keys[best], keys[i], 0); sign > 0 && c > 0 || sign < 0 && c <= 0 {
				best = i
			}
		}
		return values[best]
	}
}

func bsearch(r *run, v any, args []any) any {
	list, ok := v.([]any)
	if !ok {
		return fault("bsearch needs an array")
	}
	i, found := slices.BinarySearchFunc(list, args[0], func(a, b any) int { return r.compare(a, b, 0) })
	if found {
		return i
	}
	return -i - 1
}

// contains reports whether b is in a; ok is false when they cannot be compared.
func (r *run) contains(a, b any, depth int) (in, ok bool) {
	r.step(1)
	within(depth, maxDepth)
	switch a := a.(type) {
	case string:
		if b, ok := b.(string); ok {
			r.step(len(a) >> 12)
			return strings.Contains(a, b), true
		}
	case []any:
		if b, ok := b.([]any); ok {
			return !slices.ContainsFunc(b, func(y any) bool {
				return !slices.ContainsFunc(a, func(x any) bool {
					in, _ := r.contains(x, y, depth+1)
					return in
				})
			}), true
		}
	case map[string]any:
		if b, ok := b.(map[string]any); ok {
			if len(a) < len(b) {
				return false, true
			}
			for k, y := range b {
				if x, ok := a[k]; !ok {
					return false, true
				} else if in, _ := r.contains(x, y, depth+1); !in {
					return false, true
				}
			}
			return true, true
		}
	case nil, bool:
		return a == b, a == b
	default:
		if _, ok := gojq.ToFloat64(b); ok {
			return gojq.Compare(a, b) == 0, true
		}
	}
	return false, false
}

func contains(r *run, v any, args []any) any {
	if in, ok := r.contains(v, args[0], 0); ok {
		return in
	}
	return fault("contains compares values of one type")
}

func inside(r *run, v any, args []any) any { return contains(r, args[0], []any{v}) }
