//go:build !noswitchboardfast

package jq

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

var directPrograms = []string{
	".", ".a.b", `.a["b"]`, ".a.b?", ".a | .b", "{x: .a.b, y: $status}", `{a, $status, "k": "v"}`, "{x: 1}", "{a: .a, a: .b}",
	`.code == "000000"`, `"x" != .a`, ".a == null", "null == .a.b", ".a == true", "$status < 400", "404 == $status", "400 >= $status",
	".a and .b", ".a or (.b | not)", ".a // .b", `.a // "none"`, "if .a then .b elif .c then null else \"z\" end", "if .a then .b end",
	".a | not", "$status", "(.a)", ".a == 1", ".a < 5", `.a < "b"`, "[.a]", ".a[0]", ".a + .b", `"\(.a)"`, ".a == .b", "-1 < $status", "1.0 == $status",
}

func TestDirectCovers(t *testing.T) {
	covered := 0
	for _, text := range directPrograms {
		p, err := Compile(text, Spec{Vars: []string{"status"}})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if p.direct != nil {
			covered++
		}
	}
	if covered < 24 {
		t.Errorf("%d of %d programs need no machine", covered, len(directPrograms))
	}
	p, err := Compile(".a | not", Spec{Define: "def not: 7;"})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := p.Run(t.Context(), map[string]any{"a": true}); err != nil || v != 7 {
		t.Errorf("a definition of the user's own gives %v, %v", v, err)
	}
}

// FuzzDirect holds programs that need no machine against the machine.
func FuzzDirect(f *testing.F) {
	for i := range directPrograms {
		for _, doc := range []string{
			`{"a":{"b":1},"b":"x","c":true}`, `{"a":null,"b":false}`, `{"a":"x","code":"000000"}`, `[]`, `null`, `{"a":1.0}`, `{"a":[1]}`, `{"a":false,"b":{}}`, `7`,
		} {
			f.Add(i, 200+i, []byte(doc))
		}
	}
	f.Fuzz(func(t *testing.T, i, status int, text []byte) {
		doc, err := jsonval.Decode(text, jsonval.Limits{Depth: 20})
		if err != nil {
			return
		}
		p, err := Compile(directPrograms[((i%len(directPrograms))+len(directPrograms))%len(directPrograms)], Spec{Vars: []string{"status"}})
		if err != nil {
			t.Fatal(err)
		}
		got, gotErr := p.Run(t.Context(), doc, status)
		p.direct = nil
		want, wantErr := p.Run(t.Context(), doc, status)
		if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) || !reflect.DeepEqual(got, want) {
			t.Errorf("%s on %s with %d: got %v %v, the machine says %v %v", p, text, status, got, gotErr, want, wantErr)
		}
	})
}
