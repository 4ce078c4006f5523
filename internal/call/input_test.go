package call_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/switchboard-ivr/switchboard/internal/call"
)

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

type m = map[string]any

// request is one as a server would see it.
func request(method, target, contentType, body string) *http.Request {
	var b io.Reader
	if body != "" {
		b = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, "/ivr/order", b)
	r.URL.RawQuery = target
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

func TestParams(t *testing.T) {
	for name, c := range map[string]struct {
		method, query, contentType, body string
		want                             m
	}{
		"nothing":              {"GET", "", "", "", m{}},
		"query":                {"GET", "tel=13800138000&vip=1", "", "", m{"tel": "13800138000", "vip": "1"}},
		"plus and %20":         {"GET", "n=a+b&o=a%20b&p=%2B86", "", "", m{"n": "a b", "o": "a b", "p": "+86"}},
		"repeated":             {"GET", "t=a&x=1&t=b&t=c", "", "", m{"t": []any{"a", "b", "c"}, "x": "1"}},
		"blank":                {"GET", "a=&b=+&c&d=%E3%80%80&e=1&&=", "", "", m{"e": "1"}},
		"blank in repeated":    {"GET", "t=a&t=&t=b&u=&u=x&v=&v=+", "", "", m{"t": []any{"a", "b"}, "u": "x"}},
		"comma and semicolon":  {"GET", "q=a,b;c=d&e=;", "", "", m{"q": "a,b;c=d", "e": ";"}},
		"equals in a value":    {"GET", "sign=YQ==&x=a=b", "", "", m{"sign": "YQ==", "x": "a=b"}},
		"spaces around a name": {"GET", "%20a%20=%20b%20", "", "", m{" a ": " b "}},
		"UTF-8, raw too":       {"GET", "n=%E5%BC%A0&o=张", "", "", m{"n": "张", "o": "张"}},
		"brackets are names":   {"GET", "a[b]=1&c.d=2", "", "", m{"a[b]": "1", "c.d": "2"}},
		"form":                 {"POST", "", formType, "tel=138&n=a+b%20c", m{"tel": "138", "n": "a b c"}},
		"form with charset":    {"POST", "", formType + "; charset=UTF-8", "n=%E5%BC%A0", m{"n": "张"}},
		"form, line break":     {"POST", "", formType, "a=1&b=2\r\n", m{"a": "1", "b": "2"}},
		"JSON": {
			"POST", "", jsonType, `{"tel":"138","n":9007199254740993,"f":1.10,"b":true,"o":{"x":null},"l":["",null,1],"e":"","s":" ","z":null}`,
			m{
				"tel": "138", "n": json.Number("9007199254740993"), "f": json.Number("1.10"), "b": true,
				"o": m{"x": nil}, "l": []any{"", nil, json.Number("1")},
			},
		},
		"other JSON type":            {"POST", "", "application/vnd.pbx+json; charset=utf-8", `{"a":"b"}`, m{"a": "b"}},
		"JSON, an escaped backslash": {"POST", "", jsonType, `{"a":"\\u0000"}`, m{"a": `\u0000`}},
		"JSON, blank body":           {"POST", "a=1", jsonType, " \r\n", m{"a": "1"}},
		"POST, all in the query":     {"POST", "a=1", "", "", m{"a": "1"}},
		"the same, with any type":    {"POST", "a=1", "text/xml", "", m{"a": "1"}},
		"GET with a form":            {"GET", "a=1", formType, "b=2", m{"a": "1", "b": "2"}},
		"GET with JSON":              {"GET", "a=1", jsonType, `{"b":2}`, m{"a": "1", "b": json.Number("2")}},
		"form over query":            {"POST", "a=1&a=2&b=3", formType, "a=4&c=5", m{"a": "4", "b": "3", "c": "5"}},
		"JSON over query":            {"POST", "a=1&b=3", jsonType, `{"a":[4],"c":{}}`, m{"a": []any{json.Number("4")}, "b": "3", "c": m{}}},
		"blank is no winner":         {"POST", "a=1&b=2", formType, "a=&b=+", m{"a": "1", "b": "2"}},
		"null is no winner":          {"POST", "a=1", jsonType, `{"a":null}`, m{"a": "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := call.ReadInput(request(c.method, c.query, c.contentType, c.body), call.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(in.Params, c.want) {
				t.Errorf("got %#v\nwant %#v", in.Params, c.want)
			}
			if string(in.Raw) != c.body || (in.Raw == nil) != (c.body == "") {
				t.Errorf("Raw = %q, want %q", in.Raw, c.body)
			}
			if in.ContentType != c.contentType {
				t.Errorf("ContentType = %q", in.ContentType)
			}
		})
	}
}

