package jq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func compile(t testing.TB, src string, s Spec) *Program {
	t.Helper()
	p, err := Compile(src, s)
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	return p
}

func decode(t testing.TB, doc string) any {
	t.Helper()
	v, err := jsonval.Decode([]byte(doc), jsonval.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return v
}

func encode(t testing.TB, v any) string {
	t.Helper()
	b, err := jsonval.Encode(nil, v, jsonval.Limits{Bytes: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRun(t *testing.T) {
	t.Parallel()
	tests := []struct{ src, in, want string }{
		{`.`, `{"b":1,"a":[null,true,"x"]}`, `{"a":[null,true,"x"],"b":1}`},
		{`{name: .data.nick, vip: .data.isVip}`, `{"data":{"nick":"Ann","isVip":"1"}}`, `{"name":"Ann","vip":"1"}`},
		{`{app_key: $app_key, sign: ($app_key + "x" | md5)}`, `null`, `{"app_key":"k","sign":"7cd783981c6e1d370e89a87ea7f609f1"}`},
		{`{ $app_key }`, `null`, `{"app_key":"k"}`},
		{`# a comment
		 .a # another`, `{"a":1}`, `1`},
		{`def f(x): x * 2; f(.a)`, `{"a":21}`, `42`},

		// Numbers stay what they are as long as nobody computes with them.
		{`.id`, `{"id":9007199254740993}`, `9007199254740993`},
		{`.[0]`, `[1.10]`, `1.10`},
		{`.[0]`, `[1E400]`, `1E400`},
		{`.[0] + 0`, `[9007199254740993]`, `9007199254740993`},
		{`.[0] == 9007199254740992`, `[9007199254740993]`, `false`},
		{`.[0] | tostring`, `[1.10]`, `"1.10"`},
		{`"\(.[0])"`, `[12345678901234567890]`, `"12345678901234567890"`},
		{`.[0] + 0`, `[1.10]`, `1.1`},
	}
	for _, tt := range tests {
		p := compile(t, tt.src, Spec{Vars: []string{"app_key"}})
		if p.String() != tt.src {
			t.Errorf("String() = %q, want %q", p, tt.src)
		}
		out, err := p.Run(t.Context(), decode(t, tt.in), "k")
		if err != nil {
			t.Errorf("%s: %v", tt.src, err)
		} else if got := encode(t, out); got != tt.want {
			t.Errorf("%s of %s = %s, want %s", tt.src, tt.in, got, tt.want)
		}
	}
}

func TestRunErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		src  string
		want Kind
		in   any
		err  error
	}{
		{`empty`, Any, nil, ErrResults},
		{`1, 2`, Any, nil, ErrResults},
		{`.[]`, Any, []any{}, ErrResults},
		{`repeat(1)`, Any, nil, ErrResults},
		{`1, error("secret")`, Any, nil, ErrResults},
		{`error("secret")`, Any, nil, ErrFailed},
		{`error({a: "secret"})`, Any, nil, ErrFailed},
		{`error(null)`, Any, nil, ErrFailed},
		{`halt`, Any, nil, ErrFailed},
		{`"secret" | halt_error`, Any, nil, ErrFailed},
		{`.a`, Any, "secret", ErrFailed},
		{`.[]`, Any, "secret", ErrFailed},
		{`. + 1`, Any, "secret", ErrFailed},
		{`tonumber`, Any, "secret", ErrFailed},
		{`fromjson`, Any, "secret", ErrFailed},
		{`strptime("%Y")`, Any, "secret", ErrFailed},
		{`ltrimstr("secret")`, Any, map[string]any{"secret": "secret"}, ErrFailed},
		{`{(.a): 1}`, Any, map[string]any{"a": []any{"secret"}}, ErrFailed},
		{`. + 1`, Any, int64(7), ErrFailed}, // gojq panics
		{`.`, Any, int64(7), ErrKind},
		{`.a + 1`, Any, map[string]any{"a": []byte("secret")}, ErrFailed},
		{`type`, Any, time.Now(), ErrFailed},
		{`"x" * 1e9`, Any, nil, ErrTooLarge},
		{`try ("x" * 1e9) catch "caught"`, Any, nil, ErrTooLarge},
		{`def f: f; f`, Any, nil, ErrDeadline},
		{`try (def f: f; f) catch 1`, Any, nil, ErrDeadline},

		{`.`, Object, []any{}, ErrKind},
		{`.`, Object, nil, ErrKind},
		{`.`, Array, map[string]any{}, ErrKind},
		{`.`, Array, nil, ErrKind},
		{`.`, String, 1, ErrKind},
		{`.`, String, nil, ErrKind},
		{`.`, Number, "1", ErrKind},
		{`.`, Number, nil, ErrKind},
		{`.`, Number, true, ErrKind},
		{`.`, Object, map[string]any{}, nil},
		{`.`, Array, []any{}, nil},
		{`.`, String, "", nil},
		{`.`, Number, 1, nil},
		{`.`, Number, 1.5, nil},
		{`.`, Number, json.Number("1.10"), nil},
		{`.`, Number, big.NewInt(1), nil},
		{`.`, Any, nil, nil},
		{`.`, Predicate, true, nil},
		{`.`, Predicate, nil, ErrKind},
		{`.`, Predicate, "x", ErrKind},
	}
	for _, tt := range tests {
		p := compile(t, tt.src, Spec{Want: tt.want})
		out, err := p.Run(t.Context(), tt.in)
		if !errors.Is(err, tt.err) {
			t.Errorf("%s as %v: error %v, want %v", tt.src, tt.want, err, tt.err)
		}
		if err != nil && (out != nil || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: %v, %v", tt.src, out, err)
		}
	}
}

// An operator has to see what went wrong, without values.
func TestErrorText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		src  string
		in   any
		want string
	}{
		{`.a`, "secret", "jq: program failed: expected an object but got: string"},
		{`.[]`, nil, "jq: program failed: cannot iterate over: null"},
		{`.a + 1`, map[string]any{"a": "secret"}, "jq: program failed: cannot add: string"},
		{`ltrimstr("x")`, 1, "jq: program failed: ltrimstr cannot be applied to: number"},
		{`has("x")`, "secret", "jq: program failed: has cannot be applied to: string"},
		{`has(.)`, "secret) cannot be applied to: null", "jq: program failed: has cannot be applied to: string"},
		{`startswith(.a)`, map[string]any{"a": "secret\n(secret)"}, "jq: program failed: startswith cannot be applied to: object"},
		{`split(",")`, 1, "jq: program failed: split cannot be applied to: number"},
		{`error("secret")`, nil, "jq: program failed: it called error"},
		{`error("expected an object but got: string (secret)")`, nil, "jq: program failed: it called error"},
	}
	for _, tt := range tests {
		if _, err := compile(t, tt.src, Spec{}).Run(t.Context(), tt.in); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", tt.src, err, tt.want)
		}
	}
}

