package jq

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// written is a part for tests: `.a{b !c}`, ! for whole parts.
func written(p *jsonval.Part) string {
	if p == nil {
		return "everything"
	}
	if p.Whole {
		return "!"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(p.Members)) {
		parts = append(parts, name+written(p.Members[name]))
	}
	if len(parts) == 0 {
		return ""
	}
	return "{" + strings.Join(parts, " ") + "}"
}

func TestProject(t *testing.T) {
	for _, tc := range []struct {
		program string
		want    Kind
		reads   string
	}{
		{".", Any, "everything"},
		{".data.nick", Any, "{data{nick!}}"},
		{`.data["nick"]."x y"`, Any, "{data{nick{x y!}}}"},
		{".data | .nick", Any, "{data{nick!}}"},
		{".data | {name: .nick, vip: .isVip}", Any, "{data{isVip! nick!}}"},
		{"{name: .data.nick, vip: .data.isVip}", Any, "{data{isVip! nick!}}"},
		{"{code, $status}", Any, "{code!}"},
		{`{"a": .b, "\(.c)": 1}`, Any, "{b! c!}"},
		{`.code == "000000"`, Predicate, "{code}"},
		{".data == null", Predicate, "{data}"},
		{".data == .other", Predicate, "{data! other!}"},
		{".ok and (.errors | not)", Predicate, "{errors ok}"},
		{".ok", Predicate, "{ok}"},
		{".a // .b", Any, "{a! b!}"},
		{"if .a then .b elif .c then .d else .e end", Any, "{a b! c d! e!}"},
		{"if .a then .b end", Any, "everything"},
		{".items[0].x", Any, "everything"},
		{".items | length", Any, "{items!}"},
		{".items | map(.x)", Any, "{items!}"},
		{".items[]", Any, "everything"},
		{".a.b?", Any, "{a{b!}}"},
		{`"x\(.a)" + .b`, Any, "{a! b!}"},
		{`@base64 "\(.a)"`, Any, "{a!}"},
		{"[.a, .b]", Any, "{a! b!}"},
		{"-.a", Any, "{a!}"},
		{".a as $x | .b", Any, "everything"},
		{"def f: .x; f", Any, "everything"},
		{"..", Any, "everything"},
		{".a = 1", Any, "everything"},
		{".[.k]", Any, "everything"},
		{"$status < 400", Predicate, ""},
		{"(.a | tostring) | .b", Any, "{a!}"},
		{"try .a catch .", Any, "everything"},
	} {
		p, err := Compile(tc.program, Spec{Vars: []string{"status"}, Want: tc.want})
		if err != nil {
			t.Errorf("%s: %v", tc.program, err)
			continue
		}
		if got := written(Project(p)); got != tc.reads {
			t.Errorf("%s reads %s, want %s", tc.program, got, tc.reads)
		}
	}
}

func TestProjectSeveral(t *testing.T) {
	a, b := compiled(t, ".data.nick"), compiled(t, ".data.vip")
	if got := written(Project(a, nil, b)); got != "{data{nick! vip!}}" {
		t.Errorf("got %s", got)
	}
	if got := Project(a, compiled(t, ".")); got != nil {
		t.Errorf("got %s, want everything", written(got))
	}
	if got := written(Project(compiled(t, ".data"), a)); got != "{data!{...}}" && got != "{data!}" {
		t.Errorf("got %s", got)
	}
}

func compiled(t testing.TB, program string) *Program {
	t.Helper()
	p, err := Compile(program, Spec{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// FuzzDecodePart holds the part against the whole: the same documents are
// refused, for the same reason, and programs can't tell them apart.
func FuzzDecodePart(f *testing.F) {
	programs := []string{
		"{a: .a.b, c}", ".a == null", ".a.b | not", `.a // .c | tostring`, "if .a then .c.b else .d end", "[.a, .c.d] | length",
		".a | blank", "blank", "(.a | blank) or .a.b", ".a.b | blank | not",
	}
	for i := range programs {
		for _, doc := range []string{
			`{"a":{"b":1,"z":[]},"c":"x","d":{"e":{}}}`, `{"a":[{"b":2}]}`, `[1,2]`, `{"a":null,"x":"\ud83d\ude00\""}`, `{"a":1e5,"b":[01]}`,
			`{"q":"\x"}`, `{"a":{"b":[[[]]]},"a":false}`, `{"x":tru}`, ` 7 `, `{"x":"` + "\xff" + `"}`,
		} {
			f.Add(i, []byte(doc))
		}
	}
	f.Fuzz(func(t *testing.T, i int, doc []byte) {
		p := compiled(t, programs[((i%len(programs))+len(programs))%len(programs)])
		limits := jsonval.Limits{Depth: 8, Nodes: 64}
		whole, wholeErr := jsonval.Decode(doc, limits)
		part, partErr := jsonval.DecodePart(doc, limits, Project(p))
		if fmt.Sprint(wholeErr) != fmt.Sprint(partErr) {
			t.Fatalf("%q: whole %v, part %v", doc, wholeErr, partErr)
		}
		if wholeErr != nil {
			return
		}
		want, wantErr := p.Run(t.Context(), whole)
		got, gotErr := p.Run(t.Context(), part)
		if fmt.Sprint(wantErr) != fmt.Sprint(gotErr) || !reflect.DeepEqual(want, got) {
			t.Errorf("%s on %q: whole gives %v %v, the part %v %v", p, doc, want, wantErr, got, gotErr)
		}
	})
}