func TestRequest(t *testing.T) {
	r := request("POST", "tel=&t=a&t=", formType, "x=1&x=&y=")
	r.URL.Path = "/ivr/张"
	r.Header.Add("X-Many", "a")
	r.Header.Add("X-Many", "b")
	r.Header.Set("X-Latin", "M\xfcller")
	r.Header["X-None"] = nil
	in, err := call.ReadInput(r, call.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := m{
		"method": "POST",
		"path":   "/ivr/张",
		"query":  m{"tel": "", "t": []any{"a", ""}},
		"form":   m{"x": []any{"1", ""}, "y": ""},
		"body":   nil,
		"headers": m{
			"host": "example.com", "content-type": formType, "x-many": []any{"a", "b"}, "x-latin": "M\uFFFDller",
		},
		"ip": "192.0.2.1",
	}
	if got := in.Request(r, "192.0.2.1"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v\nwant %#v", got, want)
	}

	r = request("POST", "", jsonType, `{"a":null}`)
	if in, err = call.ReadInput(r, call.Limits{}); err != nil {
		t.Fatal(err)
	}
	got := in.Request(r, "")
	if !reflect.DeepEqual(got["query"], m{}) || !reflect.DeepEqual(got["form"], m{}) || !reflect.DeepEqual(got["body"], m{"a": nil}) {
		t.Errorf("got %#v", got)
	}
	if in.Query != nil || in.Form != nil {
		t.Errorf("Query %#v, Form %#v, want nil", in.Query, in.Form)
	}
}

func TestRefused(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 101) + "1" + strings.Repeat("}", 101)
	for name, c := range map[string]struct {
		query, contentType, body string
		status                   int
		message                  string
	}{
		"percent in the query":       {"a=%zz", "", "", 400, "query: malformed percent-encoding"},
		"percent cut off":            {"a=%4", "", "", 400, "query: malformed percent-encoding"},
		"percent in a name":          {"%=a", "", "", 400, "query: malformed percent-encoding"},
		"query not UTF-8":            {"a=%ff", "", "", 400, "query: not UTF-8"},
		"query name not UTF-8":       {"%ff=a", "", "", 400, "query: not UTF-8"},
		"query raw not UTF-8":        {"a=\xff", "", "", 400, "query: not UTF-8"},
		"NUL in the query":           {"a=%00", "", "", 400, "query: a NUL byte"},
		"no name":                    {"=a", "", "", 400, "query: a value without a name"},
		"many parameters":            {strings.Repeat("a&", 1000) + "a", "", "", 400, "query: more than 1000 parameters"},
		"long query":                 {strings.Repeat("a", 64<<10+1), "", "", 414, "query: more than 65536 bytes"},
		"percent in the form":        {"", formType, "a=%", 400, "form: malformed percent-encoding"},
		"form not UTF-8":             {"", formType, "a=\xff", 400, "form: not UTF-8"},
		"NUL in the form":            {"", formType, "a=\x00", 400, "form: a NUL byte"},
		"many in the form":           {"", formType, strings.Repeat("a&", 1001), 400, "form: more than 1000 parameters"},
		"JSON sent as form":          {"", formType, ` {"tel":"138"}`, 400, "form: looks like JSON; send it as Content-Type: application/json"},
		"not JSON":                   {"", jsonType, `{"a":`, 400, "json: not one JSON document"},
		"two documents":              {"", jsonType, `{"a":1}{"a":2}`, 400, "json: not one JSON document"},
		"something behind":           {"", jsonType, `{"a":1}x`, 400, "json: not one JSON document"},
		"byte order mark":            {"", jsonType, "\ufeff{}", 400, "json: not one JSON document"},
		"an array":                   {"", jsonType, `[1]`, 400, "json: not an object"},
		"null":                       {"", jsonType, `null`, 400, "json: not an object"},
		"JSON not UTF-8":             {"", jsonType, "{\"a\":\"\xff\"}", 400, "json: not UTF-8"},
		"NUL in JSON":                {"", jsonType, `{"a":[{"b":"\u0000"}]}`, 400, "json: a NUL byte"},
		"NUL in a JSON name":         {"", jsonType, `{"\u0000":1}`, 400, "json: a NUL byte"},
		"deep JSON":                  {"", jsonType, deep, 400, "json: too deep, or a number is too long"},
		"many in JSON":               {"", jsonType, "{" + members(1001) + "}", 400, "json: more than 1000 parameters"},
		"no type":                    {"", "", "a=1", 415, "body: no valid Content-Type"},
		"another type":               {"", "text/xml", "<a/>", 415, "body: Content-Type must be a form or JSON"},
		"malformed type":             {"", "a/b/c", "a", 415, "body: no valid Content-Type"},
		"another charset":            {"", formType + "; charset=gbk", "a=1", 415, "body: the charset must be utf-8"},
		"another charset of JSON":    {"", jsonType + "; charset=utf-16", "{}", 415, "body: the charset must be utf-8"},
		"large body":                 {"", jsonType, strings.Repeat(" ", 1<<20+1), 413, "body: more than 1048576 bytes"},
		"multipart, no boundary":     {"", "multipart/form-data", "x", 400, "form: no boundary in Content-Type"},
		"multipart, no multipart":    {"", "multipart/form-data; boundary=b", "x", 400, "form: malformed multipart body"},
		"multipart, cut off":         {"", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx", 400, "form: malformed multipart body"},
		"multipart, cut off headers": {"", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-da", 400, "form: malformed multipart body"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, chunked := range []bool{false, true} {
				r := request("POST", c.query, c.contentType, c.body)
				if chunked && c.body != "" {
					r.ContentLength = -1
				}
				wantRefused(t, r, call.Limits{}, c.status, c.message)
			}
		})
	}
}

