package xmlval_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/internal/xmlval"
)

// FuzzPart compares a whole document with the part of it that a program looks at: no
// program can tell them apart.
func FuzzPart(f *testing.F) {
	programs := []string{
		".a.b", "{x: .a.b.c, y: .a.d}", ".a.b == null", ".a | not", ".a // .c | tostring", "if .a.b then .a.c.b else .a.d end", "[.a.b, .a.c.d] | length",
		".a | blank", "blank", "(.a.b | blank) or .a.b.c", ".a.b.c | blank | not", `.a["@b"]`, `.a.b["#text"]`, ".a.c.d[0]", ".a.c.d | length",
	}
	for i := range programs {
		for _, doc := range []string{
			`<a/>`, `<a><b>1</b><c/><d/></a>`, `<a><b><c>1</c><c>2</c></b></a>`, `<a b="1" c="2">x</a>`, `<a>x<b y="1">z</b></a>`, `<b><a/></b>`,
			`<a><c><d>1</d></c></a>`, `<a><z/><z><y>1</y></z></a>`, `<a><b xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true"/></a>`,
			`<a><b xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true"><z/></b></a>`, `<a><z a="1" a="2"/></a>`, `<a><z>&x;</z></a>`, `<a><z></a>`, `<html><b/></html>`,
		} {
			f.Add(i, doc)
		}
	}
	lists, err := xmlval.NewLists([]string{"a/c/d", "a/z"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, i int, doc string) {
		program, err := jq.Compile(programs[((i%len(programs))+len(programs))%len(programs)], jq.Spec{})
		if err != nil {
			t.Fatal(err)
		}
		limits := jsonval.Limits{Nodes: 64}
		for _, lists := range []*xmlval.Lists{nil, lists} {
			whole, wholeErr := xmlval.Decode([]byte(doc), limits, lists, nil)
			part, partErr := xmlval.Decode([]byte(doc), limits, lists, jq.Project(program))
			if fmt.Sprint(wholeErr) != fmt.Sprint(partErr) {
				t.Fatalf("whole %v, part %v", wholeErr, partErr)
			}
			if wholeErr != nil {
				continue
			}
			want, wantErr := program.Run(t.Context(), whole)
			got, gotErr := program.Run(t.Context(), part)
			if fmt.Sprint(wantErr) != fmt.Sprint(gotErr) || !reflect.DeepEqual(want, got) {
				t.Errorf("%s on %s: whole gives %v %v, the part %v %v", program, doc, want, wantErr, got, gotErr)
			}
		}
	})
}
