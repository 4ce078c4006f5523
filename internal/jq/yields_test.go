package jq

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// A program that certainly yields something else is refused when it is read.
func TestTypeCheck(t *testing.T) {
	t.Parallel()
	const object, array, str, number = 1 << Object, 1 << Array, 1 << String, 1 << Number
	const anything = object | array | str | number
	tests := []struct {
		src string
		can int // the kinds that it can be wanted as
	}{
		{`.`, anything},
		{`.a`, anything},
		{`.[0]`, anything},
		{`$x`, anything},
		{`{a: 1}`, object},
		{`{a: 1}.a`, anything},
		{`{}`, object},
		{`[1]`, array},
		{`[]`, array},
		{`[1][0]`, anything},
		{`"a"`, str},
		{`"a\(.)"`, str},
		{`@base64`, str},
		{`@uri "a\(.)"`, str},
		{`1`, number},
		{`-1`, number},
		{`null`, 0},
		{`true`, 0},
		{`.a == 1`, 0},
		{`.a and .b`, 0},
		{`.a | not`, 0},
		{`empty`, anything},
		{`error("x")`, anything},
		{`{a: 1} | .`, object},
		{`. | {a: 1} | .`, object},
		{`1 | {a: 1}`, object},
		{`1 as $x | {a: $x}`, object},
		{`{} | . as $x | .`, object},
		{`if . then {} else [] end`, object | array},
		{`if . then {} elif .a then 1 else [] end`, object | array | number},
		{`if . then {} end`, anything},
		{`{} | if .a then 1 end`, object | number},
		{`{}, []`, object | array},
		{`null // {}`, object},
		{`.a // "x"`, anything},
		{`(.a | tostring) // 1`, str | number},
		{`"a" + .b`, str},
		{`.a + "b" + .c`, str},
		{`.a + 1`, number},
		{`.a + .b`, anything},
		{`1 + "a"`, anything}, // an error: yields nothing
		{`{} + .a`, object},
		{`[] - .a`, array},
		{`.a - .b`, array | number},
		{`.a * 2`, number | str},
		{`{} * .a`, object},
		{`.a / ","`, array},
		{`.a / 2`, number},
		{`.a % 2`, number},
		{`try {} catch 1`, object | number},
		{`try {}`, object},
		{`{}?`, object},
		{`({})`, object},
		{`[.[] | .a]`, array},
		{`reduce .[] as $x ({}; .a = $x)`, anything},
		{`reduce .[] as $x ({}; {})`, object},
		{`foreach .[] as $x (0; . + 1)`, number},
		{`foreach .[] as $x (0; . + 1; {})`, object},
		{`label $out | {}`, object},
		{`label $out | {}, break $out`, object},
		{`keys`, array},
		{`map(.a)`, array},
		{`to_entries`, array},
		{`with_entries(.)`, object},
		{`from_entries`, object},
		{`tostring`, str},
		{`tojson`, str},
		{`md5`, str},
		{`hmac("md5"; $x)`, str},
		{`hmac("md5"; $x; "hex"; "base64")`, str},
		{`digest("md5"; "hex")`, str},
		{`sign("RS256"; $x; "base64")`, str},
		{`{} | jwt("HS256"; $x)`, str},
		{`{} | jwt("HS256"; $x; {})`, str},
		{`blank`, 0},
		{`flat`, object},
		{`length`, number},
		{`split(",")`, array},
		{`split(","; null)`, array},
		{`test("a")`, 0},
		{`ascii_downcase`, str},
		{`gsub("a"; "b")`, str},
		{`first({}, 1)`, object | number},
		{`limit(1; {})`, object},
		{`{} | select(.a)`, object},
		{`sort`, array},
		{`type`, str},
		{`tonumber`, number},
		{`e164("CN")`, str},
		{`.a = 1`, anything},
		{`del(.a)`, anything},
		{`def f: 1; f`, anything},
		{`def keys: 1; keys`, anything},
		{`(def keys: 1; keys), {}`, anything},
		{`{} | recurse`, anything},
	}
	for _, tt := range tests {
		for _, want := range []Kind{Object, Array, String, Number} {
			_, err := Compile(tt.src, Spec{Vars: []string{"x"}, Want: want})
			if can := tt.can&(1<<want) != 0; can != (err == nil) {
				t.Errorf("%s as %v: %v", tt.src, want, err)
			}
		}
		for _, want := range []Kind{Any, Predicate} {
			if want == Predicate && strings.Contains(tt.src, ".a = ") {
				continue // refused for another reason
			}
			if _, err := Compile(tt.src, Spec{Vars: []string{"x"}, Want: want}); err != nil {
				t.Errorf("%s as %v: %v", tt.src, want, err)
			}
		}
	}
}

