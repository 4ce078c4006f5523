package transport

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
)

func TestDocument(t *testing.T) {
	for name, test := range map[string]struct{ method, kind, body, want string }{
		"JSON":                 {"POST", "application/json; charset=utf-8", `{"a": 1.10, "b":9007199254740993}`, `{"a": 1.10,"b":9007199254740993,"tok":"o\"urs"}`},
		"JSON, empty object":   {"POST", "application/json", ` { } `, `{"tok":"o\"urs"}`},
		"JSON, client's copy":  {"POST", "application/json", `{"tok":{"x":[1]},"a":"tok" , "TOK":2, "\u0074ok":3}`, `{"a":"tok","tok":"o\"urs"}`},
		"JSON by its suffix":   {"POST", "application/vnd.api+json", `{"a":1}`, `{"a":1,"tok":"o\"urs"}`},
		"JSON with no body":    {"POST", "application/json", ``, `{"tok":"o\"urs"}`},
		"no type and no body":  {"POST", "", ``, `{"tok":"o\"urs"}`},
		"form":                 {"PUT", "application/x-www-form-urlencoded", "b=%7e&tok=1&a=+", "b=%7e&a=+&tok=o%22urs"},
		"form with no body":    {"PUT", "application/x-www-form-urlencoded", "", "tok=o%22urs"},
		"the same name deeper": {"POST", "application/json", `{"a":{"tok":1}}`, `{"a":{"tok":1},"tok":"o\"urs"}`},
	} {
		t.Run(name, func(t *testing.T) {
			req := httptest.NewRequest(test.method, "/", strings.NewReader(test.body))
			if test.body == "" {
				req.Body = http.NoBody
			}
			req.Header.Set("Content-Type", test.kind)
			req.Header.Set("Content-Encoding", "identity") // as without it
			doc, err := readDocument(req, 100)
			if err != nil {
				t.Fatal(err)
			}
			got, err := doc.with("tok", `o"urs`)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestDocumentRefused(t *testing.T) {
	const secret = "13800138000"
	for name, test := range map[string]struct {
		method, kind, encoding, body string
		status                       int
	}{
		"GET":           {"GET", "", "", "", 400},
		"plain text":    {"POST", "text/plain", "", secret, 415},
		"multipart":     {"POST", "multipart/form-data; boundary=x", "", "--x--", 415},
		"no type":       {"POST", "", "", `{}`, 415},
		"gzip":          {"POST", "application/json", "gzip", "\x1f\x8b", 415},
		"too large":     {"POST", "application/json", "", `{"a":"` + strings.Repeat("x", 100) + `"}`, 413},
		"an array":      {"POST", "application/json", "", `["` + secret + `"]`, 400},
		"truncated":     {"POST", "application/json", "", `{"a":"` + secret, 400},
		"two documents": {"POST", "application/json", "", `{} {"a":` + secret + `}`, 400},
		"bad key":       {"POST", "application/json", "", `{` + secret + `:1}`, 400},
		"bad value":     {"POST", "application/json", "", `{"a":` + secret + `x}`, 400},
		"bad comma":     {"POST", "application/json", "", `{"a":1,}`, 400},
	} {
		t.Run(name, func(t *testing.T) {
			req := httptest.NewRequest(test.method, "/", strings.NewReader(test.body))
			if test.body == "" {
				req.Body = http.NoBody
			}
			req.Header.Set("Content-Type", test.kind)
			if test.encoding != "" {
				req.Header.Set("Content-Encoding", test.encoding)
			}
			doc, err := readDocument(req, 100)
			if err == nil {
				_, err = doc.with("tok", "ours")
			}
			bad, ok := errors.AsType[*RequestError](err)
			if !ok || bad.Status != test.status {
				t.Fatalf("got %v, want status %d", err, test.status)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%q holds what the client sent", err)
			}
		})
	}
}

func TestDocumentThatBreaksOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	req := httptest.NewRequestWithContext(ctx, "POST", "/", iotest.ErrReader(io.ErrUnexpectedEOF))
	req.Header.Set("Content-Type", "application/json")
	if _, err := readDocument(req, 100); !errors.As(err, new(*RequestError)) {
		t.Errorf("got %v", err)
	}
	cancel()
	if _, err := readDocument(req, 100); !errors.Is(err, context.Canceled) {
		t.Errorf("after the client has gone: %v", err)
	}
}

// FuzzBodyInject: an object stays one, holds our token once, and keeps the rest.
func FuzzBodyInject(f *testing.F) {
	for _, text := range []string{`{}`, `{"a":1}`, ` {"tok":1,"a":[{}]} `, `{"a":1,}`, `{"a" :"}" , "b":1e400}`, `[]`, `{"\u0074ok":null}`, ``} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := withMember(text, "tok", "ours")
		valid := json.Valid(text) && strings.HasPrefix(strings.TrimLeft(string(text), " \t\r\n"), "{") ||
			strings.TrimSpace(string(text)) == ""
		if valid != (err == nil) {
			t.Fatalf("%q: %v", text, err)
		}
		if err != nil {
			return
		}
		var before, after map[string]json.RawMessage
		if err := json.Unmarshal(got, &after); err != nil {
			t.Fatalf("%q became %q: %v", text, got, err)
		}
		if string(after["tok"]) != `"ours"` {
			t.Errorf("%q became %q", text, got)
		}
		_ = json.Unmarshal(text, &before) // an empty one has no members
		for key, value := range before {
			if !strings.EqualFold(key, "tok") && string(after[key]) != string(value) {
				t.Errorf("%q: %s became %s", key, value, after[key])
			}
		}
		for key := range after {
			if key != "tok" && strings.EqualFold(key, "tok") {
				t.Errorf("a copy is left: %q", got)
			}
		}
	})
}