func wantRefused(t *testing.T, r *http.Request, l call.Limits, status int, message string) {
	t.Helper()
	in, err := call.ReadInput(r, l)
	bad, ok := errors.AsType[*call.InputError](err)
	if !ok || in != nil {
		t.Fatalf("got error %v, want %d %s", err, status, message)
	}
	if bad.Status != status || bad.Error() != message {
		t.Errorf("got %d %s, want %d %s", bad.Status, bad, status, message)
	}
}

func members(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"a`)
		b.WriteString(strings.Repeat("b", i))
		b.WriteString(`":1`)
	}
	return b.String()
}

func TestRefusedHeadersAndPaths(t *testing.T) {
	r := request("POST", "", formType, "a=1")
	r.Header.Set("Content-Encoding", "gzip")
	wantRefused(t, r, call.Limits{}, 415, "body: compressed bodies are not accepted")

	r = request("POST", "", formType, "a=1")
	r.Header.Add("Content-Type", jsonType)
	wantRefused(t, r, call.Limits{}, 400, "body: more than one Content-Type")

	r = request("GET", "", "", "")
	r.URL.Path = "/a\xff"
	wantRefused(t, r, call.Limits{}, 400, "path: not UTF-8")
	r.URL.Path = "/a\x00"
	wantRefused(t, r, call.Limits{}, 400, "path: a NUL byte")

	r = request("POST", "", formType, "a=1")
	r.ContentLength = 4
	wantRefused(t, r, call.Limits{}, 400, "body: not as long as Content-Length says")

	// an earlier handler's own limit
	r = request("POST", "", formType, "a=1&b=2")
	r.Body = http.MaxBytesReader(httptest.NewRecorder(), r.Body, 3)
	wantRefused(t, r, call.Limits{}, 413, "body: more than 3 bytes")
}

func TestOwnLimits(t *testing.T) {
	l := call.Limits{Query: 10, Body: 20, Params: 2, Depth: 2}
	wantRefused(t, request("GET", "a=123456789", "", ""), l, 414, "query: more than 10 bytes")
	wantRefused(t, request("GET", "a&b&c", "", ""), l, 400, "query: more than 2 parameters")
	wantRefused(t, request("POST", "", formType, strings.Repeat("a", 21)), l, 413, "body: more than 20 bytes")
	wantRefused(t, request("POST", "", jsonType, `{"a":{"b":{}}}`), l, 400, "json: too deep, or a number is too long")
	if _, err := call.ReadInput(request("POST", "a=1&b=2", jsonType, `{"a":{},"b":1}`), l); err != nil {
		t.Error(err)
	}
}

func part(w *multipart.Writer, header map[string][]string, value string) {
	p, _ := w.CreatePart(header)
	_, _ = io.WriteString(p, value)
}

