package integration

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
)

// scripted is an API that gives one answer to everybody, and counts who asked.
type scripted struct {
	status int
	header map[string]string
	body   string
}

// verdictCase is a route, what the API answers to it, and what the flow gets.
type verdictCase struct {
	name   string
	block  string // of the api, beside `to`, `method` and `default`
	answer scripted
	want   string // the answer; it holds the outcome
	reason string // a part of the reason in the log; "" for an answer of the API's
}

const (
	jsonType = "application/json"
	htmlPage = "<!DOCTYPE html><html><body>Not Found</body></html>"
)

func answered(status int, body string) scripted {
	return scripted{status, map[string]string{"Content-Type": jsonType}, body}
}

func page(status int) scripted {
	return scripted{status, map[string]string{"Content-Type": "text/html"}, htmlPage}
}

const (
	byName   = "output `{name: .name}`\n"
	byCode   = "success `.code == \"0\"`\n"
	sign     = "not_found `.code == \"4004\"`\n"
	nothing  = "not_found `.data | blank`\n"
	gotAnn   = `{"_status":"ok","name":"Ann"}`
	rejected = `{"_status":"rejected","name":""}`
	failed   = `{"_status":"failed","name":""}`
	nobody   = `{"_status":"not_found","name":""}`
	bad      = `{"_status":"bad_answer","name":""}`
)

// What an API's answer means, in the order in which it is asked.
func TestVerdict(t *testing.T) {
	for _, group := range []struct {
		name  string
		cases []verdictCase
	}{
		{"the API's own word", []verdictCase{
			{"an answer", byName, answered(200, `{"name":"Ann"}`), gotAnn, ""},
			{"a code that says yes", byCode + byName, answered(200, `{"code":"0","name":"Ann"}`), gotAnn, ""},
			{"a code that says no", byCode + byName, answered(200, `{"code":"1","name":"Ann"}`), rejected, "status 200"},
			{"an error status", byName, answered(400, `{"name":"Ann"}`), rejected, "status 400"},
			{"403 with a page", byName, page(403), rejected, "HTML, status 403"},
			{"403 with a page, and a predicate that any page fulfils", "success `.error == null`\n" + byName, page(403), rejected, "HTML, status 403"},
			{"500", byName, answered(500, `{"name":"Ann"}`), failed, "status 500"},
			{"502 with a page", byName, page(502), failed, "HTML, status 502"},
			{"429", byName, answered(429, `{}`), failed, "status 429"},
			{"500 that the route calls well", "unhealthy `false`\nsuccess `.code == \"0\"`\n" + byName, answered(500, `{"code":"0","name":"Ann"}`), gotAnn, ""},
			{"200 that the route calls ailing", "unhealthy `.code == \"busy\"`\n" + byName, answered(200, `{"code":"busy","name":"Ann"}`), failed, "status 200"},
			{"a page with status 200", byName, page(200), bad, "HTML, status 200"},
		}},
		{"nobody", []verdictCase{
			{"an empty body", byName, answered(200, ""), nobody, ""},
			{"a blank body", byName, answered(200, " \n"), nobody, ""},
			{"204", byName, scripted{204, nil, ""}, nobody, ""},
			{"a null document", byName, answered(200, "null"), nobody, ""},
			{"a null output", "output `.data`\n", answered(200, `{"data":null}`), nobody, ""},
			{"a code, before success", byCode + sign + byName, answered(200, `{"code":"4004"}`), nobody, ""},
			{"a code in an error", byCode + sign + byName, answered(404, `{"code":"4004"}`), nobody, ""},
			{"a code in an error without a success line", sign + byName, answered(400, `{"code":"4004"}`), nobody, ""},
			{"a code in a fault of the API", sign + byName, answered(500, `{"code":"4004"}`), failed, "status 500"},
			{"nothing there", byCode + nothing + byName, answered(200, `{"code":"0","data":null}`), nobody, ""},
			{"nothing there, as PHP says it", byCode + nothing + byName, answered(200, `{"code":"0","data":[]}`), nobody, ""},
			{"nothing there in an error", byCode + nothing + byName, answered(200, `{"code":"900001","msg":"bad sign","data":null}`), rejected, "status 200"},
			{"nothing there in 404", nothing + byName, answered(404, `{"message":"no route"}`), rejected, "status 404"},
			{"404 with JSON", byName, answered(404, `{"error":"unknown"}`), nobody, ""},
			{"404 with nothing", byName, answered(404, ""), nobody, ""},
			{"404 of a retired path", byCode + byName, answered(404, `{"error":"unknown"}`), rejected, "status 404"},
			{"404 of a proxy", byName, page(404), bad, "HTML, status 404"},
			{"404 of a proxy as text", byName, scripted{404, map[string]string{"Content-Type": "text/plain"}, "404 page not found"}, bad, "text, status 404"},
			{"404 of a proxy with a success line", byCode + byName, page(404), bad, "HTML, status 404"},
		}},
		{"not an answer", []verdictCase{
			{"a redirect to another host", byName, scripted{301, map[string]string{"Location": "https://www.example.com/order?tel=13800138000"}, htmlPage}, rejected, "redirects (301) to https://www.example.com/order?tel=***00; write that in `to`"},
			{"a redirect that looks well", "success `true`\n" + byName, scripted{302, map[string]string{"Location": "/login", "Content-Type": jsonType}, `{"name":"Ann"}`}, rejected, "redirects (302)"},
			{"lines of JSON", byName, scripted{200, map[string]string{"Content-Type": "application/x-ndjson"}, `{"name":"Ann","secret":1}`}, bad, "stream"},
			{"events", "default_off\n" + byName, scripted{200, map[string]string{"Content-Type": "text/event-stream"}, `{"name":"Ann","secret":1}`}, "", "stream"},
			{"a part", byName, answered(206, `{"name":"Ann"}`), bad, "206"},
			{"two documents", byName, answered(200, `{"name":"Ann"}{"name":"Bob"}`), bad, "JSON Lines, status 200"},
			{"undeclared GBK", byName, scripted{200, map[string]string{"Content-Type": jsonType}, "{\"name\":\"\xd5\xc5\xc8\xfd\"}"}, bad, "not UTF-8"},
			{"an unknown charset", byName, scripted{200, map[string]string{"Content-Type": "application/json; charset=klingon"}, `{"name":"Ann"}`}, bad, "klingon"},
		}},
		{"what it is written in", []verdictCase{
			{"declared GBK", byName, scripted{200, map[string]string{"Content-Type": "application/json;charset=GBK"}, "{\"name\":\"\xd5\xc5\xc8\xfd\"}"}, `{"_status":"ok","name":"张三"}`, ""},
			{"windows-1253", byName, scripted{200, map[string]string{"Content-Type": "application/json; charset=windows-1253"}, "{\"name\":\"\xc1\xed\xed\xe1\"}"}, `{"_status":"ok","name":"Αννα"}`, ""},
			{"a byte order mark", byName, answered(200, "\xef\xbb\xbf"+`{"name":"Ann"}`), gotAnn, ""},
			{"UTF-16", byName, scripted{200, map[string]string{"Content-Type": jsonType}, "\xff\xfe{\x00\"\x00n\x00a\x00m\x00e\x00\"\x00:\x00\"\x00A\x00n\x00n\x00\"\x00}\x00"}, gotAnn, ""},
		}},
		{"programs that fail", []verdictCase{
			{"success", "success `.name | has(\"x\")`\n" + byName, answered(200, `{"name":"Ann"}`), rejected, "; success "},
			{"success that is no boolean", "success `.name`\n" + byName, answered(200, `{"name":"Ann"}`), rejected, "gives a string, true or false is needed"},
			{"output", "output `{name: (.name | keys)}`\n", answered(200, `{"name":"Ann"}`), bad, "output"},
		}},
	} {
		t.Run(group.name, func(t *testing.T) { verdicts(t, group.cases) })
	}
}

