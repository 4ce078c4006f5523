package jq

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// FuzzProgram compiles and runs any text over any document: no panic, no hang,
// and nothing of the input in an error.
func FuzzProgram(f *testing.F) {
	for i, src := range differential {
		f.Add(src, samples[i%len(samples)])
	}
	for _, src := range []string{`"x"*1e9`, `def f: f; f`, `[range(1e9)]`, `$a`, `{$a}`, `flat`, `hmac("md5"; .)`, `date("2006"; "UTC")`, `e164("CN")`, `uuid | mask`, `def f(g): "x" | g; f($a)`, `reduce ("a", "b") as $x (0; $x)`} {
		f.Add(src, `{"secret":"secret"}`)
	}
	f.Fuzz(func(t *testing.T, src, doc string) {
		in, err := jsonval.Decode([]byte(doc), jsonval.Limits{})
		if err != nil {
			return
		}
		start := time.Now()
		p, err := Compile(src, Spec{Vars: []string{"a"}})
		if took := time.Since(start); took > 5*time.Second*slowdown {
			t.Fatalf("compiling takes %v", took)
		}
		if err != nil {
			e, ok := errors.AsType[*SyntaxError](err)
			if !ok || e.Line < 1 || e.Column < 1 || strings.Contains(e.Reason, "cannot be compiled") {
				t.Fatalf("%v", err)
			}
			return
		}
		before := encode(t, in)
		start = time.Now()
		out, err := p.Run(t.Context(), in, "secret")
		if took := time.Since(start); took > Deadline+3*time.Second*slowdown {
			t.Fatalf("takes %v", took)
		}
		if err != nil && len(err.Error()) > 120 {
			t.Fatalf("long error: %v", err)
		}
		if err == nil {
			if _, err := jsonval.Encode(nil, out, jsonval.Limits{}); err != nil && !errors.Is(err, ErrTooLarge) {
				t.Fatalf("cannot be written: %v", err)
			}
		}
		if encode(t, in) != before {
			t.Fatal("changes its input")
		}
		if !p.ReadsInput() && !strings.Contains(src, "now") && !strings.Contains(src, "uuid") && !errors.Is(err, ErrDeadline) {
			other, otherErr := p.Run(t.Context(), "another input", "secret")
			if !errors.Is(otherErr, ErrDeadline) && ((err == nil) != (otherErr == nil) || err == nil && encode(t, out) != encode(t, other)) {
				t.Fatalf("another input makes another result: %v, %v", err, otherErr)
			}
		}
		// What is within limits is what gojq gives; but it has other error texts.
		if err == nil || errors.Is(err, ErrFailed) {
			// gojq is wrong about slices of slices, see TestSlicesOfSlices, and
			// refuses some operands of arithmetic within a path, which is no path.
			changed := strings.Contains(src, "=") || strings.Contains(src, "del") || strings.Contains(src, "path") || strings.Contains(src, "pick")
			differs := changed && strings.ContainsAny(src, ":*/-") || strings.Contains(src, "catch") || strings.Contains(src, "now")
			if !differs {
				same(t, src, []any{in})
			}
		}
	})
}
