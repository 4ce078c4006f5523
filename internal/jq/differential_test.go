package jq

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/itchyny/gojq"
)

// All that is ours in place of gojq's must give what gojq gives. Each program
// runs both ways over each input, which tells results and errors.
var samples = []string{
	`null`, `true`, `0`, `-1.5`, `1E400`, `9007199254740993`, `""`, `"abc"`, `"a,b, c"`, `"ÄöÜ ☆★ x\ny"`, `"1.50"`, `"2023-11-14T22:13:20Z"`,
	`[]`, `{}`, `[1,2,3]`, `[3,1,2,1,null,"a",[1],{"a":1},false,true,1.0,1]`, `["a","b","c","a"]`, `[[1,2],[3,4],[5]]`, `[[0,1],["a","b"]]`,
	`{"a":1,"b":{"c":[1,2,{"d":null}]},"e":"x"}`, `{"a":[1,2,3,4,5],"b":"abc"}`, `[{"a":1,"b":2},{"a":3},{"a":1,"b":0}]`,
	`[{"key":"k","value":1},{"name":"n","value":null}]`, `{"a":{"x":1,"y":{"z":2}},"b":{"x":3}}`, `[null,[],{},"",0]`, `["x",["y",["z"]]]`,
	`{"a":null,"b":[null,{"c":null}]}`, `[1,[2,[3,[4]]]]`, `["1","2.5","x"]`, `[65,66,9733]`, `[1700000000]`, `"aXbxc"`, `"foo bar foo"`,
}

