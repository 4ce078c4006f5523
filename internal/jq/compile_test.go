package jq

import (
	"errors"
	"strings"
	"testing"
)

func TestCompileErrors(t *testing.T) {
	t.Parallel()
	lib := Spec{Define: "def one: 1;\ndef two(f): f + one;"}
	tests := []struct {
		src    string
		spec   Spec
		want   string // the error, up to its hint
		hinted bool   // about {$…}
	}{
		// The parser's.
		{`{a: 1`, Spec{}, `line 1, column 6: unexpected EOF`, false},
		{`{"a":1, "b":, "c":2}`, Spec{}, `line 1, column 13: unexpected token ","`, true},
		{".a |\n  .b c", Spec{}, `line 2, column 6: unexpected token "c"`, false},
		{"é | é", Spec{}, `line 1, column 1: unexpected token "é"`, false},
		{`"é" | ]`, Spec{}, `line 1, column 7: unexpected token "]"`, true},
		{`"abc`, Spec{}, `line 1, column 5: unterminated string literal`, true},
		{`"\q"`, Spec{}, `line 1, column 2: invalid escape sequence "\q" in string literal`, false},
		{``, Spec{}, `line 1, column 1: missing query (try ".")`, true},
		{` `, Spec{}, `line 1, column 2: missing query (try ".")`, true},
		{`def f: 1;`, Spec{}, `line 1, column 1: missing query (try ".")`, true},
		{strings.Repeat(" ", 70_000), Spec{}, `line 1, column 70001: program is longer than 64 KiB`, false},
		{strings.Repeat("[", 5_000) + strings.Repeat("]", 5_000), Spec{}, `line 1, column 1: program is nested too deeply`, false},
		{strings.Repeat("(", 5_000) + "." + strings.Repeat(")", 5_000), Spec{}, `line 1, column 1: program is nested too deeply`, false},
		{strings.Repeat(".a|", 15_000) + ".", Spec{}, `line 1, column 1: program is nested too deeply`, false},
		{strings.Repeat("-", 20_000) + "1", Spec{}, ``, false},
		{"." + strings.Repeat("[]", 5_000), Spec{}, ``, false},
		{`1e` + strings.Repeat("0", 99), Spec{}, `line 1, column 1: number has more than 64 characters`, false},

		// Names.
		{`.a | nosuch`, Spec{}, `line 1, column 6: there is no function nosuch/0`, false},
		{`.nosuch | {nosuch: nosuch(1)}`, Spec{}, `line 1, column 20: there is no function nosuch/1`, false},
		{"# nosuch\n\"nosuch\" |\n nosuch", Spec{}, `line 3, column 2: there is no function nosuch/0`, false},
		{`"a \(nosuch)"`, Spec{}, `line 1, column 6: there is no function nosuch/0`, false},
		{`_add(1; 2)`, Spec{}, `line 1, column 1: there is no function _add/2`, false},
		{`_match("a"; null; false)`, Spec{}, `line 1, column 1: there is no function _match/3`, false},
		{`a::b`, Spec{}, `line 1, column 1: there is no function a::b/0`, false},
		{`(def f: 1; f) | f`, Spec{}, `line 1, column 12: there is no function f/0`, false},
		{`sign("RS256"; "k")`, Spec{}, `line 1, column 1: sign takes three arguments: algorithm; key; encoding`, false},
		{`.a | hmac("k")`, Spec{}, `line 1, column 6: hmac takes two, three or four arguments: algorithm; key; encoding of the key; encoding`, false},
		{`jwt("RS256")`, Spec{}, `line 1, column 1: jwt takes two or three arguments: algorithm; key; header`, false},
		{`e164`, Spec{}, `line 1, column 1: e164 takes one argument: region`, false},
		{`md5("x")`, Spec{}, "line 1, column 1: md5 takes no arguments; what it works on stands before it: `… | md5`", false},
		{`first(1; 2)`, Spec{}, `line 1, column 1: first takes no or one argument`, false},
		{`$a`, Spec{}, `line 1, column 1: there is no variable $a`, false},
		{`. as [$a] | $a, $b`, Spec{Vars: []string{"c", "d"}}, `line 1, column 17: there is no variable $b; known here: $c, $d`, false},
		{`{$a}`, Spec{}, `line 1, column 2: there is no variable $a`, false},
		{`reduce .[] as $x ($x; .)`, Spec{}, `line 1, column 15: there is no variable $x`, false},
		{`(1 as $x | $x) | $x`, Spec{}, `line 1, column 7: there is no variable $x`, false},
		{`$__loc__`, Spec{}, `line 1, column 1: there is no variable $__loc__`, false},
		{`$a`, Spec{Vars: []string{"a-b"}}, `line 1, column 1: there is no variable $a; known here: $a-b`, false},
		{`1`, Spec{Vars: []string{"a-b"}}, `line 1, column 1: invalid variable name: $a-b`, false},
		{`break $out`, Spec{}, `line 1, column 1: label not defined: $out`, false},

		// What is off.
		{`env`, Spec{}, `line 1, column 1: env/0 is off; a program does not see the environment; use a credential`, false},
		{`.a | env.HOME`, Spec{}, `line 1, column 6: env/0 is off; a program does not see the environment; use a credential`, false},
		{`$ENV.HOME`, Spec{}, `line 1, column 1: $ENV is off: a program does not see the environment`, false},
		{`input`, Spec{}, `line 1, column 1: input/0 is off`, false},
		{`[inputs]`, Spec{}, `line 1, column 2: inputs/0 is off`, false},
		{`debug`, Spec{}, `line 1, column 1: debug/0 is off`, false},
		{`debug("x")`, Spec{}, `line 1, column 1: debug/1 is off`, false},
		{`jn(1e9; 1e9)`, Spec{}, `line 1, column 1: jn/2 is off`, false},
		{`import "a" as a; 1`, Spec{}, "line 1, column 1: modules are off; write `define @lib.jq` for a file of definitions", false},
		{`include "a"; 1`, Spec{}, "line 1, column 1: modules are off; write `define @lib.jq` for a file of definitions", false},

		// Formats.
		{`@order.jq`, Spec{}, "line 1, column 1: there is no format @order; a program that begins with @ and ends in .jq is a file, " +
			"which is put in when a Caddyfile is adapted", false},
		{`.a | @base32`, Spec{}, `line 1, column 6: there is no format @base32`, false},
		{`format("nosuch")`, Spec{}, `line 1, column 1: there is no format @nosuch`, false},
		{`format(.f)`, Spec{}, `line 1, column 1: format needs a literal`, false},

		// Arguments that are literals.
		{`test("(")`, Spec{}, `line 1, column 1: invalid regular expression: missing closing )`, false},
		{`.a | gsub("a**"; "")`, Spec{}, `line 1, column 6: invalid regular expression: invalid nested repetition operator`, false},
		{`test("a"; "x")`, Spec{}, `line 1, column 1: regular expressions have the flags g, i and m, not x`, false},
		{`hmac("sha3"; "k")`, Spec{}, `line 1, column 1: hmac knows "md5", "sha1", "sha256", "sha384" and "sha512"`, false},
		{`hmac("md5"; "k"; "rot13")`, Spec{}, `line 1, column 1: hmac's key is in "text", "hex" or "base64"`, false},
		{`hmac("md5"; "k"; "text"; "octal")`, Spec{}, `line 1, column 1: bytes are written in "hex", "base64" or "base64url"`, false},
		{`.a | digest("sha3"; "hex")`, Spec{}, `line 1, column 6: digests are "md5", "sha1", "sha256", "sha384" and "sha512"`, false},
		{`digest("sha1"; "base32")`, Spec{}, `line 1, column 1: bytes are written in "hex", "base64" or "base64url"`, false},
		{`jwt("none"; "k")`, Spec{}, `line 1, column 1: jwt knows HS, RS, PS and ES with 256, 384 or 512, and EdDSA`, false},
		{`sign("HS256"; "k"; "hex")`, Spec{}, `line 1, column 1: sign knows RS, PS and ES with 256, 384 or 512, and EdDSA; for a shared secret there is hmac`, false},
		{`sign("RS256"; "k"; "pem")`, Spec{}, `line 1, column 1: bytes are written in "hex", "base64" or "base64url"`, false},
		{`date("2006"; "Europe/Nowhere")`, Spec{}, `line 1, column 1: date does not know this time zone`, false},
		{`date("YYYY-MM-DD"; "UTC")`, Spec{}, `line 1, column 1: date's layout holds no part of a time; write Go's reference time as you want it, such as "2006-01-02 15:04:05"`, false},
		{`date("%H:%M"; "UTC")`, Spec{}, `line 1, column 1: date's layout holds no part of a time; write Go's reference time as you want it, such as "2006-01-02 15:04:05"`, false},
		{`date("PM"; "UTC"), date(".000"; "UTC"), date("MST"; "UTC")`, Spec{}, ``, false},

		// Definitions.
		{`two(2)`, lib, ``, false},
		{`three`, lib, `line 1, column 1: there is no function three/0`, false},
		{`1`, Spec{Define: "def f: 1;\ndef g: nosuch;"}, `in the definitions, line 2, column 8: there is no function nosuch/0`, false},
		{`1`, Spec{Define: "def f: 1;\n  def g:"}, `in the definitions, line 2, column 9: unexpected EOF`, true},
		{`1`, Spec{Define: `def f: 1; f`}, `in the definitions, line 1, column 1: definitions only, please: def name: …;`, false},
		{`1`, Spec{Define: `def f: $a;`}, ``, false}, // nothing calls it
		{`f`, Spec{Define: `def f: $a;`}, `line 1, column 1: there is no variable $a`, false},
	}
	for _, tt := range tests {
		_, err := Compile(tt.src, tt.spec)
		if tt.want == "" {
			if err != nil {
				t.Errorf("%.80s: %v", tt.src, err)
			}
			continue
		}
		e, ok := errors.AsType[*SyntaxError](err)
		if !ok {
			t.Errorf("%.80s: no *SyntaxError but %v", tt.src, err)
			continue
		}
		want := tt.want
		if tt.hinted {
			want += "; " + caddyHint
		}
		if e.Error() != want {
			t.Errorf("%.80s:\ngot  %s\nwant %s", tt.src, e, want)
		}
		if e.InDefine != strings.HasPrefix(want, "in the definitions") {
			t.Errorf("%.80s: InDefine = %v", tt.src, e.InDefine)
		}
	}
}

