package jq

import (
	"encoding/json"
	"math/big"
	"strings"
	"unicode/utf8"

	"github.com/itchyny/gojq"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// What a run may use.
const (
	maxText   = 8 << 20          // bytes of one string
	maxItems  = 1_000_000        // elements of one array or object
	maxNodes  = jsonval.MaxNodes // values in a tree, shared ones counted each time
	maxDepth  = jsonval.MaxDepth // levels of a tree, steps of a path
	maxBits   = 4096             // of an integer
	maxPairs  = 10_000_000
	maxMade   = 128 << 20 // bytes that the functions of one run make in all
	maxKey    = 64 << 10  // bytes of a key that is put together
	maxLayout = 1024      // bytes of a time's layout
	maxFind   = 16        // values in an array that .[…] looks for, itself included
)

// How each is guarded. "After" looks at a result that is at most the sum of
// two values within limits; "before" looks at what comes in, because the result
// can be anything or because the builtin recurses; "own" is our own function.
//
//	+  add/0 reverse keys implode ascii_* @…        after: size of the result
//	*                                               before: length × factor; trees of a merge
//	-                                               before: elements × elements × their nodes
//	/                                               before: number of parts
//	== != < <= > >= sort unique group min max …     own: depth and clock, compare.go
//	contains inside indices index rindex bsearch    own: depth and clock, compare.go
//	"\(…)" tojson tostring @json @text              own: nodes, depth and bytes, text.go
//	@html @uri @base64 …                            before: an array or object becomes text by our own
//	@csv @tsv @sh add/0 join                        before: sum of the elements' sizes
//	flatten                                         before: nodes and depth
//	transpose                                       before: rows × columns
//	tonumber fromjson                               before: digits; own: Decode
//	strftime strflocaltime                          before: length of the layout
//	explode split/1                                 before: number of parts
//	.[] map any all …                               before: memory of the iteration
//	.[…] getpath                                    before: an array that is looked for
//	= |= += … setpath del delpaths map_values pick  own: edit.go
//	fromstream INDEX walk
//	match test capture scan split/2 splits sub gsub own: regex.go
//
// The rest of gojq's builtins takes time and memory in proportion to values
// that are within limits; builtins.go lists them. Those not listed don't exist
// for a program, so that a new version of gojq adds nothing unseen.

// post is put behind what can grow: it lets a value within limits pass.
func post(r *run, v any, _ []any) any {
	switch v := v.(type) {
	case string:
		within(len(v), maxText)
		r.spend(len(v))
	case []any:
		within(len(v), maxItems)
		r.spend(16 * len(v))
	case map[string]any:
		within(len(v), maxItems)
		r.spend(48 * len(v))
	case *big.Int:
		within(v.BitLen(), maxBits)
	}
	return v
}

// iter is put before .[], which copies the elements: nested ones would multiply.
// It gives the very value back, so that paths stay intact.
func iter(r *run, v any, _ []any) any {
	switch v := v.(type) {
	case []any:
		r.spend(32 * len(v))
	case map[string]any:
		r.spend(48 * len(v))
	}
	return v
}

// times is put before a multiplication by args[0].
func times(r *run, v any, args []any) any {
	switch l := v.(type) {
	case string:
		if n, ok := gojq.ToFloat64(args[0]); ok {
			repeated(l, n)
		}
	case map[string]any:
		if m, ok := args[0].(map[string]any); ok { // merges, recursively
			r.spend(16 * (r.tree(l) + r.tree(m)))
		}
	default:
		if s, ok := args[0].(string); ok {
			if n, ok := gojq.ToFloat64(v); ok {
				repeated(s, n)
			}
		}
	}
	return v
}

func repeated(s string, n float64) {
	if float64(len(s))*n > maxText {
		panic(abort{ErrTooLarge})
	}
}

// minus is put before a subtraction of args[0].
func minus(r *run, v any, args []any) any {
	l, ok := v.([]any)
	if !ok {
		return v
	}
	if s, ok := args[0].([]any); ok && len(l) > 0 && len(s) > 0 {
		within(r.tree(l)*len(s), maxPairs)
		r.tree(s)
		r.spend(16 * len(l))
	}
	return v
}

// over is put before a division by args[0].
func over(r *run, v any, args []any) any {
	if s, ok := v.(string); ok {
		if sep, ok := args[0].(string); ok {
			parts(r, s, sep)
		}
	}
	return v
}

func parts(r *run, s, sep string) {
	n := strings.Count(s, sep) + 1
	within(n, maxItems)
	r.spend(48 * n)
}

// sum is put before add, @csv, @tsv and @sh: the elements' sizes add up.
func sum(r *run, v any, _ []any) any {
	bytes, items := 0, 0
	each(v, func(e any) {
		switch e := e.(type) {
		case string:
			bytes += len(e)
		case []any:
			items += len(e)
		case map[string]any:
			items += len(e)
		}
		within(bytes, maxText)
		within(items, maxItems)
	})
	r.step(items >> 6)
	return v
}

// joined is put before join with args[0].
func joined(r *run, v any, args []any) any {
	sep, _ := args[0].(string)
	bytes := 0
	each(v, func(e any) {
		bytes += len(sep)
		switch e := e.(type) {
		case string:
			bytes += len(e)
		case *big.Int:
			bytes += e.BitLen() / 3
		case json.Number:
			bytes += len(e)
		default: // short, or an error
			bytes += 4
		}
		within(bytes, maxText)
	})
	r.step(bytes >> 8)
	return v
}

// chars is put before explode.
func chars(r *run, v any, _ []any) any {
	if s, ok := v.(string); ok {
		n := utf8.RuneCountInString(s)
		within(n, maxItems)
		r.spend(24 * n)
	}
	return v
}

func each(v any, f func(any)) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			f(e)
		}
	case map[string]any:
		for _, e := range v {
			f(e)
		}
	}
}