var differential = []string{
	// operators
	`. + .`, `. + 1`, `. + "x"`, `. + null`, `null + .`, `. + [1]`, `. + {"z":1}`, `.[0] + .[1]`, `. - .`, `. - 1`, `. - [1]`, `.[0] - .[1]`, `. as $x | $x - $x[1:]`,
	`. * .`, `. * 2`, `2 * .`, `. * 0`, `. * -1`, `. * {"a":{"w":9}}`, `"ab" * 3`, `. / .`, `. / 2`, `. / ","`, `. / ""`, `. / (.[0:1]?)`, `. % 2`, `-(.)`,
	`. == .`, `. == 1`, `.[0] == .[1]`, `.[0] < .[1]`, `.[0] <= .[1]`, `.[0] > .[1]`, `.[0] >= .[1]`, `.[0] != .[1]`, `[.[]? as $x | .[]? as $y | $x < $y, $x == $y]`,
	`. and true`, `. or false`, `. // "d"`, `.a // .b`, `[.[]? // 1]`, `[(1,2) + (10,20)]`, `[(1,2) * (3,4)]`, `[(1,2) - (3,4)]`, `[(6,8) / (2,4)]`, `[(1,2) == (1,2)]`,
	`def f: def g: 3; g + 1; f * 2`, `[.[]? | . + . * 2 - 1]`, `1 as $x | 2 as $y | [$x + $y, $x - $y, $x * $y, $x / $y, ($y * $y * $y)]`,
	// text
	`"a\(.)b"`, `"\(.[0])-\(.[1])"`, `["\(1,2)x\(3,4)"]`, `"\("a" + "\(.)")"`, `@text`, `@json`, `@html`, `@uri`, `@csv`, `@tsv`, `@sh`, `@base64`, `@base64d`, `@urid`,
	`@html "<\(.)>"`, `@json "v: \(.)"`, `@uri "?q=\(.)&r=\(1)"`, `@csv "\(.)"`, `@base64 "x\(.)y"`, `@text "x\(.)y"`, `@sh "echo \(.)"`, `@base64 "plain"`,
	`format("html")`, `tostring`, `tojson`, `fromjson`, `(tojson | fromjson) == .`, `tonumber`, `ascii_downcase`, `ascii_upcase`, `explode`, `implode`, `[explode?] | implode`,
	`ltrimstr("a")`, `rtrimstr("c")`, `trim`, `startswith("a")`, `split(",")`, `split("")`, `split(", ")`, `join(",")`, `join(null)`, `join(1)`, `join("")`, `map(tostring) | join("-")`,
	`{"a\(.)": 1}`, `{"x\(1,2)": .}`, `{"e\("")"}`, `{"k\(1)"}`, `."a\("")"`, `.["a\("")"]`, `{(tostring): 1}`, `{a, e}`, `{"a", "b": 2, @base64 "x": 3}`, `{$__x: 1}`,
	`utf8bytelength`, `length`, `reverse`, `keys`, `has("a")`, `has(0)`, `[.[]? | type]`, `todate`, `fromdate`, `.[0] | todate`, `strptime("%Y-%m-%dT%H:%M:%SZ") | mktime`,
	// searches
	`index("b")`, `rindex("a")`, `indices("a")`, `indices(1)`, `indices([1,2])`, `indices([])`, `index(",")`, `index("")`, `indices("")`, `rindex("")`, `indices(", ")`, `.[[1,2]]`, `.[[]]`, `.[[[]]]`, `.[[[1,2],{}]]`,
	`[1,2,1,2,1] | indices([1,2,1]), index([2,1]), rindex([1,2]), .[[2,1]]`, `"a,b, cd, efg" | indices(", ")`, `"aaaa" | indices("aa")`, `"ää☆ä" | indices("ä"), rindex("☆")`,
	`contains("b")`, `contains([1])`, `contains({"a":1})`, `contains({})`, `contains([])`, `contains(null)`, `contains(true)`, `inside([1,2,3,4])`, `inside("abcdef")`, `["foobar"] | contains(["bar"])`,
	`bsearch(2)`, `sort | bsearch(1)`, `IN(1,2)`, `IN(.[]?; 1, 2)`, `[.[]? | IN("a", null)]`, `any`, `all`, `any(. == 1)`, `all(. != null)`, `any(.[]?; . == 1)`, `all(.[]?; . == 1)`,
	// order
	`sort`, `sort_by(.a)`, `sort_by(-.a, .b)`, `sort_by(.)`, `group_by(.)`, `group_by(.a)`, `unique`, `unique_by(.a)`, `unique_by(length)`, `min`, `max`, `min_by(.a)`, `max_by(.a)`, `max_by(.b)`,
	`[.[]?, .[]?] | sort`, `[.[]?, .[]?] | group_by(type)`, `[[2,1],[1,2],[1],[]] | sort, min, max`, `[{"b":1},{"a":2},{"a":1}] | sort, unique, min, max`, `[nan, 1, nan] | sort, unique, min, max`,
	`[1, 1.0, 1e0, "1"] | unique, group_by(.)`, `[{"a":1,"c":1},{"a":1,"c":2}] | max_by(.a), min_by(.a)`,
	// trees
	`add`, `add(.[]?)`, `add(.[]? | tostring)`, `map(.)`, `map(.a)`, `map_values(.)`, `map_values(empty)`, `map_values(., .)`, `map_values(select(. != null))`, `flatten`, `flatten(1)`, `flatten(0)`, `flatten(-1)`,
	`transpose`, `[combinations]`, `[[1,2],[3]] | [combinations]`, `[combinations(2)]`, `to_entries`, `from_entries`, `with_entries(.value |= tostring)`, `walk(.)`, `walk(if type == "number" then . + 1 else . end)`,
	`walk(if . == null then empty else . end)`, `walk(select(. != null))`, `[paths]`, `[paths(type == "number")]`, `[leaf_paths?]`, `[..]`, `[.. | numbers]`, `[recurse(.[]?; . != 2)]`, `[tostream]`, `fromstream(tostream)`,
	`[fromstream(tostream | select(length == 2) | .[1] |= tostring)]`, `[1 | truncate_stream([[0],1],[[1,0],2],[[1,0]],[[1]])]`, `[fromstream(1 | truncate_stream([[0],1],[[1,0],2],[[1,0]],[[1]]))]`,
	`fromstream(([["a",0],1],[["a",1],2],[["a",1]],[["b"],3],[["b"]]))`, `[fromstream([[],1],[[0],2],[[0]])]`,
	`INDEX(.a)`, `INDEX(.[]?; type)`, `INDEX(.)`, `INDEX(..)`, `INDEX(empty)`, `INDEX(.[]?; type, length?)`, `[JOIN({"1":"one"}; tostring)]`, `[JOIN({"1":"one"}; .[]?; tostring)]`, `[JOIN({"1":"one"}; .[]?; tostring; add)]`,
	`first`, `last`, `nth(1)`, `first(.[]?)`, `[limit(2; .[]?)]`, `[skip(1; .[]?)]`, `[range(3)]`, `[range(0;10;3)]`, `isempty(.[]?)`, `[splits(", *")?]`, `getpath(["a"])`, `getpath(["b","c",0])`, `[getpath(["a"], ["b"])]`,
	// changes
	`.a = 1`, `.a.b.c = 1`, `.[0] = 9`, `.[-1] = 9`, `.[5] = 9`, `.[-9] = 9`, `.a[2] = 9`, `.b.c[0] = (1,2)`, `.[] = 1`, `.[]? = 1`, `.. = 1`, `.[1:] = ["x"]`, `.[:1] = []`, `.[1:2] = ["x","y","z"]`, `.[0:0] = [7]`,
	`.a[1:3] = [0]`, `.[-2:] = ["l"]`, `.[1.2:3.5] = ["x"]`, `.[2:1] = ["x"]`, `.[1:] = 5`, `.["a"] = 1`, `.[null] = 1`, `.a = .b`, `(.a, .b) = 1`, `.a as $x | .b = $x`, `. = 1`,
	`.a |= . + 1`, `.[] |= tostring`, `.[]? |= tostring`, `.a |= empty`, `.[0] |= empty`, `(.[] | select(. == 1)) |= empty`, `.[]? |= empty`, `(.a, .b) |= empty`, `(.a, .a.b) |= empty`, `(.a[0], .a[1]) |= empty`,
	`.a |= (., .)`, `.[] |= (1, 2)`, `.b.c[2].d |= 5`, `.. |= .`, `(.. | select(type == "number")) |= . + 1`, `.[1:] |= map(tostring)`, `.[1:] |= empty`, `.[:2] |= reverse`, `.[1:][0] |= 9`, `.[1:3][1:] |= ["q"]`,
	`(.a, .a) |= tostring`, `(.a[0], .a) |= tostring`, `(.a, .a[0]) |= .`, `.a |= (.[0] |= 5)`, `.[0:2][5] = 1`, `[1,2,3,4] | .[0:2][3] = "x"`, `getpath(["a","b"]) |= 5`, `first(.[]?) |= 9`, `.a[.a[0]?]? |= 9`,
	`.a += 1`, `.a -= 1`, `.a *= 2`, `.a /= 2`, `.a %= 2`, `.a //= "d"`, `.[]? += 1`, `.[] += (1,2)`, `.a += .b`, `.e += "y"`, `.a *= .b`, `.a -= .a`, `.b /= "b"`, `(.a,.b) += 1`, `.zz //= (1,2)`, `.a += (.a += 1 | .a)`,
	`setpath(["a"]; 1)`, `setpath(["a","b"]; 1)`, `setpath([]; 1)`, `setpath([0]; 1)`, `setpath([-1]; 1)`, `setpath([1, "x"]; 1)`, `setpath(["a", 1]; 1)`, `setpath([{"start":1,"end":null}]; ["s"])`, `setpath("a"; 1)`, `setpath([true]; 1)`,
	`del(.a)`, `del(.[0])`, `del(.[0,2])`, `del(.[-1])`, `del(.[1:])`, `del(.[:2], .[1:])`, `del(.[0], .[0:2])`, `del(.a, .b)`, `del(.a, .a.b)`, `del(.[]?)`, `del(..)`, `del(.)`, `del(.a.b.c)`, `del(.b.c[0,1])`, `del(.b.c[2].d)`, `del(.zz)`, `del(.[9])`,
	`del(.. | select(. == null)?)`, `del(.[] | select(. == 1 or . == "a"))`, `del(.[-1], .[2])`, `del(.a[1:3], .a[0])`, `delpaths([["a"]])`, `delpaths([[0],[1]])`, `delpaths([])`, `delpaths([[]])`, `delpaths("a")`, `delpaths([["a"],["a","b"]])`,
	`delpaths(["a"])`, `delpaths([["b","c",0],["b","c",1]])`, `to_entries | map(select(.value)) | from_entries?`, `pick(.a)`, `pick(.b.c[1])`, `pick(.[1])`, `pick(.a, .e)`, `pick(first(.[]?))`, `pick(.[-1])`, `[.[]? |= 1]`, `null | .a.b[1] = 1`,
	`path(.a, .b)`, `[path(..)]`, `[path(.[]?)]`, `[path(.a[1:][0]?)]`, `path(getpath(["a","b"]))`, `[path(first(.[]?))]`, `[path(.[]? | select(. == 1))]`, `try path(1) catch "e"`, `[path(.. | select(type == "array"))]`,
	// control
	`[.[]? as [$a, $b] | {$a, $b}]`, `[.[]? as {a: $x} | $x]`, `. as {a: $x, b: {c: [$y]}} | [$x, $y]`, `. as {"a": $x} | $x`, `. as {("a", "e"): $x} | [$x]`, `[.[]? as [$a] ?// $a | $a]`, `. as {$a, $b: {$c}} ?// [$a, $b, $c] | [$a, $b, $c]`,
	`reduce .[]? as $x (0; . + 1)`, `[foreach .[]? as $x (0; . + 1; [$x, .])]`, `[foreach range(4) as $i (0; . + $i)]`, `reduce .[]? as [$a, $b] (null; . + $a)`, `[label $out | .[]? | ., break $out]`, `[limit(3; repeat(1))]`,
	`try error("x") catch .`, `try error catch .`, `try error({a: 1}) catch .a`, `[.[]? | try tonumber catch "bad"]`, `[.[]? | tonumber?]`, `.a?`, `[.a?, .[0]?]`, `.a?.b?`, `[.[]?[0]?]`, `if . then 1 elif .a then 2 else 3 end`, `[while(length > 1; .[1:])]`,
	`[.[]? | until(. == null or true; .)]`, `. as $dot | [$dot, .]`, `def f(g): [g, g]; f(.a?)`, `def f($a; $b): $a + $b; f(1; 2)`, `def f(x): x | x; 3 | f(. * .)`, `[recurse(if . < 3 and type == "number" then . + 1 else empty end)]`,
	`halt`, `halt_error`, `empty`, `error`, `[splits("a";"g")?]`, `[.[]? | abs?]`, `[limit(0; 1, 2)]`, `tojson | @base64 | @base64d | fromjson`, `[1,[2]] | getpath([1,0])`, `[nan] | tojson`, `[infinite, -infinite] | tojson`, `getpath([[1]])`,
	`[.[0:2], .[1:], .[:-1], .[-2:]]?`, `.[1.7]?`, `.["a","b"]?`, `[.[0,1]?]`, `.[]?.a?`, `..|=.`, `[..|.a?]`, `tostream|tojson`, `input_line_number?`, `ltrimstr(1)`, `@json "\(1)\(2)\(3)"`, `ascii?`,
}