func TestUses(t *testing.T) {
	t.Parallel()
	const define = `def signed: $app_secret | md5; def indirect: signed; def other: $unused;`
	tests := []struct {
		src  string
		uses string
	}{
		{`.`, ""},
		{`$token`, "token"},
		{`.token`, ""},
		{`"$token"`, ""},
		{`"\($token)"`, "token"},
		{`{$token}`, "token"},
		{`{token: 1}`, ""},
		{`1 # $token`, ""},
		{`. as $token | $token`, ""},
		{`$token as $token | $token`, "token"},
		{`. as {$token} | 1`, ""},
		{`. as {a: [$token]} | $token`, ""},
		{`. as {($token): $x} | $x`, "token"},
		{`def f($token): $token; f(1)`, ""},
		{`def f: $token; 1`, "token"},
		{`reduce .[] as $token (0; $token)`, ""},
		{`reduce .[] as $x ($token; 1)`, "token"},
		{`foreach .[] as $x (0; $nonce; $token)`, "nonce token"},
		{`.[$token]`, "token"},
		{`.[$token:]`, "token"},
		{`."\($token)"`, "token"},
		{`.a[$nonce]?[] | -$token`, "nonce token"},
		{`if $a then $b elif $c then $d else $e end`, "a b c d e"},
		{`try $a catch $b`, "a b"},
		{`label $out | $a`, "a"},
		{`@base64 "\($a)"`, "a"},
		{`.a += $a`, "a"},
		{`test("x") and ($a | contains($b))`, "a b"},
		{`gsub("x"; $a)`, "a"},
		{`signed`, "app_secret"},
		{`indirect`, "app_secret"},
		{`def signed: 1; signed`, ""},
		{`. ?// $x | $a`, "a x"},
		{`. as [$x] ?// $x | $x, $a`, "a"},
	}
	vars := strings.Fields("a b c d e x app_secret token nonce")
	for _, tt := range tests {
		p, err := Compile(tt.src, Spec{Vars: vars, Define: define})
		if err != nil {
			t.Errorf("%s: %v", tt.src, err)
			continue
		}
		var used []string
		for _, v := range vars {
			if p.Uses(v) {
				used = append(used, v)
			}
		}
		want := strings.Fields(tt.uses)
		if len(used) != len(want) {
			t.Errorf("%s uses %v, want %v", tt.src, used, want)
			continue
		}
		for _, v := range want {
			if !p.Uses(v) {
				t.Errorf("%s uses %v, want %v", tt.src, used, want)
			}
		}
	}
}