// grid is put before transpose.
func grid(r *run, v any, _ []any) any {
	rows, _ := v.([]any)
	columns := 0
	for _, row := range rows {
		if row, ok := row.([]any); ok {
			columns = max(columns, len(row))
		}
	}
	within(len(rows)*columns, maxItems)
	r.spend(16*len(rows)*columns + 40*columns)
	return v
}

// digits is put before tonumber: big numbers take quadratic time.
func digits(_ *run, v any, _ []any) any {
	if s, ok := v.(string); ok && len(s) > jsonval.MaxNumber {
		return fault("tonumber takes at most 64 digits")
	}
	return v
}

// layout is put before the layout of a time, which can ask for a thousand blanks
// with five characters.
func layout(_ *run, v any, _ []any) any {
	if s, ok := v.(string); ok && len(s) > maxLayout {
		return fault("layout of a time is too long")
	}
	return v
}

// subscript is put before what stands in .[…]: an array there is looked for, by
// comparing it at each place.
func subscript(_ *run, v any, _ []any) any {
	if _, ok := v.([]any); ok && fewer(v, maxFind) < 0 {
		return fault("array to look for is too large; use indices")
	}
	return v
}

// fewer takes the values in v off n, and gives up below zero.
func fewer(v any, n int) int {
	if n--; n < 0 {
		return n
	}
	each(v, func(e any) {
		if n >= 0 {
			n = fewer(e, n)
		}
	})
	return n
}

// steps is put before the path of getpath.
func steps(r *run, v any, _ []any) any {
	path, _ := v.([]any)
	within(len(path), maxDepth)
	for _, step := range path {
		if err, ok := subscript(r, step, nil).(fault); ok {
			return err
		}
	}
	return v
}

// checked lets a tree within limits pass.
func checked(r *run, v any, _ []any) any {
	r.spend(16 * r.tree(v))
	return v
}

// tree counts the values of a tree, a shared one each time that it is met, and
// ends the run when there are too many or they are too deep.
func (r *run) tree(v any) (n int) {
	r.count(v, 0, &n)
	return n
}

func (r *run) count(v any, depth int, n *int) {
	r.step(1)
	*n++
	if s, ok := v.(string); ok {
		*n += len(s) >> 10
		return
	}
	within(*n, maxNodes)
	within(depth, maxDepth)
	each(v, func(e any) { r.count(e, depth+1, n) })
}
