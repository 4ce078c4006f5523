package jq

import (
	"errors"
	"runtime"
	"sync"
	"testing"
)

// gojq's results share constants and input; nothing of ours may write them.
func TestNothingIsMutated(t *testing.T) {
	t.Parallel()
	const doc = `{"a":{"b":[1,2,{"c":3}],"d":"x"},"e":[3,1,2],"f":{"g":null}}`
	programs := []string{
		`.a.b[0] = 9`, `.a.b[2].c |= . + 1`, `.e |= sort`, `.e += [4]`, `del(.a.b)`, `del(.a.b[0], .e[1])`,
		`del(.. | select(. == null))`, `.a.b |= empty`, `.e[] |= empty`, `map_values(empty)`, `walk(if . == null then empty else . end)`,
		`delpaths([["a","b",0],["e"]])`, `setpath(["a","d"]; 1)`, `to_entries`, `with_entries(.value |= tostring)`,
		`.a.b[0:2] = ["x"]`, `.a.b[:1] |= map(. + 1)`, `[.e | sort, unique, group_by(.), reverse]`, `.a * {d: {e: 1}}`, `. + {a: 1}`,
		`[.a.b, .e] | add`, `flat`, `{x: {y: [1, {z: 2}]}} | del(.x.y[1].z)`, `[[1, [2, 3]]] | .[0][1][0] |= empty`,
		`pick(.a.b[2].c)`, `. as $v | {p: $v, q: $v} | del(.p.a)`, `[.e, .e] | .[0][0] = 7`, `(.a, .a.d) |= .`,
		`(.a.d, .a) |= [.]`, `.a | .b as [$x] | .b[2] = $x`,
	}
	in := decode(t, doc)
	for _, src := range programs {
		p := compile(t, src, Spec{})
		first, err := p.Run(t.Context(), in)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		before := encode(t, first)
		for range 3 {
			again, err := p.Run(t.Context(), in)
			if err != nil || encode(t, again) != before || encode(t, first) != before {
				t.Errorf("%s: %s, then %s, %v", src, before, encode(t, again), err)
			}
		}
		if got := encode(t, in); got != doc {
			t.Fatalf("%s made %s of its input", src, got)
		}
	}
}

// gojq's del ends the process when two goroutines share an input.
func TestConcurrentRuns(t *testing.T) {
	t.Parallel()
	in := decode(t, `{"a":1,"b":{"c":1,"d":[1,2,{"e":null}]},"s":"a1b2c3"}`)
	programs := []*Program{
		compile(t, `del(.a)`, Spec{}),
		compile(t, `{"k":{"l":[1,2]},"m":1} | del(.m)`, Spec{}),
		compile(t, `walk(if type == "object" then map_values(select(. != null)) else . end)`, Spec{}),
		compile(t, `.b.d[2].e |= empty | .s |= gsub("[0-9]"; "-")`, Spec{}),
		compile(t, `[.b.d[0:2] | sort_by(-.), group_by(. % 2)] | tojson | md5`, Spec{}),
	}
	var want []string
	for _, p := range programs {
		out, err := p.Run(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, encode(t, out))
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 100 {
				n := i % len(programs)
				out, err := programs[n].Run(t.Context(), in)
				if errors.Is(err, ErrDeadline) {
					continue // a busy machine
				}
				if err != nil || encode(t, out) != want[n] {
					t.Errorf("%s: %v, %v", programs[n], out, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// One run's limits are not another's.
func TestBudgetIsPerRun(t *testing.T) {
	t.Parallel()
	p := compile(t, `[range(14) | "x" * 8000000] | length`, Spec{}) // 112 MB
	for range 3 {
		if out, err := p.Run(t.Context(), nil); err != nil && !errors.Is(err, ErrDeadline) || err == nil && out != 14 {
			t.Fatalf("%v, %v", out, err)
		}
	}
	runtime.GC()
}