func gojqCode(t testing.TB, src string) *gojq.Code {
	t.Helper()
	q, err := gojq.Parse(src)
	if err != nil {
		return nil
	}
	code, err := gojq.Compile(q)
	if err != nil {
		return nil
	}
	return code
}

// same compares both for `[src]`, so that several results are one.
func same(t *testing.T, src string, inputs []any) {
	t.Helper()
	src = "[" + src + "\n]"
	code := gojqCode(t, src)
	if code == nil {
		return
	}
	p, err := Compile(src, Spec{})
	if err != nil {
		t.Errorf("%s: %v", src, err)
		return
	}
	for _, in := range inputs {
		// gojq writes into its input, see edit.go.
		in = decode(t, encode(t, in))
		got, err := p.Run(t.Context(), in)
		if errors.Is(err, ErrDeadline) {
			continue // a busy machine
		}
		ctx, cancel := context.WithTimeout(t.Context(), 4*Deadline)
		want, _ := code.RunWithContext(ctx, in).Next()
		cancel()
		if _, failed := want.(error); failed {
			if err == nil {
				t.Errorf("%s of %s = %s, want the error %v", src, encode(t, in), encode(t, got), want)
			}
			continue
		}
		if err != nil && (strings.Contains(err.Error(), "use indices") || strings.Contains(err.Error(), "64 digits")) {
			continue // a limit of ours
		}
		if err != nil {
			t.Errorf("%s of %s: %v, want %s", src, encode(t, in), err, encode(t, want))
		} else if encode(t, got) != encode(t, want) {
			t.Errorf("%s of %s:\ngot  %.300s\nwant %.300s", src, encode(t, in), encode(t, got), encode(t, want))
		}
	}
}

