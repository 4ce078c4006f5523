package jsonval

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/big"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/itchyny/gojq"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func encode(t testing.TB, v any) string {
	t.Helper()
	b, err := Encode(nil, v, Limits{Bytes: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var samples = []string{
	`null`, `true`, `0`, `-1.5`, `1E400`, `9007199254740993`, `""`, `"abc"`, `"ÄöÜ ☆★ x\ny"`, `"2023-11-14T22:13:20Z"`, `[]`, `{}`,
	`[3,1,2,1,null,"a",[1],{"a":1},false,true,1.0,1]`, `{"a":1,"b":{"c":[1,2,{"d":null}]},"e":"x"}`, `["x",["y",["z"]]]`,
}

func TestDecode(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("1", MaxNumber)
	tests := []struct {
		doc  string
		l    Limits
		want string // as encoded again
		err  error
	}{
		{`null`, Limits{}, `null`, nil},
		{" \t\r\n{ \"a\" : [ 1 , true , false , null , \"x\" ] } \n", Limits{}, `{"a":[1,true,false,null,"x"]}`, nil},
		{`[]`, Limits{}, `[]`, nil},
		{`{}`, Limits{}, `{}`, nil},
		{`{"a":1,"a":2}`, Limits{}, `{"a":2}`, nil},
		{`[9007199254740993,1.10,1e2,1E400,-0,0,0.5,-1.5E-7]`, Limits{}, `[9007199254740993,1.10,1e2,1E400,-0,0,0.5,-1.5E-7]`, nil},
		{`"\"\\\/\b\f\n\r\t\u00e9\u4e2d\ud83d\ude00"`, Limits{}, `"\"\\/\b\f\n\r\té中😀"`, nil},
		{`"\ud83d"`, Limits{}, `"�"`, nil},
		{`"\ud83dx"`, Limits{}, `"�x"`, nil},
		{`"\ud83d\u0041"`, Limits{}, `"�A"`, nil},
		{`"\ude00\ud83d"`, Limits{}, `"��"`, nil},
		{`"\u0000"`, Limits{}, `"\u0000"`, nil},
		{"\"\x7f\"", Limits{}, `"\u007f"`, nil},
		{long, Limits{}, long, nil},
		{strings.Repeat("[", 1000) + strings.Repeat("]", 1000), Limits{}, strings.Repeat("[", 1000) + strings.Repeat("]", 1000), nil},
		{`[1,2]`, Limits{Bytes: 5, Depth: 1, Nodes: 3}, `[1,2]`, nil},

		{``, Limits{}, ``, ErrEmpty},
		{" \r\n\t", Limits{}, ``, ErrEmpty},
		{`[1,2]`, Limits{Bytes: 4}, ``, ErrTooLarge},
		{`[[1]]`, Limits{Depth: 1}, ``, ErrTooLarge},
		{`{"a":{}}`, Limits{Depth: 1}, ``, ErrTooLarge},
		{`[1,2]`, Limits{Nodes: 2}, ``, ErrTooLarge},
		{`{"a":1}`, Limits{Nodes: 1}, ``, ErrTooLarge},
		{long + "1", Limits{}, ``, ErrTooLarge},
		{strings.Repeat("[", 1001) + strings.Repeat("]", 1001), Limits{}, ``, ErrTooLarge},
		{strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), Limits{Depth: 1 << 30}, ``, ErrTooLarge},
		{"[" + strings.Repeat(" ", 1<<20) + "]", Limits{}, ``, ErrTooLarge},
		{`"` + strings.Repeat("a", 5<<20) + `"`, Limits{}, ``, ErrTooLarge},
		{"[" + strings.Repeat("[],", 7<<20) + "[]]", Limits{}, ``, ErrTooLarge},

		{"\ufeff1", Limits{}, ``, ErrSyntax},
		{"\"\xff\"", Limits{}, ``, ErrSyntax},
		{"\"\xed\xa0\x80\"", Limits{}, ``, ErrSyntax},
		{`1 2`, Limits{}, ``, ErrSyntax},
		{`{} {}`, Limits{}, ``, ErrSyntax},
		{"{\"a\":1}\n{\"a\":2}", Limits{}, ``, ErrSyntax},
		{`[1]]`, Limits{}, ``, ErrSyntax},
		{`<html>`, Limits{}, ``, ErrSyntax},
		{`[`, Limits{}, ``, ErrSyntax},
		{`]`, Limits{}, ``, ErrSyntax},
		{`[1`, Limits{}, ``, ErrSyntax},
		{`[1,`, Limits{}, ``, ErrSyntax},
		{`[1,]`, Limits{}, ``, ErrSyntax},
		{`[,1]`, Limits{}, ``, ErrSyntax},
		{`[1 2]`, Limits{}, ``, ErrSyntax},
		{`{`, Limits{}, ``, ErrSyntax},
		{`{"a"`, Limits{}, ``, ErrSyntax},
		{`{"a":`, Limits{}, ``, ErrSyntax},
		{`{"a":1`, Limits{}, ``, ErrSyntax},
		{`{"a":1,}`, Limits{}, ``, ErrSyntax},
		{`{"a" 1}`, Limits{}, ``, ErrSyntax},
		{`{a:1}`, Limits{}, ``, ErrSyntax},
		{`{1:1}`, Limits{}, ``, ErrSyntax},
		{`{"a":1 "b":2}`, Limits{}, ``, ErrSyntax},
		{`{,}`, Limits{}, ``, ErrSyntax},
		{`[1}`, Limits{}, ``, ErrSyntax},
		{`{"a":1]`, Limits{}, ``, ErrSyntax},
		{`'a'`, Limits{}, ``, ErrSyntax},
		{`"a`, Limits{}, ``, ErrSyntax},
		{`"a\`, Limits{}, ``, ErrSyntax},
		{`"\`, Limits{}, ``, ErrSyntax},
		{`"\n`, Limits{}, ``, ErrSyntax},
		{`"\x"`, Limits{}, ``, ErrSyntax},
		{`"\u12"`, Limits{}, ``, ErrSyntax},
		{`"\u12g4"`, Limits{}, ``, ErrSyntax},
		{`"\u`, Limits{}, ``, ErrSyntax},
		{"\"a\nb\"", Limits{}, ``, ErrSyntax},
		{"\"\\t\nb\"", Limits{}, ``, ErrSyntax},
		{"\"\x00\"", Limits{}, ``, ErrSyntax},
		{`01`, Limits{}, ``, ErrSyntax},
		{`-`, Limits{}, ``, ErrSyntax},
		{`+1`, Limits{}, ``, ErrSyntax},
		{`.5`, Limits{}, ``, ErrSyntax},
		{`1.`, Limits{}, ``, ErrSyntax},
		{`1.e5`, Limits{}, ``, ErrSyntax},
		{`1e`, Limits{}, ``, ErrSyntax},
		{`1e+`, Limits{}, ``, ErrSyntax},
		{`0x10`, Limits{}, ``, ErrSyntax},
		{`NaN`, Limits{}, ``, ErrSyntax},
		{`tru`, Limits{}, ``, ErrSyntax},
		{`truex`, Limits{}, ``, ErrSyntax},
		{`nul`, Limits{}, ``, ErrSyntax},
		{`// a`, Limits{}, ``, ErrSyntax},
		{"\v1", Limits{}, ``, ErrSyntax},
	}
	for _, tt := range tests {
		v, err := Decode([]byte(tt.doc), tt.l)
		if err != tt.err { //nolint:errorlint // bare, so that nothing of the data can be in it
			t.Errorf("%.60q: %v, want %v", tt.doc, err, tt.err)
			continue
		}
		if err == nil {
			if got := encode(t, v); got != tt.want {
				t.Errorf("%.60q: %.60s, want %.60s", tt.doc, got, tt.want)
			}
		} else if v != nil {
			t.Errorf("%.60q: a value beside an error", tt.doc)
		}
	}
}

// The document can be reused once it is decoded.
func TestDecodeCopies(t *testing.T) {
	t.Parallel()
	doc := []byte(`{"a":"xyz","n":123}`)
	v, err := Decode(doc, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	clear(doc)
	if got := encode(t, v); got != `{"a":"xyz","n":123}` {
		t.Error(got)
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	deep := func(n int) any {
		var v any
		for range n {
			v = []any{v}
		}
		return v
	}
	shared := any([]any{1})
	for range 60 {
		shared = []any{shared, shared}
	}
	huge, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	tests := []struct {
		v    any
		l    Limits
		want string
		err  error
	}{
		{nil, Limits{}, `null`, nil},
		{map[string]any{"b": 1, "a": "<&>", "Z": []any{true, false, nil}}, Limits{}, `{"Z":[true,false,null],"a":"<&>","b":1}`, nil},
		{map[string]any{"b": map[string]any{"y": 1, "x": 2}, "a": map[string]any{"z": 1}}, Limits{}, `{"a":{"z":1},"b":{"x":2,"y":1}}`, nil},
		{[]any{json.Number("1.10"), json.Number("1E400"), 1.0, 1.5, -7, 1e21, 1e20, 1e-7, 123456.789e-10, huge}, Limits{}, `[1.10,1E400,1,1.5,-7,1e+21,100000000000000000000,1e-7,0.0000123456789,123456789012345678901234567890]`, nil},
		{[]any{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1)}, Limits{}, `[null,1.7976931348623157e+308,-1.7976931348623157e+308,-0]`, nil},
		{"\x00\x1f\b\f\n\r\t\"\\/\x7fé中😀\u2028\xff\xc3", Limits{}, `"\u0000\u001f\b\f\n\r\t\"\\/\u007fé中😀` + "\u2028" + `\ufffd\ufffd"`, nil},
		{map[string]any{"\"\n": 1}, Limits{}, `{"\"\n":1}`, nil},
		{[]any{}, Limits{}, `[]`, nil},
		{map[string]any{}, Limits{}, `{}`, nil},
		{[]any(nil), Limits{}, `[]`, nil},
		{map[string]any(nil), Limits{}, `{}`, nil},
		{deep(1000), Limits{}, strings.Repeat("[", 1000) + "null" + strings.Repeat("]", 1000), nil},
		{[]any{1, 2}, Limits{Bytes: 5, Depth: 1, Nodes: 3}, `[1,2]`, nil},

		{deep(1001), Limits{}, ``, ErrTooLarge},
		{deep(100_000), Limits{Depth: 1 << 30}, ``, ErrTooLarge},
		{map[string]any{"a": map[string]any{}}, Limits{Depth: 1}, ``, ErrTooLarge},
		{shared, Limits{}, ``, ErrTooLarge},
		{[]any{1, 2}, Limits{Bytes: 4}, ``, ErrTooLarge},
		{[]any{1, 2}, Limits{Nodes: 2}, ``, ErrTooLarge},
		{map[string]any{"a": 1, "b": 2}, Limits{Nodes: 2}, ``, ErrTooLarge},
		{strings.Repeat("a", 1<<20), Limits{}, ``, ErrTooLarge},
		{strings.Repeat("\x01", 1<<19), Limits{}, ``, ErrTooLarge},
		{map[string]any{strings.Repeat("a", 1<<20): 1}, Limits{}, ``, ErrTooLarge},
		{int64(1), Limits{}, ``, ErrNotJSON},
		{[]any{[]byte("x")}, Limits{}, ``, ErrNotJSON},
		{map[string]any{"a": struct{}{}}, Limits{}, ``, ErrNotJSON},
	}
	for _, tt := range tests {
		got, err := Encode([]byte("before:"), tt.v, tt.l)
		if !errors.Is(err, tt.err) || string(got) != "before:"+tt.want {
			t.Errorf("%.80q, %v; want %.80q, %v", got, err, tt.want, tt.err)
		}
		if err != nil {
			continue
		}
		if std, _ := gojq.Marshal(tt.v); string(std) != tt.want {
			t.Errorf("%s, but gojq writes %s", tt.want, std)
		}
	}
}

// FuzzDecode holds Decode against encoding/json, and Encode against gojq.
func FuzzDecode(f *testing.F) {
	for _, s := range samples {
		f.Add([]byte(s))
	}
	for _, s := range []string{"\ufeff1", `"\ud83d\ude00\ud83d"`, `{"a":1,"a":[2]}`, `[1,]`, "\"\xff\"", `1e400`, "[[[[", `{"\u0061":-0.0e-0}`, " 1 ", "", `"\/"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Decode(data, Limits{})
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		var want any
		stdErr := dec.Decode(&want)
		if stdErr == nil {
			_, stdErr = dec.Token()
			if stdErr == nil {
				stdErr = ErrSyntax
			} else if errors.Is(stdErr, io.EOF) {
				stdErr = nil
			}
		}
		if err != nil {
			if stdErr == nil && utf8.Valid(data) && !errors.Is(err, ErrTooLarge) {
				t.Fatalf("%q: %v, but encoding/json takes it", data, err)
			}
			return
		}
		if stdErr != nil {
			t.Fatalf("%q: accepted, but encoding/json says %v", data, stdErr)
		}
		ours, err := Encode(nil, got, Limits{Bytes: 8 << 20})
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		if theirs, _ := gojq.Marshal(want); !bytes.Equal(ours, theirs) {
			t.Fatalf("%q: %s, want %s", data, ours, theirs)
		}
		again, err := Decode(ours, Limits{Bytes: 8 << 20})
		if err != nil {
			t.Fatalf("%q: %s cannot be read: %v", data, ours, err)
		}
		if gojq.Compare(again, got) != 0 {
			t.Fatalf("%q: %s does not come back", data, ours)
		}
	})
}

// steps counts the steps of an encoder, and ends it at the last one.
type steps int

func (s *steps) Step(n int) {
	if *s -= steps(n); *s < 0 {
		panic("no steps left")
	}
}

func TestEncodeMetered(t *testing.T) {
	t.Parallel()
	left := steps(5)
	if text, err := EncodeMetered(nil, []any{1, []any{"x", nil}}, Limits{}, &left); string(text) != `[1,["x",null]]` || err != nil || left != 0 {
		t.Errorf("%s, %v, %d steps left", text, err, left)
	}
	defer func() {
		if recover() == nil {
			t.Error("it went on without steps")
		}
	}()
	left = 2
	_, _ = EncodeMetered(nil, []any{1, 2, 3}, Limits{}, &left)
}

func TestText(t *testing.T) {
	t.Parallel()
	huge, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	for _, tt := range []struct {
		v    any
		want string
		ok   bool
	}{
		{"a<\x00", "a<\x00", true},
		{json.Number("1.10"), "1.10", true},
		{true, "true", true},
		{-7, "-7", true},
		{1.5, "1.5", true},
		{huge, huge.String(), true},
		{nil, "", false},
		{[]any{}, "", false},
		{map[string]any{}, "", false},
		{int64(1), "", false},
	} {
		if got, ok := Text(tt.v); got != tt.want || ok != tt.ok {
			t.Errorf("%v: %q, %v", tt.v, got, ok)
		}
	}
}

func TestAny(t *testing.T) {
	t.Parallel()
	v := map[string]any{"a": []any{1, map[string]any{"b": "x"}}, "c": nil}
	for want, f := range map[string]func(key string, v any) bool{
		"a key":        func(key string, _ any) bool { return key == "b" },
		"a value":      func(_ string, v any) bool { return v == "x" },
		"itself":       func(_ string, v any) bool { return v != nil },
		"null":         func(_ string, v any) bool { return v == nil },
		"not 2":        func(_ string, v any) bool { return v == 2 },
		"not this key": func(key string, _ any) bool { return key == "x" },
	} {
		if got := Any(v, f); got == strings.HasPrefix(want, "not ") {
			t.Errorf("%s: %v", want, got)
		}
	}
}
