package jq

// checked lets a tree within limits pass.
func checked(r *run, v any, _ []any) any {
	r.spend(16 * r.tree(v))
	return v
}

// tree counts the values of a tree, a shared one each time that it is met, and
// ends the run when there are too many or they are too deep. It does not recurse.
func (r *run) tree(v any) int {
	type level struct {
		items  []any
		object map[string]any
		keys   []string
	}
	n := 1
	var stack []level
	push := func(v any) {
		switch v := v.(type) {
		case []any:
			n += len(v)
			stack = append(stack, level{items: v})
		case map[string]any:
			n += len(v)
			keys := make([]string, 0, len(v))
			for k := range v {
				keys = append(keys, k)
			}
			stack = append(stack, level{object: v, keys: keys})
		case string:
			n += len(v) >> 10
			return
		default:
			return
		}
		within(n, maxNodes)
		within(len(stack), maxDepth)
	}
	push(v)
	for len(stack) > 0 {
		r.step(1)
		top := &stack[len(stack)-1]
		switch {
		case len(top.items) > 0:
			v, top.items = top.items[0], top.items[1:]
		case len(top.keys) > 0:
			v, top.keys = top.object[top.keys[0]], top.keys[1:]
		default:
			stack = stack[:len(stack)-1]
			continue
		}
		push(v)
	}
	return n
}
