package answer_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/internal/answer"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

func system(t testing.TB, s answer.System) answer.Style {
	t.Helper()
	s.Name = "ours"
	made, err := answer.NewSystem(s)
	if err != nil {
		t.Fatal(err)
	}
	return made.Style()
}

func TestStyles(t *testing.T) {
	dollar := []string{"dollar"}
	for name, c := range map[string]struct {
		system    answer.System
		doc, want string // "!" for a collision, "" for too large
	}{
		"plain":                   {answer.System{}, `{"a$":null,"b":[1]}`, `{"a$":null,"b":[1]}`},
		"keys and values":         {answer.System{Filter: dollar}, `{"a$":{"b$":["$",1.10]}}`, `{"a＄":{"b＄":["＄",1.10]}}`},
		"in flat":                 {answer.System{Format: answer.Flat, Filter: dollar}, `{"a$":{"b$":["$",1.10]}}`, `{"a＄_b＄_1":"＄","a＄_b＄_2":"1.10","a＄_b＄_count":"2"}`},
		"in a form":               {answer.System{Format: answer.Form, Filter: dollar}, `{"a":"$"}`, `a=%EF%BC%84`},
		"in a text":               {answer.System{Format: answer.Text, Filter: dollar}, `{"a":"$1"}`, `＄1`},
		"keys collide":            {answer.System{Filter: dollar}, `{"a$":1,"a＄":2}`, "!"},
		"keys collide in flat":    {answer.System{Format: answer.Flat, Filter: dollar}, `{"a$":1,"a＄":2}`, "!"},
		"no null":                 {answer.System{NoNull: true}, `{"a":null,"b":[null,{"c":null}],"d":false}`, `{"a":"","b":["",{"c":""}],"d":false}`},
		"no null alone":           {answer.System{NoNull: true}, `null`, `""`},
		"an object":               {answer.System{Object: true}, `{"a":null}`, `{"a":null}`},
		"a list as object":        {answer.System{Object: true}, `["a"]`, `{"value":["a"]}`},
		"null as object":          {answer.System{Object: true, NoNull: true}, `null`, `{"value":""}`},
		"just within":             {answer.System{Limit: 9}, `{"a":"1"}`, `{"a":"1"}`},
		"just over":               {answer.System{Limit: 8}, `{"a":"1"}`, ""},
		"just within, flat":       {answer.System{Format: answer.Flat, Limit: 9}, `{"a":1}`, `{"a":"1"}`},
		"just over, flat":         {answer.System{Format: answer.Flat, Limit: 8}, `{"a":1}`, ""},
		"just within, form":       {answer.System{Format: answer.Form, Limit: 5}, `{"a":"+"}`, `a=%2B`},
		"just over, form":         {answer.System{Format: answer.Form, Limit: 4}, `{"a":"+"}`, ""},
		"just within, text":       {answer.System{Format: answer.Text, Limit: 2}, `"ab"`, `ab`},
		"just over, text":         {answer.System{Format: answer.Text, Limit: 1}, `"ab"`, ""},
		"over after the filter":   {answer.System{Filter: dollar, Limit: 10}, `{"a":"$"}`, ""},
		"filtered into the limit": {answer.System{Format: answer.Flat, Filter: []string{"control"}, Limit: 10}, `{"a":"\u2028\u2028"}`, `{"a":"  "}`},
		"a field within":          {answer.System{FieldLimit: 3}, `{"a":["abc"]}`, `{"a":["abc"]}`},
		"a field over":            {answer.System{FieldLimit: 3}, `{"a":["abcd"]}`, ""},
		"a field in flat":         {answer.System{Format: answer.Flat, FieldLimit: 3}, `{"a":"abcd"}`, ""},
		"a number in flat":        {answer.System{Format: answer.Flat, FieldLimit: 3}, `{"a":12.34}`, ""},
		"a field in text":         {answer.System{Format: answer.Text, FieldLimit: 3}, `"abcd"`, ""},
		"too long before a list":  {answer.System{Format: answer.Flat, FieldLimit: 3}, `{"a":["abcd"]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			style := system(t, c.system)
			doc := decode(t, c.doc)
			got, err := style.Append([]byte("before "), doc)
			switch c.want {
			case "":
				if !errors.Is(err, jsonval.ErrTooLarge) || string(got) != "before " {
					t.Errorf("got %s, error %v", got, err)
				}
			case "!":
				if !errors.Is(err, answer.ErrCollision) || string(got) != "before " {
					t.Errorf("got %s, error %v", got, err)
				}
			default:
				if err != nil || string(got) != "before "+c.want {
					t.Errorf("got %s, error %v\nwant %s", got, err, c.want)
				}
			}
			if again := decode(t, c.doc); !equal(t, doc, again) {
				t.Error("the document was changed")
			}
		})
	}
}

func equal(t *testing.T, a, b any) bool {
	t.Helper()
	x, err := answer.JSON.Append(nil, a)
	y, err2 := answer.JSON.Append(nil, b)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	return string(x) == string(y)
}

// A small value with shared parts is long when it is written out: a copy of it
// must not be made before that is found out.
func TestStyleOfSharedParts(t *testing.T) {
	wide, deep := any("$"), any("$")
	for range 40 {
		wide = []any{wide, wide}
	}
	for range 2000 {
		deep = []any{deep}
	}
	style := system(t, answer.System{Filter: []string{"dollar"}})
	for _, doc := range []any{wide, deep, m{"a": wide}} {
		if _, err := style.Append(nil, doc); !errors.Is(err, jsonval.ErrTooLarge) {
			t.Errorf("got error %v", err)
		}
	}
}

// Another format of the same phone system keeps its limit and its filter.
func TestStyleWithAnotherFormat(t *testing.T) {
	asterisk, err := answer.FindSystem("asterisk")
	if err != nil {
		t.Fatal(err)
	}
	style := asterisk.Style()
	style.Format = answer.Form
	if got, err := style.Append(nil, m{"a": `"`}); err != nil || string(got) != "a=%27" || style.ContentType() != "application/x-www-form-urlencoded" {
		t.Errorf("got %s, %s, error %v", got, style.ContentType(), err)
	}
	if _, err := style.Append(nil, m{"a": strings.Repeat("x", 4095)}); !errors.Is(err, jsonval.ErrTooLarge) {
		t.Errorf("got error %v", err)
	}
}

func TestFits(t *testing.T) {
	for name, c := range map[string]struct {
		system   answer.System
		contract string
		want     string // of the error
		warn     string
	}{
		"all is well":   {answer.System{Format: answer.Flat, Limit: 100}, `{"name":"","vip":"2"}`, "", ""},
		"no limit":      {answer.System{}, `{"name":"` + strings.Repeat("x", 5000) + `"}`, "", ""},
		"just":          {answer.System{Limit: 33}, `{"a":""}`, "", "33 of the 33 bytes"},
		"not any more":  {answer.System{Limit: 32}, `{"a":""}`, "take 33 bytes, and ours takes 32", ""},
		"names only":    {answer.System{Limit: 60}, `{"a":"","bbbbbbbbbb":["x","y"]}`, "", "49 of the 60 bytes"},
		"values only":   {answer.System{Limit: 80}, `{"a":"` + strings.Repeat("x", 40) + `"}`, "", ""},
		"a long value":  {answer.System{FieldLimit: 15}, `{"a":"0123456789abcdef"}`, "longer than the 15 bytes", ""},
		"a key changed": {answer.System{Filter: []string{"dollar"}}, `{"a":{"l":[{"b$":""}]}}`, `the key "b$"`, ""},
		"a collision":   {answer.System{Format: answer.Flat}, `{"a_b":"","a":{"b":""}}`, "two values", ""},
		"text":          {answer.System{Format: answer.Text, Limit: 12}, `{"queue":"normal"}`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			style := system(t, c.system)
			contract := answer.NewContract(decode(t, c.contract).(m))
			err := style.Fits(contract, "_status")
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if got := style.Warn(contract, "_status"); c.warn == "" && got != "" || !strings.Contains(got, c.warn) {
				t.Errorf("warns %q, want %q", got, c.warn)
			}
			if !equal(t, contract.Default(), decode(t, c.contract)) {
				t.Error("the contract was changed")
			}
		})
	}
	style := answer.Style{Limit: 1}
	if err := style.Fits(answer.NewContract(m{"a": ""}), ""); err == nil || !strings.Contains(err.Error(), "the phone system takes 1") {
		t.Errorf("got %v", err)
	}
}

func BenchmarkStyle(b *testing.B) {
	doc := decode(b, `{"name":"Zhang San","vip":1,"level":3.50,"tags":["a","b","c"],"remark":"`+strings.Repeat("x", 800)+`","none":null}`)
	for _, name := range []string{"json", "format json", "asterisk", "kamailio", "talkdesk", "twilio"} {
		write := (&answer.Style{}).Append
		if name == "format json" {
			write = answer.JSON.Append
		} else if s, err := answer.FindSystem(name); err == nil {
			style := s.Style()
			write = style.Append
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 0, 2048)
			for b.Loop() {
				if _, err := write(buf[:0], doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
