package jq

import (
	"slices"
)

// Changing a value by paths: what =, |=, setpath, del and their kind compile to
// (prelude.go). gojq's own deletion writes into values that it shares with the
// input and with constants: two runs of `del(.a)` over one value end the process
// with "concurrent map writes". Its setpath recurses as deep as a path that can
// come from data, and makes an array as long as the index says.
//
// An editor copies a container when it first changes it, and each only once.

// A node is a container that belongs to its editor and may be written.
type node struct {
	object map[string]any
	items  []any
}

// gone marks what will be deleted.
type gone struct{}

// An editor is the state of one change; it is `.` within _modify and the like.
type editor struct {
	root    any // a value, some of whose containers are *node
	deleted []any
}

func edit(_ *run, v any, _ []any) any { return &editor{root: v} }

// get is getpath: the value as it is now, which the program may keep.
func get(_ *run, v any, args []any) any {
	e, ok := v.(*editor)
	path, ok2 := args[0].([]any)
	if !ok || !ok2 {
		return errPath
	}
	if len(path) == 0 {
		e.root = plainValue(e.root)
		return e.root
	}
	at := e.root
	for i, step := range path {
		n, owned := at.(*node)
		next, err := child(at, step)
		if err != nil {
			return err
		}
		if i == len(path)-1 {
			next = plainValue(next)
			if owned { // what is given out is no longer ours to write
				n.keep(step, next)
			}
		}
		at = next
	}
	return at
}

// put sets the value at a path.
func put(r *run, v any, args []any) any {
	e, ok := v.(*editor)
	if !ok {
		return errPath
	}
	if err := e.set(r, args[0], args[1]); err != nil {
		return err
	}
	return e
}

// drop notes a path for deletion: until it is done, paths mean the same.
func drop(_ *run, v any, args []any) any {
	e, ok := v.(*editor)
	if !ok {
		return errPath
	}
	e.deleted = append(e.deleted, args[0])
	return e
}

// set sets the value at a path to x, which is gone to delete it.
func (e *editor) set(r *run, path, x any) error {
	steps, ok := path.([]any)
	if !ok {
		return errPath
	}
	within(len(steps), maxDepth)
	root, err := r.update(e.root, steps, x)
	if err != nil {
		return err
	}
	e.root = root
	return nil
}

// done is the changed value.
func done(r *run, v any, _ []any) any {
	e, ok := v.(*editor)
	if !ok {
		return errPath
	}
	if len(e.deleted) > 0 {
		// In order, so that what is within a deleted part is left alone.
		paths := e.deleted
		inOrder := func(a, b any) int { return r.compare(a, b, 0) }
		if !slices.IsSortedFunc(paths, inOrder) {
			paths = slices.Clone(paths)
			slices.SortStableFunc(paths, inOrder)
		}
		for _, path := range paths {
			if err := e.set(r, path, gone{}); err != nil {
				return err
			}
		}
	}
	e.root = plainValue(e.root)
	if e.root == (gone{}) {
		return nil
	}
	return e.root
}

func setpath(r *run, v any, args []any) any {
	e := &editor{root: v}
	if err := e.set(r, args[0], args[1]); err != nil {
		return err
	}
	return plainValue(e.root)
}

func delpaths(r *run, v any, args []any) any {
	paths, ok := args[0].([]any)
	if !ok {
		return errPath
	}
	return done(r, &editor{root: v, deleted: paths}, nil)
}

// plainValue gives the containers of a node away: nobody writes them any more.
func plainValue(v any) any {
	n, ok := v.(*node)
	if !ok {
		return v
	}
	if n.object != nil {
		for k, v := range n.object {
			if v == (gone{}) {
				delete(n.object, k)
			} else if _, ok := v.(*node); ok {
				n.object[k] = plainValue(v)
			}
		}
		return n.object
	}
	kept := n.items[:0]
	for _, v := range n.items {
		if v != (gone{}) {
			kept = append(kept, plainValue(v))
		}
	}
	clear(n.items[len(kept):])
	return kept
}

// keep puts a value that get has given out in the node's place for it.
func (n *node) keep(step, v any) {
	switch step := step.(type) {
	case string:
		if _, ok := n.object[step]; ok {
			n.object[step] = v
		}
	case map[string]any: // a slice is a copy
	default:
		if i, ok := position(step, len(n.items)); ok && i < len(n.items) {
			n.items[i] = v
		}
	}
}