func TestWrongNumberOfValues(t *testing.T) {
	t.Parallel()
	p := compile(t, `$a`, Spec{Vars: []string{"a"}})
	for _, vars := range [][]any{nil, {1, 2}} {
		if _, err := p.Run(t.Context(), nil, vars...); !errors.Is(err, ErrFailed) {
			t.Errorf("%d values: %v", len(vars), err)
		}
	}
}

// A predicate that failed was once the same as false, and one that gave a string
// as true: nobody saw either.
func TestPredicates(t *testing.T) {
	t.Parallel()
	tests := []struct {
		src  string
		want bool
		err  error
		text string
	}{
		{`true`, true, nil, ""},
		{`false`, false, nil, ""},
		{`$status < 400`, true, nil, ""},
		{`$status == 404`, false, nil, ""},
		{`. == "not an object" and ($status == 200)`, true, nil, ""},
		{`1`, false, ErrKind, "jq: gives a number, true or false is needed"},
		{`0`, false, ErrKind, "jq: gives a number, true or false is needed"},
		{`.`, false, ErrKind, "jq: gives a string, true or false is needed"},
		{`[]`, false, ErrKind, "jq: gives an array, true or false is needed"},
		{`{}`, false, ErrKind, "jq: gives an object, true or false is needed"},
		{`null`, false, ErrKind, "jq: gives null, true or false is needed"},
		{`empty`, false, ErrResults, "jq: not exactly one result"},
		{`true, true`, false, ErrResults, "jq: not exactly one result"},
		{`error("secret")`, false, ErrFailed, "jq: program failed: it called error"},
		{`halt`, false, ErrFailed, "jq: program failed: it called error"},
		{`.a`, false, ErrFailed, "jq: program failed: expected an object but got: string"},
		{`has("x")`, false, ErrFailed, "jq: program failed: has cannot be applied to: string"},
		{`def f: f; f`, false, ErrDeadline, "jq: took too long"},
		{`"x" * 1e9`, false, ErrTooLarge, "jq: too large"},
	}
	for _, tt := range tests {
		p := compile(t, tt.src, Spec{Vars: []string{"status"}, Want: Predicate})
		got, err := p.Test(t.Context(), "not an object", 200)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, %v", tt.src, got, err)
		}
		if err != nil && err.Error() != tt.text {
			t.Errorf("%s: %q, want %q", tt.src, err, tt.text)
		}
	}
}