func TestTypeCheckMessage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		src  string
		want Kind
		text string
	}{
		// What Caddy leaves of `{$app_key, sign: ($app_key + "x" | md5)}`.
		{` ($app_key + "x" | md5)`, Object, "line 1, column 2: gives a string, an object is needed; " + caddyHint},
		// A program that still has its {$ did not come through Caddy.
		{`{$app_key} | .app_key == "" or null`, Object, "line 1, column 1: gives a boolean, an object is needed"},
		// Nor can one with more braces on one side, or one that begins at once.
		{`"tel=" + .tel`, Object, "line 1, column 1: gives a string, an object is needed"},
		{`if . then null else "x" end`, Array, "line 1, column 1: gives null or a string, an array is needed"},
		{`[.tel]`, Object, "line 1, column 1: gives an array, an object is needed"},
		{`{}`, Array, "line 1, column 1: gives an object, an array is needed"},
		{`length`, String, "line 1, column 1: gives a number, a string is needed"},
		{`"a"`, Number, "line 1, column 1: gives a string, a number is needed"},
		{`{a: .b`, Object, "line 1, column 7: unexpected EOF"},
		{` ({c: 1 | tojson)}`, Object, "line 1, column 17: unexpected token \")\"; " + caddyHint},
		{``, Object, "line 1, column 1: missing query (try \".\"); " + caddyHint},
	} {
		if _, err := Compile(tt.src, Spec{Vars: []string{"app_key"}, Want: tt.want}); err == nil || err.Error() != tt.text {
			t.Errorf("%s\ngot  %v\nwant %s", tt.src, err, tt.text)
		}
	}
}

func TestKindsAtRunTime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		want Kind
		in   any
		text string
	}{
		{Object, "secret", "jq: gives a string, an object is needed"},
		{Object, nil, "jq: gives null, an object is needed"},
		{Array, true, "jq: gives a boolean, an array is needed"},
		{String, json.Number("1"), "jq: gives a number, a string is needed"},
		{Number, []any{}, "jq: gives an array, a number is needed"},
		{String, map[string]any{}, "jq: gives an object, a string is needed"},
		{Any, int64(1), "jq: gives something that is not JSON, anything is needed"},
	} {
		_, err := compile(t, `.`, Spec{Want: tt.want}).Run(t.Context(), tt.in)
		if !errors.Is(err, ErrKind) || err.Error() != tt.text {
			t.Errorf("%v as %v: %v, want %s", tt.in, tt.want, err, tt.text)
		}
	}
}

// What can't be refused, because it may be right, is warned of.
func TestWarnings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		src  string
		want Kind
		text string
	}{
		{`.tel`, Object, "gives what .tel is, an object is needed; write {name: .tel} for an object with one member"},
		{`.data.tel`, Object, "gives what .data.tel is, an object is needed; write {name: .data.tel} for an object with one member"},
		// what Caddy leaves of `{$KEY, tel: .tel}`
		{` .tel`, Object, "gives what .tel is, an object is needed; write {name: .tel} for an object with one member; " + caddyHint},
		{`.`, Object, ""},
		{`{tel: .tel}`, Object, ""},
		{`.tel`, Any, ""},
		{`.ids`, Array, ""},
		{`.code`, Predicate, ""},
		{`.code == "0"`, Predicate, ""},
		{`.ok // false`, Predicate, ""},
		{`error("x")`, Predicate, ""},
		{`any(.[]; . == 1)`, Predicate, ""},
		{`"0"`, Predicate, "gives a string, true or false is needed"},
		{`.code | tostring`, Predicate, "gives a string, true or false is needed"},
		{`.items | length`, Predicate, "gives a number, true or false is needed"},
		{`[.[] | select(. == 1)]`, Predicate, "gives an array, true or false is needed"},
		{`null`, Predicate, "gives null, true or false is needed"},
		{`if .a then "x" else 1 end`, Predicate, "gives a number or a string, true or false is needed"},
	} {
		if got := compile(t, tt.src, Spec{Want: tt.want}).Warning(); got != tt.text {
			t.Errorf("%s as %v\ngot  %s\nwant %s", tt.src, tt.want, got, tt.text)
		}
	}
}
