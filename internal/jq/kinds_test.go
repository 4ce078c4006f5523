package jq

import "testing"

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
			if _, err := Compile(tt.src, Spec{Vars: []string{"x"}, Want: want}); err != nil {
				t.Errorf("%s as %v: %v", tt.src, want, err)
			}
		}
	}
}

func TestTypeCheckMessage(t *testing.T) {
	t.Parallel()
	// What Caddy leaves of `{$app_key, sign: ($app_key + "x" | md5)}`.
	_, err := Compile(` ($app_key + "x" | md5)`, Spec{Vars: []string{"app_key"}, Want: Object})
	want := "line 1, column 2: program yields a string where an object is needed; " + caddyHint
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	// A program that still has its {$ did not come through Caddy.
	_, err = Compile(`{$app_key} | .app_key == "" or null`, Spec{Vars: []string{"app_key"}, Want: Object})
	if want := "line 1, column 1: program yields a boolean where an object is needed"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	_, err = Compile(`if . then null else "x" end`, Spec{Want: Array})
	if want := "line 1, column 1: program yields null or a string where an array is needed; " + caddyHint; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
