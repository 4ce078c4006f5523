package jqhttp_test

import (
	"encoding/json"
	"math"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/jqhttp"
)

func TestScalar(t *testing.T) {
	t.Parallel()
	great, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	for name, tt := range map[string]struct {
		v         any
		want, err string
	}{
		"text":               {"a b", "a b", ""},
		"blank text":         {"", "", ""},
		"number as written":  {json.Number("1.10"), "1.10", ""},
		"exponent":           {json.Number("1E400"), "1E400", ""},
		"leading id":         {json.Number("9007199254740993"), "9007199254740993", ""},
		"computed":           {7, "7", ""},
		"fraction":           {1.5, "1.5", ""},
		"great whole number": {great, "123456789012345678901234567890", ""},
		"true":               {true, "true", ""},
		"false":              {false, "false", ""},
		"null":               {nil, "", "is null"},
		"array":              {[]any{"a"}, "", "is an array"},
		"object":             {map[string]any{}, "", "is an object"},
		"NaN":                {math.NaN(), "", "a number that JSON can't write"},
		"infinity":           {math.Inf(1), "", "a number that JSON can't write"},
		"minus infinity":     {math.Inf(-1), "", "a number that JSON can't write"},
		"another type":       {[]byte("a"), "", "is not a JSON value"},
	} {
		got, err := jqhttp.Scalar(tt.v)
		check(t, name, got, err, tt.want, tt.err)
	}
}

func check(t *testing.T, name, got string, err error, want, wantErr string) {
	t.Helper()
	switch {
	case wantErr == "" && (err != nil || got != want):
		t.Errorf("%s: %q, %v; want %q", name, got, err, want)
	case wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr) || got != ""):
		t.Errorf("%s: %q, %v; want an error with %q", name, got, err, wantErr)
	}
}

// run gives what a program yields, as requests get it.
func run(t *testing.T, program string) any {
	t.Helper()
	p, err := jq.Compile(program, jq.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	v, err := p.Run(t.Context(), nil)
	if err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	return v
}

// Two ways to write parameters, one for APIs and one for token endpoints, once
// disagreed: NaN was `x=null` in the one and an error in the other, a null in an
// array an error in the one and left out in the other.
func TestValues(t *testing.T) {
	t.Parallel()
	for program, tt := range map[string]struct{ want, err string }{
		`{}`:                            {"", ""},
		`{b: 1, a: "x y", c: true}`:     {"a=x+y&b=1&c=true", ""},
		`{a: null}`:                     {"", ""},
		`{a: ""}`:                       {"a=", ""},
		`{a: []}`:                       {"", ""},
		`{list: [null, 1]}`:             {"list=1", ""},
		`{list: [null, null]}`:          {"", ""},
		`{list: ["b", "a", 1.5]}`:       {"list=b&list=a&list=1.5", ""},
		`{"a b&": "ü=&+/"}`:             {"a+b%26=%C3%BC%3D%26%2B%2F", ""},
		`{x: nan}`:                      {"", `parameter "x" is a number that JSON can't write`},
		`{x: infinite}`:                 {"", `parameter "x" is a number that JSON can't write`},
		`{x: [1, nan]}`:                 {"", `parameter "x" is a number that JSON can't write`},
		`{a: {b: "secret"}}`:            {"", `parameter "a" is an object`},
		`{a: [{b: "secret"}]}`:          {"", `parameter "a" is an object`},
		`{a: [["secret"]]}`:             {"", `parameter "a" has an array within an array`},
		`{"13800138000": {}}`:           {"", `parameter is an object`},
		`{"secret@example.com": {}}`:    {"", `parameter is an object`},
		`{"+8613800138000": [[]]}`:      {"", `parameter has an array within an array`},
		`{("x" * 100): {}}`:             {"", `parameter is an object`},
		`{"ids[]": ["1", "2"], "$": 1}`: {"%24=1&ids%5B%5D=1&ids%5B%5D=2", ""},
	} {
		got, err := jqhttp.Values(run(t, program).(map[string]any))
		check(t, program, got, err, tt.want, tt.err)
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows a value: %v", program, err)
		}
	}
}

// A blank in a URL's query is %20: some servers take + for itself.
func TestQuery(t *testing.T) {
	t.Parallel()
	for program, tt := range map[string]struct{ want, err string }{
		`{b: 1, a: "x y", c: true}`: {"a=x%20y&b=1&c=true", ""},
		`{"a b&": "ü=&+/ ~*"}`:      {"a%20b%26=%C3%BC%3D%26%2B%2F%20~%2A", ""},
		`{a: {b: 1}}`:               {"", `parameter "a" is an object`},
	} {
		got, err := jqhttp.Query(run(t, program).(map[string]any))
		check(t, program, got, err, tt.want, tt.err)
	}
}

