package answer_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/switchboard-ivr/switchboard/internal/answer"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

type m = map[string]any

func decode(t testing.TB, s string) any {
	t.Helper()
	v, err := jsonval.Decode([]byte(s), jsonval.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return v
}

func TestApply(t *testing.T) {
	for name, c := range map[string]struct{ contract, doc, want string }{
		"nothing":           {`{"name":"","vip":"2"}`, `null`, `{"name":"","vip":"2"}`},
		"missing and null":  {`{"a":"x","b":"y","c":1}`, `{"a":null,"d":null}`, `{"a":"x","b":"y","c":1,"d":null}`},
		"numbers as text":   {`{"a":"","b":"","c":"","d":""}`, `{"a":1.10,"b":9007199254740993,"c":1e2,"d":-0}`, `{"a":"1.10","b":"9007199254740993","c":"1e2","d":"-0"}`},
		"booleans as text":  {`{"a":"","b":""}`, `{"a":true,"b":false}`, `{"a":"true","b":"false"}`},
		"numbers stay":      {`{"a":0,"b":null}`, `{"a":1.10,"b":2}`, `{"a":1.10,"b":2}`},
		"text stays":        {`{"a":0}`, `{"a":"7"}`, `{"a":"7"}`},
		"no text":           {`{"a":"","b":"x","c":""}`, `{"a":[1],"b":{"x":1},"c":[]}`, `{"a":"","b":"x","c":""}`},
		"no number":         {`{"a":1,"b":true}`, `{"a":[1],"b":{}}`, `{"a":1,"b":true}`},
		"no list":           {`{"a":["x"],"b":[],"c":[]}`, `{"a":"y","b":{"x":1},"c":[1]}`, `{"a":["x"],"b":[],"c":[1]}`},
		"no object":         {`{"a":{"x":""},"b":{}}`, `{"a":[1],"b":"y"}`, `{"a":{"x":""},"b":{}}`},
		"null takes all":    {`{"a":null,"b":null}`, `{"a":[1],"b":{"x":1}}`, `{"a":[1],"b":{"x":1}}`},
		"blank stays":       {`{"a":"x"}`, `{"a":""}`, `{"a":""}`},
		"more keys":         {`{"a":"x"}`, `{"b":[1,{"c":null}]}`, `{"a":"x","b":[1,{"c":null}]}`},
		"objects":           {`{"o":{"x":"","p":{"y":"2"}}}`, `{"o":{"x":1,"z":3,"p":{}}}`, `{"o":{"p":{"y":"2"},"x":"1","z":3}}`},
		"object of nothing": {`{"o":{"x":"1"},"e":{},"l":["a"]}`, `{"o":null,"e":{"y":null}}`, `{"e":{"y":null},"l":["a"],"o":{"x":"1"}}`},
		"empty":             {`{}`, `{}`, `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			doc := decode(t, c.doc)
			got, err := answer.NewContract(decode(t, c.contract).(m)).Apply(doc, answer.JSON)
			if err != nil {
				t.Fatal(err)
			}
			b, err := answer.JSON.Append(nil, got)
			if err != nil || string(b) != c.want {
				t.Errorf("got %s, error %v\nwant %s", b, err, c.want)
			}
			if !reflect.DeepEqual(doc, decode(t, c.doc)) {
				t.Errorf("Apply changed the document to %v", doc)
			}
		})
	}
}

func TestApplyToValuesOfPrograms(t *testing.T) {
	c := answer.NewContract(m{"a": "", "b": "", "c": "", "d": "", "e": "x", "f": 1})
	got, err := c.Apply(m{
		"a": 7, "b": new(big.Int).Lsh(big.NewInt(1), 70), "c": 1.5, "d": 1e300, "e": math.NaN(), "f": math.NaN(),
	}, answer.JSON)
	if err != nil {
		t.Fatal(err)
	}
	want := m{"a": "7", "b": "1180591620717411303424", "c": "1.5", "d": "1e+300", "e": "x", "f": 1}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestApplyToWhatIsNoObject(t *testing.T) {
	c := answer.NewContract(m{"a": ""})
	for _, doc := range []any{"a", 1, true, []any{}, json.Number("1")} {
		if _, err := c.Apply(doc, answer.JSON); !errors.Is(err, answer.ErrNotObject) {
			t.Errorf("%v: got %v", doc, err)
		}
	}
}

// TestContractKeepsItself: neither the object that it was made of, nor what it
// has given out, reaches into it.
func TestContractKeepsItself(t *testing.T) {
	made := m{"b": m{"x": []any{"1"}}, "a": ""}
	c := answer.NewContract(made)
	spoil := func(v m) {
		v["b"].(m)["x"].([]any)[0] = "spoilt"
		v["b"].(m)["y"] = "spoilt"
		v["c"] = "spoilt"
	}
	spoil(made)
	spoil(c.Default())
	for _, doc := range []any{nil, m{}} {
		got, err := c.Apply(doc, answer.JSON)
		if err != nil {
			t.Fatal(err)
		}
		spoil(got)
	}
	c.Keys()[0] = "spoilt"
	if want := (m{"a": "", "b": m{"x": []any{"1"}}}); !reflect.DeepEqual(c.Default(), want) {
		t.Errorf("got %v, want %v", c.Default(), want)
	}
	if got, want := c.Keys(), []string{"a", "b"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFormats(t *testing.T) {
	for name, c := range map[string]struct {
		doc              string
		flat, form, text string // "!" for an error
	}{
		"object": {
			`{"b":{"c":1.10,"d":{"e":true}},"a":"x y","l":["p",{"q":null}],"n":null,"o":{},"z":[]}`,
			`{"a":"x y","b_c":"1.10","b_d_e":"true","l_1":"p","l_2_q":"","l_count":"2","n":"","o":"","z_count":"0"}`,
			`a=x%20y&b_c=1.10&b_d_e=true&l_1=p&l_2_q=&l_count=2&n=&o=&z_count=0`,
			"!",
		},
		"one value":        {`{"name":"Ann"}`, `{"name":"Ann"}`, `name=Ann`, "Ann"},
		"with status":      {`{"_status":"stale","_age":7,"n":9007199254740993}`, `{"_age":"7","_status":"stale","n":"9007199254740993"}`, `_age=7&_status=stale&n=9007199254740993`, "9007199254740993"},
		"status alone":     {`{"_status":"ok"}`, `{"_status":"ok"}`, `_status=ok`, "!"},
		"nothing":          {`{}`, `{}`, ``, "!"},
		"a list inside":    {`{"a":[1]}`, `{"a_1":"1","a_count":"1"}`, `a_1=1&a_count=1`, "!"},
		"null inside":      {`{"a":null}`, `{"a":""}`, `a=`, ""},
		"a text":           {`"Zhang, San & Söhne"`, `{"value":"Zhang, San & Söhne"}`, `value=Zhang%2C%20San%20%26%20S%C3%B6hne`, "Zhang, San & Söhne"},
		"a number":         {`1.10`, `{"value":"1.10"}`, `value=1.10`, "1.10"},
		"true":             {`true`, `{"value":"true"}`, `value=true`, "true"},
		"null":             {`null`, `{"value":""}`, `value=`, ""},
		"a list":           {`["a",2]`, `{"value_1":"a","value_2":"2","value_count":"2"}`, `value_1=a&value_2=2&value_count=2`, "!"},
		"lines":            {`"a\r\nb\nc\rd\u2028e\u0085f"`, `{"value":"a\r\nb\nc\rd` + "\u2028" + `e` + "\u0085" + `f"}`, `value=a%0D%0Ab%0Ac%0Dd%E2%80%A8e%C2%85f`, "a b c d e f"},
		"reserved":         {`{"a+b=c&d":"~-._*+%"}`, `{"a+b=c&d":"~-._*+%"}`, `a%2Bb%3Dc%26d=~-._%2A%2B%25`, "~-._*+%"},
		"collision":        {`{"a_b":1,"a":{"b":2}}`, "!", "!", "!"},
		"list collision":   {`{"a":[],"a_count":1}`, "!", "!", "!"},
		"names with blank": {`{"":{"":1}}`, `{"_":"1"}`, `_=1`, "!"},
	} {
		t.Run(name, func(t *testing.T) {
			doc := decode(t, c.doc)
			for f, want := range map[answer.Format]string{answer.Flat: c.flat, answer.Form: c.form, answer.Text: c.text} {
				got, err := f.Append([]byte("before "), doc)
				if want == "!" {
					if err == nil || string(got) != "before " {
						t.Errorf("%s: got %s, want an error", f, got)
					}
				} else if err != nil || string(got) != "before "+want {
					t.Errorf("%s: got %s, error %v\nwant %s", f, got, err, want)
				}
			}
		})
	}
}

func TestErrors(t *testing.T) {
	deep := any("x")
	for range 2000 {
		deep = []any{deep}
	}
	wide := any("x") // 2^40 values written out, forty in memory
	for range 40 {
		wide = []any{wide, wide}
	}
	long, longer := strings.Repeat("x", 17<<20), strings.Repeat("x", 65<<20)
	for _, c := range []struct {
		format answer.Format
		doc    any
		want   error
	}{
		{answer.Flat, decode(t, `{"a_b":1,"a":{"b":2}}`), answer.ErrCollision},
		{answer.Form, decode(t, `{"a_b":1,"a":{"b":2}}`), answer.ErrCollision},
		{answer.Text, decode(t, `{"a":1,"b":2}`), answer.ErrNotOneValue},
		{answer.JSON, deep, jsonval.ErrTooLarge},
		{answer.Flat, deep, jsonval.ErrTooLarge},
		{answer.Form, deep, jsonval.ErrTooLarge},
		{answer.JSON, wide, jsonval.ErrTooLarge},
		{answer.Flat, wide, jsonval.ErrTooLarge},
		{answer.JSON, longer, jsonval.ErrTooLarge},
		{answer.Flat, long, jsonval.ErrTooLarge},
		{answer.Form, m{"a": m{"b": long}, "c": 1}, jsonval.ErrTooLarge},
		{answer.Text, longer, jsonval.ErrTooLarge},
		{answer.JSON, m{"a": int64(1)}, jsonval.ErrNotJSON},
		{answer.Flat, m{"a": int64(1)}, jsonval.ErrNotJSON},
		{answer.Text, int64(1), answer.ErrNotOneValue},
	} {
		if got, err := c.format.Append([]byte("x"), c.doc); !errors.Is(err, c.want) || string(got) != "x" {
			t.Errorf("%s: got error %v and %d bytes, want %v", c.format, err, len(got), c.want)
		}
	}
}

func TestFormatOfValuesOfPrograms(t *testing.T) {
	doc := m{"a": math.NaN(), "b": math.Inf(1), "c": 12, "d": "\xff"}
	for f, want := range map[answer.Format]string{
		answer.JSON: `{"a":null,"b":1.7976931348623157e+308,"c":12,"d":"\ufffd"}`,
		answer.Flat: `{"a":"","b":"1.7976931348623157e+308","c":"12","d":"` + "\uFFFD" + `"}`,
		answer.Form: `a=&b=1.7976931348623157e%2B308&c=12&d=%EF%BF%BD`,
	} {
		if got, err := f.Append(nil, doc); err != nil || string(got) != want {
			t.Errorf("%s: got %s, error %v", f, got, err)
		}
	}
}

func TestParseFormat(t *testing.T) {
	for name, contentType := range map[string]string{
		"json": "application/json", "flat": "application/json",
		"form": "application/x-www-form-urlencoded", "text": "text/plain; charset=utf-8",
	} {
		f, err := answer.ParseFormat(name)
		if err != nil || f.String() != name || f.ContentType() != contentType {
			t.Errorf("%s: got %s %s, error %v", name, f, f.ContentType(), err)
		}
	}
	for _, name := range []string{"", "JSON", "xml"} {
		if _, err := answer.ParseFormat(name); err == nil {
			t.Errorf("%q is a format", name)
		}
	}
}

// FuzzFormats: whatever an API answers, every format is one line that reads
// back as the same values, with every key of the contract in it.
func FuzzFormats(f *testing.F) {
	f.Add(`{"name":"","n":0,"o":{"x":"1"},"l":[]}`, `{"name":1.10,"o":{"y":null},"l":["a",{"b":true}],"more":"\n\u2028&=+% "}`)
	f.Add(`{"a":""}`, `[1,"\ud800"]`)
	f.Add(`{"a_b":"","":null}`, `{"a":{"b":1}}`)
	f.Add(`{"name":"","e":{},"n":null}`, `{"name":{"x":1},"e":{"y":[]},"n":[1]}`)
	f.Fuzz(func(t *testing.T, defaults, doc string) {
		d, err := jsonval.Decode([]byte(defaults), jsonval.Limits{Depth: 50})
		object, ok := d.(m)
		if err != nil || !ok {
			return
		}
		v, err := jsonval.Decode([]byte(doc), jsonval.Limits{Depth: 50})
		if err != nil {
			return
		}
		contract := answer.NewContract(object)
		out, err := contract.Apply(v, answer.JSON)
		if _, isObject := v.(m); !isObject && v != nil {
			if !errors.Is(err, answer.ErrNotObject) {
				t.Fatalf("got %v, error %v", out, err)
			}
			for _, f := range []answer.Format{answer.Flat, answer.Form} {
				if _, err := f.Append(nil, v); err != nil && !errors.Is(err, answer.ErrCollision) {
					t.Errorf("%s: %v", f, err)
				}
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		again, err := contract.Apply(out, answer.JSON)
		if err != nil || !reflect.DeepEqual(again, out) {
			t.Errorf("applied twice: %v, then %v", out, again)
		}
		for _, key := range contract.Keys() {
			if value, ok := out[key]; !ok || value == nil && object[key] != nil {
				t.Errorf("%q is not in the answer", key)
			}
			if _, text := object[key].(string); text {
				if _, ok := out[key].(string); !ok {
					t.Errorf("%q is %T", key, out[key])
				}
			}
		}

		compact, err := answer.JSON.Append(nil, out)
		line(t, compact)
		if err != nil || !reflect.DeepEqual(decode(t, string(compact)), any(out)) {
			t.Errorf("JSON %s of %v, error %v", compact, out, err)
		}

		if out, err = contract.Apply(v, answer.Flat); err != nil {
			t.Fatal(err)
		}
		flat, err := answer.Flat.Append(nil, out)
		form, err2 := answer.Form.Append(nil, out)
		if (err == nil) != (err2 == nil) || err != nil && !errors.Is(err, answer.ErrCollision) {
			t.Fatalf("flat: %v, form: %v", err, err2)
		}
		if err != nil {
			return
		}
		line(t, flat)
		line(t, form)
		var pairs map[string]string
		if err := json.Unmarshal(flat, &pairs); err != nil {
			t.Fatalf("%s: %v", flat, err)
		}
		for _, key := range contract.Keys() {
			if !has(pairs, key, object[key]) {
				t.Errorf("%q is not in %s", key, flat)
			}
		}
		values, err := url.ParseQuery(string(form))
		if err != nil || len(values) != len(pairs) {
			t.Errorf("form %s: error %v", form, err)
		}
		for key, value := range pairs {
			if got := values[key]; len(got) != 1 || got[0] != value {
				t.Errorf("%q is %q in the form, want %q", key, got, value)
			}
		}
		if strings.ContainsAny(string(form), "+ ") {
			t.Errorf("form %s", form)
		}
		if text, err := answer.Text.Append(nil, out); err == nil {
			line(t, text)
		}
	})
}

// has reports whether a key of a contract is there: as itself, as the count of a
// list, or as the keys of an object.
func has(pairs map[string]string, key string, fallback any) bool {
	switch fallback := fallback.(type) {
	case []any:
		key += "_count"
	case m:
		for name, inner := range fallback {
			if !has(pairs, key+"_"+name, inner) {
				return false
			}
		}
		if len(fallback) > 0 {
			return true
		}
	}
	_, ok := pairs[key]
	return ok
}

func line(t *testing.T, b []byte) {
	t.Helper()
	if !utf8.Valid(b) || strings.ContainsAny(string(b), "\r\n") {
		t.Errorf("%q is not one line of UTF-8", b)
	}
}

func BenchmarkAnswer(b *testing.B) {
	contract := answer.NewContract(m{"name": "", "vip": "2", "orders": []any{}, "city": ""})
	doc := decode(b, `{"name":"Zhang San","vip":1,"level":3.50,"tags":["a","b","c"],"address":{"city":"Beijing","zip":"100000"},"remark":"`+
		strings.Repeat("x", 800)+`","isblack":false,"none":null}`)
	for _, f := range []answer.Format{answer.JSON, answer.Flat, answer.Form} {
		b.Run(f.String(), func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 0, 2048)
			for b.Loop() {
				out, err := contract.Apply(doc, answer.JSON)
				if err != nil {
					b.Fatal(err)
				}
				if buf, err = f.Append(buf[:0], out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