// A program's own definitions come before builtins, and don't reach into ours.
func TestOwnDefinitions(t *testing.T) {
	t.Parallel()
	tests := []struct{ src, in, want string }{
		{`def map(f): "mine"; map(.)`, `[1]`, `"mine"`},
		{`def first(f): error("mine"); .a |= . + 1`, `{"a":1}`, `{"a":2}`},
		{`def add: "mine"; [.[]] | add(.[])`, `[1,2]`, `3`},
		{`def recurse: error("mine"); .a |= 2`, `{"a":1}`, `{"a":2}`},
		{`def _post: "mine"; def iter: "mine"; [.[] + .[]]`, `["a"]`, `["aa"]`},
		{`def tostring: "mine"; "\(.)"`, `1`, `"1"`},
		{`def test(f): "mine"; test(.x)`, `1`, `"mine"`},
		{`def env: "mine"; env`, `1`, `"mine"`},
		{`def f(keys): keys; f(1)`, `{}`, `1`},
		{`def f($keys): keys; f(1)`, `{}`, `1`},
		{`def f: def keys: 1; keys; f, keys | tojson`, `{"a":1}`, ``},
		{`def fac: if . <= 1 then 1 else . * (. - 1 | fac) end; fac`, `10`, `3628800`},
		{`[lib(2)]`, `3`, `[6]`},
		{`def lib(x): "mine"; lib(2)`, `3`, `"mine"`},
	}
	for _, tt := range tests {
		p := compile(t, tt.src, Spec{Define: `def lib(x): . * x;`})
		out, err := p.Run(t.Context(), decode(t, tt.in))
		if tt.want == "" {
			if !errors.Is(err, ErrResults) {
				t.Errorf("%s: %v, %v", tt.src, out, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.src, err)
		} else if got := encode(t, out); got != tt.want {
			t.Errorf("%s = %s, want %s", tt.src, got, tt.want)
		}
	}
}