// `success .code = "0"` once loaded, and every error of the API was ok.
func TestPredicatesDoNotAssign(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		`.code = "0"`: "line 1, column 7: an assignment; write == to compare",
		"# = is no comparison\n.ok == true and\n  (.a = 1)": "line 3, column 7: an assignment; write == to compare",
		`.a == "=" and (.b |= 1)`:                           "line 1, column 19: an assignment; write == to compare",
		`.a >= 1 and (.b += 1)`:                             "line 1, column 17: an assignment; write == to compare",
		`.b -= 1`:                                           "line 1, column 4: an assignment; write == to compare",
		`.b *= 1`:                                           "line 1, column 4: an assignment; write == to compare",
		`.b /= 1`:                                           "line 1, column 4: an assignment; write == to compare",
		`.b %= 1`:                                           "line 1, column 4: an assignment; write == to compare",
		`.a // .b | (.b //= 1)`:                             "line 1, column 16: an assignment; write == to compare",
		`if .a then .b = 1 else true end`:                   "line 1, column 15: an assignment; write == to compare",
		`def ok: .code = "0"; ok`:                           "line 1, column 15: an assignment; write == to compare",
		`reduce .[] as $x (true; . = $x)`:                   "line 1, column 27: an assignment; write == to compare",
	} {
		if _, err := Compile(src, Spec{Want: Predicate}); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", src, err, want)
		}
		if _, err := Compile(src, Spec{}); err != nil {
			t.Errorf("%s as anything: %v", src, err)
		}
	}
	// a library may assign
	if _, err := Compile(`ids == [1]`, Spec{Want: Predicate, Define: `def ids: .[0] |= 1;`}); err != nil {
		t.Error(err)
	}
}

func TestContext(t *testing.T) {
	t.Parallel()
	p := compile(t, `def f: f; f`, Spec{})

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := compile(t, `1`, Spec{}).Run(canceled, nil); !errors.Is(err, ErrDeadline) || !errors.Is(err, context.Canceled) {
		t.Errorf("canceled before: %v", err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := p.Run(ctx, nil); !errors.Is(err, ErrDeadline) {
		t.Errorf("a shorter deadline: %v", err)
	}
	if took := time.Since(start); took >= Deadline {
		t.Errorf("a deadline of 1 ms took %v", took)
	}

	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	start = time.Now()
	if _, err := p.Run(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled meanwhile: %v", err)
	}
	if took := time.Since(start); took >= Deadline {
		t.Errorf("canceling took %v", took)
	}

	if _, err := p.Run(context.Background(), nil); !errors.Is(err, ErrDeadline) {
		t.Errorf("without a deadline: %v", err)
	}
}

// The run's own context answers like any other.
func TestRunContext(t *testing.T) {
	t.Parallel()
	var r run
	r.begin(t.Context())
	if end, ok := r.Deadline(); !ok || time.Until(end) > Deadline {
		t.Errorf("Deadline() = %v, %v", end, ok)
	}
	if r.Err() != nil || r.Value("x") != nil {
		t.Errorf("Err() = %v, Value() = %v", r.Err(), r.Value("x"))
	}
}

// Each pattern is compiled once, with the program; none comes from data.
func TestPatternsAreLiterals(t *testing.T) {
	t.Parallel()
	for _, src := range []string{
		`test(.re)`, `test($re)`, `"x" as $x | test($x)`, `test("a\(.)")`, `test("a" + "b")`, `test(["a", .flags])`, `test("a"; .flags)`,
		`[match(.re)]`, `capture(.re)`, `[scan(.re)]`, `[splits(.re)]`, `split(.re; null)`, `sub(.re; "x")`, `gsub(.re; "x")`,
		`gsub("a"; "b"; .flags)`, `def f(re): test(re); f("a")`, `def f($re): test($re); f("a")`, `test(("a", "b"))`, `test(["a"][0])`,
	} {
		if _, err := Compile(src, Spec{Vars: []string{"re"}}); err == nil || !strings.Contains(err.Error(), "literals") {
			t.Errorf("%s: %v", src, err)
		}
	}
	p := compile(t, `gsub("[0-9]+"; "-")`, Spec{})
	for i := range 1000 {
		if out, err := p.Run(t.Context(), fmt.Sprint("a", i)); err != nil && !errors.Is(err, ErrDeadline) || err == nil && out != "a-" {
			t.Fatalf("%v, %v", out, err)
		}
	}
	if len(p.patterns) != 1 {
		t.Errorf("%d patterns", len(p.patterns))
	}
}