func TestDifferential(t *testing.T) {
	t.Parallel()
	var inputs []any
	for _, s := range samples {
		inputs = append(inputs, decode(t, s))
	}
	for i, src := range differential {
		if i%slowdown == 0 {
			same(t, src, inputs)
		}
	}
}

// gojq writes the part of an array that it has copied already in place, over what
// is behind the part.
func TestSlicesOfSlices(t *testing.T) {
	t.Parallel()
	yields(t, `.[0:2][5, 3] = "x"`, decode(t, `[1,2,3,4]`), `[1,2,null,"x",null,null,null,"x",3,4]`)
}

// Every builtin of gojq is known: either it can be called, or it is refused.
func TestBuiltinsAreKnown(t *testing.T) {
	t.Parallel()
	list, _ := gojqCode(t, `[builtins[]]`).Run(nil).Next()
	known := 0
	for _, name := range list.([]any) {
		if _, ok := builtins[name.(string)]; ok {
			known++
		} else {
			t.Errorf("%s is new in gojq: is it bounded?", name)
		}
	}
	if known < 200 {
		t.Errorf("only %d builtins", known)
	}
	for name, b := range builtins {
		fn, n, _ := strings.Cut(name, "/")
		if b.how == refused || slices.Contains([]string{"digest", "hmac", "jwt", "sign"}, fn) { // "g" is no algorithm
			continue
		}
		src := fn
		if n != "0" {
			args := make([]string, n[0]-'0')
			for i := range args {
				args[i] = `"g"`
			}
			if strings.HasPrefix(fn, "date") {
				args[0], args[1] = `"2006"`, `"UTC"`
			}
			if fn == "format" {
				args[0] = `"text"`
			}
			src += "(" + strings.Join(args, "; ") + ")"
		}
		if _, err := Compile("try "+src+" catch .", Spec{}); err != nil {
			t.Errorf("%s: %v", src, err)
		}
	}
}