// verdicts starts one Caddy with a route for each case.
func verdicts(t *testing.T, cases []verdictCase) {
	t.Helper()
	var asked atomic.Int64
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		var n int
		if _, err := fmt.Sscanf(r.URL.Path, "/case/%d", &n); err != nil || n >= len(cases) {
			http.NotFound(w, r)
			return
		}
		a := cases[n].answer
		w.Header()["Content-Type"] = nil
		for name, value := range a.header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.body)
	}))
	t.Cleanup(api.Close)
	var site strings.Builder
	for i, tc := range cases {
		block, contract := tc.block, "default `{name: \"\"}`"
		if rest, off := strings.CutPrefix(block, "default_off\n"); off {
			block, contract = rest, "on_failure error"
		}
		fmt.Fprintf(&site, "api /%d case%d {\n to %s/case/%d\n method GET\n %s\n %s\n}\n", i, i, api.URL, i, contract, block)
	}
	caddy := harness.Start(t, harness.Config{Caddyfile: "{\n admin {ADMIN}\n}\nhttp://localhost:{PORT} {\n bind 127.0.0.1\n" + site.String() + "}\n"})
	for i, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			got := harness.Get(t, caddy.URL(fmt.Sprintf("/%d", i)))
			if tc.want != "" && (got.Status != 200 || got.Body != tc.want) {
				t.Errorf("got %d %s, want 200 %s", got.Status, got.Body, tc.want)
			}
			if tc.want == "" && (got.Status != 502 || strings.Contains(got.Body, "secret")) {
				t.Errorf("got %d %s, want 502 and nothing of the API's", got.Status, got.Body)
			}
			if tc.reason == "" {
				return
			}
			last := harness.Get(t, fmt.Sprintf("http://%s/switchboard/apis/case%d/failures", caddy.Admin, i)).Body
			if !strings.Contains(last, tc.reason) {
				t.Errorf("`last` says %.600s, want %q", last, tc.reason)
			}
		})
	}
}

// What an API answers passes through a route that neither judges nor shapes. Its
// status alone is the outcome, and `last` has those that failed.
func TestPassedOn(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "https://www.example.com/login?access_token=s3cr3t", http.StatusFound)
		case "/broken":
			w.WriteHeader(http.StatusBadGateway)
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	t.Cleanup(api.Close)
	caddy := harness.Start(t, harness.Config{Caddyfile: "{\n admin {ADMIN}\n}\nhttp://localhost:{PORT} {\n bind 127.0.0.1\n" +
		"api /moved moved {\n to " + api.URL + "/moved\n}\napi /broken broken {\n to " + api.URL + "/broken\n}\napi /no no {\n to " + api.URL + "/no\n}\n}\n"})
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for name, want := range map[string]struct{ outcome, reason string }{
		"moved":  {"rejected", "the API redirects (302) to https://www.example.com/login?access_token=***"},
		"broken": {"failed", "status 502"},
		"no":     {"rejected", "status 403"},
	} {
		resp, err := client.Get(caddy.URL("/" + name))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if got := resp.Header.Get("Proxy-Status"); !strings.Contains(got, `details="`+want.outcome+`"`) {
			t.Errorf("%s: Proxy-Status %q, want %s", name, got, want.outcome)
		}
		harness.Eventually(t, 5*time.Second, "the call in last", func() bool {
			last := harness.Get(t, "http://"+caddy.Admin+"/switchboard/apis/"+name+"/failures").Body
			return strings.Contains(last, want.reason) && !strings.Contains(last, "s3cr3t")
		})
	}
}