// jq writes NaN as null and infinity as the greatest number, which an API would
// take for what was meant.
func TestJSON(t *testing.T) {
	t.Parallel()
	for program, tt := range map[string]struct{ want, err string }{
		`{b: [1, 2.5], a: null}`: {`{"a":null,"b":[1,2.5]}`, ""},
		`"x"`:                    {`"x"`, ""},
		`{a: [nan]}`:             {"", "a number that JSON can't write"},
		`infinite`:               {"", "a number that JSON can't write"},
		`[-infinite]`:            {"", "a number that JSON can't write"},
	} {
		got, err := jqhttp.JSON(run(t, program))
		check(t, program, string(got), err, tt.want, tt.err)
	}
}

func TestHeader(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		field     string
		v         any
		want, err string
	}{
		"text":                     {"X-Name", "a b", "a b", ""},
		"number as written":        {"X-Name", json.Number("1.10"), "1.10", ""},
		"bool":                     {"x-name", true, "true", ""},
		"blank":                    {"X-Name", "", "", ""},
		"a tab inside":             {"X-Name", "a\tb", "a\tb", ""},
		"UTF-8":                    {"X-Name", "张三", "张三", ""},
		"a host":                   {"host", "crm.example.com:8443", "crm.example.com:8443", ""},
		"an international host":    {"Host", "bücher.example", "bücher.example", ""},
		"no host":                  {"Host", "a b", "", `header "Host" is not a host name`},
		"a host with a path":       {"host", "a\\b", "", `header "Host" is not a host name`},
		"line feed":                {"X-Name", "secret\n", "", `header "X-Name" has a line break`},
		"carriage return":          {"X-Name", "secret\r", "", `header "X-Name" has a line break`},
		"NUL":                      {"X-Name", "secret\x00", "", `header "X-Name" has a line break`},
		"another control":          {"X-Name", "\x01", "", `header "X-Name" has a line break or another control character`},
		"delete":                   {"X-Name", "\x7f", "", `header "X-Name" has a line break or another control character`},
		"an array":                 {"X-Name", []any{"secret"}, "", `header "X-Name" is an array`},
		"an object":                {"X-Name", map[string]any{}, "", `header "X-Name" is an object`},
		"NaN":                      {"X-Name", math.NaN(), "", `header "X-Name" is a number that JSON can't write`},
		"a blank name":             {"", "a", "", "a header's name"},
		"a name with a blank":      {"X secret", "a", "", "a header's name"},
		"a name with a colon":      {"X:", "a", "", "a header's name"},
		"a name that is not ASCII": {"X-ü", "a", "", "a header's name"},
		"a bad name to remove":     {"X\n", nil, "", "a header's name"},
		"framing":                  {"content-length", 1, "", `header "Content-Length" is written by the connection`},
		"more framing":             {"Transfer-Encoding", "chunked", "", `header "Transfer-Encoding" is written by the connection`},
		"a hop":                    {"connection", "close", "", `header "Connection" is written by the connection`},
	} {
		got, keep, err := jqhttp.Header(tt.field, tt.v)
		check(t, name, got, err, tt.want, tt.err)
		if keep != (err == nil) {
			t.Errorf("%s: keep is %v", name, keep)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows a value: %v", name, err)
		}
	}
	for _, name := range []string{"X-Name", "connection", "Host"} {
		if value, keep, err := jqhttp.Header(name, nil); value != "" || keep || err != nil {
			t.Errorf("null for %s: %q, %v, %v", name, value, keep, err)
		}
	}
}

