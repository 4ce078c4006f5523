package jq

import (
	"slices"
	"strings"
	"testing"
)

func TestObjectKeys(t *testing.T) {
	t.Parallel()
	const unknown = "?"
	for src, want := range map[string]string{
		`{name: .data.nick, vip: .data.isVip}`: "name vip",
		`{nick: .n}`:                           "nick",
		`{}`:                                   "",
		`{name, "a b": 1, if: 2, $status}`:     "a b if name status",
		`.data | {name}`:                       "name",
		`.data as $d | {name: $d.nick}`:        "name",
		`.data | {name} | .`:                   "name",
		`({name})?`:                            "name",
		`if .a then {a: 1} elif .b then {b: 1} else {c: 1} end`: "a b c",
		`if .a then {a: 1} else null end`:                       "a",
		`if .a then {a: 1} else error("x") end`:                 "a",
		`if .a then {a: 1} end`:                                 unknown,
		`{a: 1} | if .a then {b: 1} end`:                        "a b",
		`(.a | select(. != null) | {a: .}) // {b: 1}`:           "a b",
		`null // {b: 1}`:                                        "b",
		`.a // {b: 1}`:                                          unknown,
		`{a: 1} + {b: 1}`:                                       "a b",
		`{a: 1} * {b: {c: 1}}`:                                  "a b",
		`{a: 1} + .b`:                                           unknown,
		`{a: 1} | .b = 2`:                                       "a b",
		`{a: 1} | .b.c |= 2 | .d += 1`:                          "a b d",
		`.b = 2`:                                                unknown,
		`{a: 1} | .[.x] = 2`:                                    unknown,
		`{a: 1} | del(.a)`:                                      "a",
		`{a: 1, b: 2} | map_values(tostring)`:                   "a b",
		`{a: 1} | with_entries(.key |= "b")`:                    unknown,
		`try {a: 1} catch {b: 1}`:                               "a b",
		`try {a: 1}`:                                            "a",
		`label $out | {a: 1}`:                                   "a",
		`{(.x): 1}`:                                             unknown,
		`{"a\(.x)": 1}`:                                         unknown,
		`{a: 1}.a`:                                              unknown,
		`.`:                                                     unknown,
		`.name`:                                                 unknown,
		`"name"`:                                                unknown,
		`[{a: 1}]`:                                              unknown,
		`null`:                                                  unknown,
		`empty`:                                                 unknown,
		`$x`:                                                    unknown,
		`flat`:                                                  unknown,
		`shape`:                                                 unknown,
		`def select(f): {b: 1}; {a: 1} | select(.a)`: unknown,
		`def f: 1; {a: f}`:                           "a",
		`reduce .[] as $x ({a: 1}; .)`:               unknown,
	} {
		p := compile(t, src, Spec{Vars: []string{"x", "status"}, Define: `def shape: {a: 1};`})
		names, ok := p.ObjectKeys()
		got := unknown
		if ok {
			got = strings.Join(names, " ")
		}
		if got != want {
			t.Errorf("%s: %s, want %s", src, got, want)
		}
	}
}

// A withheld number once asked the API without a filter: e164 gives null for it,
// and null leaves the parameter out.
func TestPipedInto(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		`{tel: (.tel|e164("CN"))}`:                                        "tel",
		`{tel: .tel | e164("CN"), name}`:                                  "tel",
		`{tel: (.caller.number | tostring | gsub(" "; "") | e164("CN"))}`: "caller",
		`{tel: (."tel" | e164("CN")), b: (.["x"] | e164("CN"))}`:          "tel x",
		`{tel: (.tel // .phone | e164("CN"))}`:                            "phone tel",
		`{tel: ("\(.cc)\(.tel)" | e164("CN"))}`:                           "cc tel",
		`{tel: (.cc + .tel | e164("CN"))}`:                                "cc tel",
		`{tel: (if .a then .tel else .phone end | e164("CN"))}`:           "phone tel",
		`{tel: ([.tel, .phone][] | e164("CN"))}`:                          "phone tel",
		`{tels: [.tels[] | e164("CN")]}`:                                  "tels",
		`{tel: first(.tel, .phone | select(.) | e164("CN"))}`:             "phone tel",
		`. as $p | {tel: ($p.tel | e164("CN"))}`:                          "tel",
		`.tel as $t | {tel: ($t | e164("CN"))}`:                           "tel",
		`. as {tel: $t} | {tel: ($t | e164("CN"))}`:                       "tel",
		`. as {$tel} | {tel: ($tel | e164("CN"))}`:                        "tel",
		`def cn: e164("CN"); {tel: (.tel | cn)}`:                          "tel",
		`def cn(f): f | e164("CN"); {tel: cn(.tel)}`:                      "tel",
		`def cn($t): $t | e164("CN"); {tel: cn(.tel)}`:                    "tel",
		`{tel: (.tel | ours)}`:                                            "tel",
		`select(.tel) | {tel: (.tel | e164("CN"))}`:                       "tel",
		`{tel: (try (.tel | e164("CN")) catch null)}`:                     "tel",
		`{tel: (.tel | select(. != "") | e164("CN"))}`:                    "tel",
		`(.tel | e164("CN")) as $t | {tel: $t}`:                           "tel",
		`if (.tel | e164("CN")) then {} else {a: 1} end`:                  "tel",
		`reduce .tels[] as $t ({}; .a = ($t | e164("CN")))`:               "tels",
		`{a: (.tel | (e164("CN") // .))}`:                                 "tel",

		`{tel: ((.tel | e164("CN")) // error("no number"))}`: "",
		`{tel: (.tel | e164("CN") // error("no number"))}`:   "",
		`{tel: (.tel | (e164("CN") // (error)))}`:            "",
		`{tel: .tel}`:                                "",
		`{tel: ("13800138000" | e164("CN"))}`:        "",
		`{tel: ($request.ip | e164("CN"))}`:          "",
		`def e164(r): .; {tel: (.tel | e164("CN"))}`: "",
		`{tel: (.tel | mask)}`:                       "",
		`def f: f, f; def g: f, f; g`:                "",
	} {
		p := compile(t, src, Spec{Vars: []string{"request"}, Define: `def ours: e164("CN");`})
		if got := strings.Join(p.PipedInto("e164/1"), " "); got != want {
			t.Errorf("%s: %q, want %q", src, got, want)
		}
	}
	p := compile(t, `{a: (.a | hmac("sha256"; .k)), b: (.b | mask)}`, Spec{})
	if got := p.PipedInto("mask/0"); !slices.Equal(got, []string{"b"}) {
		t.Errorf("of another function: %q", got)
	}
}

