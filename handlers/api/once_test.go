package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/internal/call"
)

// writing is replying, with writes that happen once and records on disk.
func writing(t testing.TB, set func(*API)) *API {
	t.Helper()
	a := &API{
		Name: "order", To: "http://127.0.0.1:1/order", Method: "POST", Success: `.code == "000000"`,
		Output:    "{name: .data.nick, vip: .data.isVip, order: .data.orderId}",
		Default:   `{name: "", vip: "2", order: ""}`,
		Once:      &endpoint.Once{TTL: caddy.Duration(time.Hour), Key: ".tel"},
		HandleRaw: []json.RawMessage{json.RawMessage(`{"handler":"test_reply"}`)},
	}
	if set != nil {
		set(a)
	}
	storage, err := json.Marshal(map[string]string{"module": "file_system", "root": t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	provisionedOn(t, a, `"storage":`+string(storage)+`,`)
	return a
}

// A repeat asks for the same: what the programs of the request read, and what is passed
// on. Anything else may differ.
func TestWhatARepeatMustEqual(t *testing.T) {
	for name, tc := range map[string]struct {
		set   func(*API)
		first string
		same  []string
		other []string
	}{
		"a body of params": {
			func(a *API) { a.Body = &Body{Program: "{tel: .tel, subject: .subject}"} },
			"/?tel=1&subject=a&try=1",
			[]string{"/?tel=1&subject=a&try=2", "/x?subject=a&tel=1"},
			[]string{"/?tel=1&subject=b", "/?tel=1"},
		},
		"a path and a query": {
			func(a *API) { a.Path, a.Query = "[.id]", "{q: .q}" },
			"/?tel=1&id=a&q=a",
			[]string{"/?tel=1&id=a&q=a&try=2"},
			[]string{"/?tel=1&id=b&q=a", "/?tel=1&id=a&q=b"},
		},
		"a body of all params": {
			func(a *API) { a.Body = &Body{Program: "."} },
			"/?tel=1&try=1",
			[]string{"/?try=1&tel=1"},
			[]string{"/?tel=1&try=2"},
		},
		"a body of $request": {
			func(a *API) { a.Body = &Body{Program: "{subject: $request.query.subject}"} },
			"/?tel=1&subject=a",
			[]string{"/?tel=1&subject=a"},
			[]string{"/?tel=1&subject=b", "/x?tel=1&subject=a"},
		},
		"a query that is passed on": {
			func(a *API) { a.Pass = &Pass{Query: true} },
			"/?tel=1&subject=a",
			[]string{"/?tel=1&subject=a"},
			[]string{"/?tel=1&subject=b"},
		},
		"nothing": {nil, "/?tel=1", []string{"/?tel=1&subject=b"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := writing(t, tc.set)
			for i, url := range append([]string{tc.first}, tc.same...) {
				if outcome, replayed := askOnce(t, a, url); outcome != "ok" || replayed != (i > 0) {
					t.Errorf("%s: %s, replayed %v", url, outcome, replayed)
				}
			}
			for _, url := range tc.other {
				if outcome, _ := askOnce(t, a, url); outcome != string(call.Incomplete) {
					t.Errorf("%s: %s", url, outcome)
				}
			}
		})
	}
}

// ask asks for a write, as a phone system does. Each request has headers of its own.
func askOnce(t testing.TB, a *API, url string) (outcome string, replayed bool) {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "http://localhost"+url, nil)
	r.Header.Set("X-Request-Id", fmt.Sprint(time.Now().UnixNano()))
	if err := a.ServeHTTP(w, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server)), nil); err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Status string `json:"_status"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Status, w.Header().Get("Idempotency-Replayed") == "true"
}

// BenchmarkRepeat is a repeat of a write that is answered from its record, which is read
// from disk every five seconds. A repeat that reads it costs BenchmarkLoad of module/once
// more.
func BenchmarkRepeat(b *testing.B) {
	a := writing(b, nil)
	original := httptest.NewRequest(http.MethodGet, "http://localhost/order?tel=13800138000", nil)
	ask := func() string {
		w := discard{make(http.Header)}
		r := caddyhttp.PrepareRequest(original, caddy.NewReplacer(), w, new(caddyhttp.Server))
		if err := a.ServeHTTP(w, r, nil); err != nil {
			b.Fatal(err)
		}
		return w.header.Get("Idempotency-Replayed")
	}
	ask()
	b.ReportAllocs()
	for b.Loop() {
		if ask() != "true" {
			b.Fatal("not a repeat")
		}
	}
}

// BenchmarkWrite is a first write, with its record on disk.
func BenchmarkWrite(b *testing.B) {
	a := writing(b, nil)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		original := httptest.NewRequest(http.MethodGet, fmt.Sprint("http://localhost/order?tel=", n), nil)
		w := discard{make(http.Header)}
		if err := a.ServeHTTP(w, caddyhttp.PrepareRequest(original, caddy.NewReplacer(), w, new(caddyhttp.Server)), nil); err != nil {
			b.Fatal(err)
		}
		if status := w.header.Get("Proxy-Status"); !strings.Contains(status, `"ok"`) {
			b.Fatal(status)
		}
	}
}