// `?id=../admin/users` once asked for the API's /admin/users/orders, behind a
// proxy that decodes %2F.
func TestSegments(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		segments     []any
		decoded, raw string
	}{
		{nil, "", ""},
		{[]any{"x/y", 7, "张", "?"}, "/x/y/7/张/?", "/x%2Fy/7/%E5%BC%A0/%3F"},
		{[]any{"a/b"}, "/a/b", "/a%2Fb"},
		{[]any{json.Number("1.10"), true}, "/1.10/true", "/1.10/true"},
		{[]any{"v1.2", ".hidden", "a..b", "a.", "..a", "1.."}, "/v1.2/.hidden/a..b/a./..a/1..", "/v1.2/.hidden/a..b/a./..a/1.."},
		{[]any{"100%", "%zz", "50%25", "a%2fb"}, "/100%/%zz/50%25/a%2fb", "/100%25/%25zz/50%2525/a%252fb"},
		{[]any{"+86 138", "a;b=1"}, "/+86 138/a;b=1", "/+86%20138/a%3Bb=1"},
		{[]any{"a@example.com"}, "/a@example.com", "/a@example.com"},
	} {
		decoded, raw, err := jqhttp.Segments(tt.segments)
		if err != nil || decoded != tt.decoded || raw != tt.raw {
			t.Errorf("%q: %q, %q, %v", tt.segments, decoded, raw, err)
		}
	}
	for want, bad := range map[string][]any{
		`holds "." or ".."`: {
			".", "..", "../admin/users", "a/../b", "a/..", "a/./b", "./a", "...", `..\x`, `a\..`, `a\..\b`, `\..`, "/..", "../",
			"%2e%2e", "%2E%2E", ".%2e", "%2e.", "%2e", "..%2fadmin", "..%2Fadmin", "..%5cadmin", "%2e%2e%2fadmin", "a%2f..", "a%2f%2e%2e%2fb",
			"%252e%252e", "..%252fadmin", "%25252e%25252e%25252f", ".%25252e", "%2%65%2e", "%2525252525252e.", "%%32%65.",
			"%" + strings.Repeat("25", 40) + "2e.", "%u002e%u002e", ".%U002E%u002fadmin", "..%u2215admin", "．．", "..／admin", "‥/x",
			"\xc0\xae\xc0\xae", "..%c0%afadmin", "%c0%ae%c0%ae%c0%af", "%e0%80%ae.", "..%c1%9cadmin",
			"..;", "..;/admin", "..;x=1/admin", "..%3b/admin", "..?x", "..#x", "..%3fx", "..%23",
			"..\x00", "..%00", ".\x00.", ".%00./x", "..\r\n/x", "..%0d%0a/x", " ..", ".. ", "..%20/x", ". .", "\t..\t", "\u200b..", "..\u202e/a", "..\xff/a",
		},
		"is blank":     {"", " ", "\t", "\x00", "\u200b", "\u00a0"},
		"is null":      {nil},
		"is an object": {map[string]any{}},
		"is an array":  {[]any{}, []any{"a"}},
		"JSON can't":   {math.NaN(), math.Inf(1)},
	} {
		for _, segment := range bad {
			decoded, raw, err := jqhttp.Segments([]any{"orders", segment})
			if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "path segment 2 ") {
				t.Errorf("%q: %q, %q, %v; want an error with %q", segment, decoded, raw, err, want)
			}
		}
	}
}

// A round trip through net/url gives the same parameters.
func FuzzValues(f *testing.F) {
	f.Add("a", "b", "c d")
	f.Add("a&b", "=", "\xff")
	f.Add("", "%2", "+")
	f.Fuzz(func(t *testing.T, name, one, two string) {
		text, err := jqhttp.Values(map[string]any{name: []any{one, nil, two}, name + "2": two, name + "3": nil})
		if err != nil {
			t.Fatal(err)
		}
		got, err := url.ParseQuery(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if len(got) != 2 || len(got[name]) != 2 || got[name][0] != one || got[name][1] != two || len(got[name+"2"]) != 1 || got.Get(name+"2") != two {
			t.Errorf("%q gives %q", text, got)
		}
	})
}

// What Header lets pass can be sent by net/http and arrives as one field.
func FuzzHeader(f *testing.F) {
	f.Add("X-Name", "a\tb")
	f.Add("host", "a:b")
	f.Add("Host", "bücher.example:80")
	f.Add("X-Name", "\x01")
	f.Add("transfer-encoding", "chunked")
	f.Fuzz(func(t *testing.T, name, value string) {
		got, keep, err := jqhttp.Header(name, value)
		if err != nil {
			return
		}
		if !keep || got != value {
			t.Fatalf("%q: %q became %q", name, value, got)
		}
		req := httptest.NewRequest(http.MethodGet, "http://crm.example.com/", http.NoBody)
		if http.CanonicalHeaderKey(name) == "Host" {
			req.Host = got
		} else {
			req.Header.Set(name, got)
		}
		var b strings.Builder
		if err := req.Write(&b); err != nil {
			t.Fatalf("%q: %q: %v", name, value, err)
		}
		if lines := strings.Count(b.String(), "\n"); lines > 5 {
			t.Errorf("%q: %q is sent as %q", name, value, b.String())
		}
	})
}

// No dot segment survives up to three rounds of decoding, as net/url decodes, with
// either slash. Joining neighbours makes none.
func FuzzSegments(f *testing.F) {
	for _, s := range []string{"../admin", "a/../b", "%2e%2e", "..%252f", `..\x`, "a/b", "%", "..;", "%25%32%65.", "．．"} {
		f.Add(s, "orders")
		f.Add("x", s)
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		decoded, raw, err := jqhttp.Segments([]any{one, two})
		if err != nil {
			return
		}
		path, err := url.PathUnescape(raw)
		if err != nil || path != decoded || decoded != "/"+one+"/"+two {
			t.Fatalf("%q is %q decoded, not %q: %v", raw, path, decoded, err)
		}
		if u, err := url.Parse("https://crm.example.com" + raw); err != nil || u.Path != decoded || u.EscapedPath() != raw {
			t.Fatalf("%q parses as %v, %v", raw, u, err)
		}
		for round, s := 0, raw; round <= 3; round++ {
			for part := range strings.SplitSeq(strings.ReplaceAll(s, `\`, "/"), "/") {
				if part == "." || part == ".." {
					t.Fatalf("%q, %q: %q after %d rounds of decoding", one, two, s, round)
				}
			}
			if s, err = url.PathUnescape(s); err != nil {
				break
			}
		}
	})
}