func TestMultipart(t *testing.T) {
	field := func(disposition string, more ...string) map[string][]string {
		h := map[string][]string{"Content-Disposition": {disposition}}
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = []string{more[i+1]}
		}
		return h
	}
	for name, c := range map[string]struct {
		header  map[string][]string
		value   string
		status  int
		message string
	}{
		"text":          {field(`form-data; name="n"`), "张 三", 0, ""},
		"typed":         {field(`form-data; name="n"`, "Content-Type", "text/plain; charset=utf-8"), "张 三", 0, ""},
		"7bit":          {field(`form-data; name="n"`, "Content-Transfer-Encoding", "7bit"), "a", 0, ""},
		"a file":        {field(`form-data; name="n"; filename="a.txt"`), "a", 415, "form: files are not accepted"},
		"an empty file": {field(`form-data; name="n"; filename=""`, "Content-Type", "application/octet-stream"), "", 415, "form: parts must be text in utf-8"},
		"charset":       {field(`form-data; name="n"`, "Content-Type", "text/plain; charset=gbk"), "a", 415, "form: parts must be text in utf-8"},
		"bad type":      {field(`form-data; name="n"`, "Content-Type", "/"), "a", 415, "form: parts must be text in utf-8"},
		"encoded":       {field(`form-data; name="n"`, "Content-Transfer-Encoding", "base64"), "YQ==", 415, "form: encoded parts are not accepted"},
		"not UTF-8":     {field(`form-data; name="n"`), "\xff", 400, "form: not UTF-8"},
		"no name":       {field(`form-data`), "a", 400, "form: a value without a name"},
		"no form":       {field(`attachment; name="n"`), "a", 400, "form: a value without a name"},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			w := multipart.NewWriter(&b)
			_ = w.WriteField("tel", "138")
			_ = w.WriteField("t", "a")
			_ = w.WriteField("t", "")
			part(w, c.header, c.value)
			_ = w.Close()
			r := request("POST", "t=q&u=v", w.FormDataContentType(), b.String())
			if c.status != 0 {
				wantRefused(t, r, call.Limits{}, c.status, c.message)
				return
			}
			in, err := call.ReadInput(r, call.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if want := (m{"tel": "138", "t": "a", "u": "v", "n": c.value}); !reflect.DeepEqual(in.Params, want) {
				t.Errorf("got %#v, want %#v", in.Params, want)
			}
			if want := (m{"tel": "138", "t": []any{"a", ""}, "n": c.value}); !reflect.DeepEqual(in.Form, want) {
				t.Errorf("Form is %#v, want %#v", in.Form, want)
			}
		})
	}

	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for range 3 {
		_ = w.WriteField("a", "b")
	}
	_ = w.Close()
	wantRefused(t, request("POST", "", w.FormDataContentType(), b.String()), call.Limits{Params: 2}, 400, "form: more than 2 parameters")
}

// FuzzReadInput: nothing that a phone system sends makes it panic, every
// refusal is a 4xx in one line, and what is accepted can be given to jq.
func FuzzReadInput(f *testing.F) {
	f.Add("tel=138&t=a&t=%20&x=a+b%2C", formType, []byte("a=1&b=%E5%BC%A0"), false)
	f.Add("a;b=c,d&=&&%", jsonType, []byte(`{"a":[1.10,{"b":"\u0000\ud800"}],"c":null}`), true)
	f.Add("", "multipart/form-data; boundary=b", []byte("--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--b--\r\n"), true)
	f.Add("a=%ff", "application/x+json; charset=utf8", []byte("\xef\xbb\xbf{}"), false)
	f.Fuzz(func(t *testing.T, query, contentType string, body []byte, chunked bool) {
		r := request("POST", query, contentType, string(body))
		if chunked && len(body) > 0 {
			r.ContentLength = -1
		}
		in, err := call.ReadInput(r, call.Limits{Params: 50, Body: 4 << 10, Depth: 20})
		if err != nil {
			bad, ok := errors.AsType[*call.InputError](err)
			if !ok || bad.Status < 400 || bad.Status > 499 || bad.Message == "" || strings.ContainsAny(bad.Message, "\r\n") {
				t.Fatalf("error %#v", err)
			}
			return
		}
		checkSafe(t, in.Request(r, ""))
		checkSafe(t, in.Params)
		for name, value := range in.Params {
			if s, ok := value.(string); value == nil || ok && strings.TrimSpace(s) == "" {
				t.Errorf("%q is blank", name)
			}
		}
		if in.Body == nil && in.Form == nil && len(bytes.TrimSpace(in.Raw)) > 0 {
			t.Error("a body was dropped")
		}
		if want, err := url.ParseQuery(query); err == nil && in.Query != nil {
			for name := range want {
				if _, ok := in.Query[name]; !ok && name != "" {
					t.Errorf("%q of the query was dropped", name)
				}
			}
		}
	})
}

func checkSafe(t *testing.T, v any) {
	t.Helper()
	switch v := v.(type) {
	case nil, bool, json.Number:
	case string:
		if !utf8.ValidString(v) || strings.Contains(v, "\x00") {
			t.Errorf("%q is not clean", v)
		}
	case []any:
		for _, e := range v {
			checkSafe(t, e)
		}
	case map[string]any:
		for k, e := range v {
			checkSafe(t, k)
			checkSafe(t, e)
		}
	default:
		t.Errorf("%T is no type for jq", v)
	}
}

func BenchmarkReadInput(b *testing.B) {
	b.Run("query", func(b *testing.B) {
		r := request("GET", "tel=13800138000&call_id=1656143373.12&vip=1", "", "")
		b.ReportAllocs()
		for b.Loop() {
			if _, err := call.ReadInput(r, call.Limits{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("form", func(b *testing.B) {
		const body = "tel=13800138000&call_id=1656143373.12&vip=1"
		b.ReportAllocs()
		for b.Loop() {
			if _, err := call.ReadInput(request("POST", "", formType, body), call.Limits{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
