package jq

import "testing"

func TestReadsInput(t *testing.T) {
	t.Parallel()
	const define = `
		def ghost($key; $now): ($key | split(":")) as [$id, $secret]
			| [{kid: $id}, {iat: $now}] | map(tojson | base64url) | join(".") | "\(.).\(hmac("sha256"; $secret; "hex"; "base64url"))";
		def tel: .tel;
		def on(f): "x" | f;
		def same(f): f;
		def loop: if $k == "" then "x" | length else loop end;
		def a0: 1, 1; def a1: a0, a0; def a2: a1, a1; def a3: a2, a2; def a4: a3, a3; def a5: a4, a4; def a6: a5, a5;
		def a7: a6, a6; def a8: a7, a7; def a9: a8, a8; def b0: a9, a9; def b1: b0, b0; def b2: b1, b1; def b3: b2, b2;
		def b4: b3, b3; def b5: b4, b4; def many: b5, b5;`
	for src, want := range map[string]bool{
		`{Authorization: "Ghost \(ghost($k; $t))"}`:                         false,
		`{a: ("x" | hmac("sha256"; $k)), $k, "b": $t, ($k): 1}`:             false,
		`{id: (now | floor), b: uuid, c: -1, d: null, e: [$k[0:2]]}`:        false,
		`"x" | {tel: .tel, name}`:                                           false,
		`$k as $x | "a" | tel`:                                              false,
		`if $k == "" then 1 else try ($k | error) catch . end`:              false,
		`reduce ($k | explode[]) as $c (0; . + $c)`:                         false,
		`label $out | foreach ("a", "b") as $x (""; . + $x; ., break $out)`: false,
		`on(length)`:      true, // an argument counts where it stands
		`on("y")`:         false,
		`same($k)`:        false,
		`$k | .a = 1`:     false,
		`@base64 "\($k)"`: false,

		`.`: true, `.tel`: true, `tel`: true, `{tel}`: true, `{"tel"}`: true, `[.[]]`: true, `..`: true,
		`. as $x | "a" | $x`:                  true,
		`$k as $x | tel`:                      true,
		`$k as {(.tel): $x} | 1`:              true,
		`ghost(.k; 1)`:                        true,
		`same(.tel)`:                          true,
		`md5`:                                 true,
		`@base64`:                             true,
		`"\(.tel)"`:                           true,
		`{("a" + .tel): 1}`:                   true,
		`$k[.n:]`:                             true,
		`if $k == "" then 1 end`:              true, // or the input
		`try .tel catch 1`:                    true,
		`reduce .[] as $x (0; . + $x)`:        true,
		`reduce ("a", "b") as $x (.; . + $x)`: true,
		`.a = $k`:                             true,
		`-(.n)`:                               true,
		`def f: .a; "x" | f | $k, 1`:          false,
		`(def f: .a; f) | 1`:                  true,
		`many`:                                true, // it gives up
		`loop`:                                true, // there, too
	} {
		p, err := Compile(src, Spec{Vars: []string{"k", "t"}, Define: define})
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got := p.ReadsInput(); got != want {
			t.Errorf("%s: reads its input: %v", src, got)
		}
	}
}