func TestMembersOf(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		`{a: $c.name, b: $c["vip"], d: $c.at.city}`: "at name vip",
		`$c | {a: .name}`:                        "name",
		`$c as $d | $d.name`:                     "name",
		`if $c.name? then 1 else $c.id end`:      "id name",
		`"\($c.name)"`:                           "name",
		`reduce $c.orders[] as $o (0; . + $o.n)`: "orders",
		`ours`:                                   "nick",
		`$c | select(._status == "ok") | .name`:  "name",
		`def f: .name; $c | f`:                   "name",

		`$c`:                         "",
		`$e.name`:                    "",
		`. as $c | $c.name`:          "",
		`$c | .name = "x"`:           "",
		`$c | del(.name)`:            "",
		`$c | with_entries(.value)`:  "",
		`$c | to_entries | .[0].key`: "",
		`$c[] | .name`:               "",
		`($c + {name: 1}).name`:      "",
	} {
		p := compile(t, src, Spec{Vars: []string{"c", "e"}, Define: `def ours: $c.nick; def other: $c.other;`})
		if got := strings.Join(p.MembersOf("c"), " "); got != want {
			t.Errorf("%s: %q, want %q", src, got, want)
		}
	}
}

// What a program signs with is known when the configuration is loaded, so that a key
// that doesn't fit stops the load instead of each call.
func TestSignings(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		`jwt("RS256"; $key)`:                                        "RS256 with $key",
		`{a: (. | sign("ES256"; $key; "base64"))}`:                  "ES256 with $key",
		`{a: jwt("RS256"; $key; {kid: $id})}`:                       "RS256 with $key",
		`"RS256" as $alg | $key as $k | jwt($alg; ($k))`:            "RS256 with $key",
		`def s(a; $k): {iss: 1} | jwt(a; $k); s("PS256"; $key)`:     "PS256 with $key",
		`{iss: 1} | ours("RS512")`:                                  "RS512 with $key",
		`jwt($alg // "RS256"; $new // $key)`:                        "$alg RS256 with $new $key",
		`if .a then jwt("RS256"; $key) else jwt("ES256"; $new) end`: "RS256 with $key, ES256 with $new",
		`jwt("HS256"; "secret")`:                                    "HS256 with secret",
		`try jwt("RS256"; $key) catch ""`:                           "RS256 with $key",

		`jwt("RS\(256)"; $key)`:                       "",
		`jwt(.alg; $key)`:                             "",
		`jwt("RS256"; $key | ltrimstr(" "))`:          "",
		`jwt("RS256"; $key.pem)`:                      "",
		`jwt("RS256"; if .a then $key else $new end)`: "",
		`jwt(@base64 "RS256"; $key)`:                  "",
		`jwt("RS256"; ($key, $new))`:                  "",
		`def jwt(a; b): "mine"; jwt("RS256"; $key)`:   "",
		`. as $key | jwt("RS256"; $key)`:              "",
		`hmac("sha256"; $key)`:                        "",
	} {
		p := compile(t, src, Spec{Vars: []string{"key", "new", "alg", "id"}, Define: `def ours($alg): jwt($alg; $key);`})
		var all []string
		for _, s := range p.Signings() {
			all = append(all, strings.Join(s.Algorithm, " ")+" with "+strings.Join(s.Key, " "))
		}
		if got := strings.Join(all, ", "); got != want {
			t.Errorf("%s: %q, want %q", src, got, want)
		}
	}
}
