package console_test

// These tests run Caddy itself, in this process, from a Caddyfile.

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"go.uber.org/goleak"

	_ "github.com/switchboard-ivr/switchboard/handlers"
	"github.com/switchboard-ivr/switchboard/integration/provider"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/customer"
	_ "github.com/switchboard-ivr/switchboard/module/customer/sqlite"
)

func TestMain(m *testing.M) {
	var err error
	if folders, err = os.MkdirTemp("", "console-"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m,
		goleak.Cleanup(func(code int) {
			_ = os.RemoveAll(folders)
			os.Exit(code)
		}),
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"))
}

// folders holds one for each test, all removed at the end: a token may still be
// stored when its test is over.
var folders string

// site is a running Caddy with a console and an API.
type site struct {
	t    *testing.T
	http *http.Client
}

// start runs one until the test ends. The console's directive stands in text.
func start(t *testing.T, text string) *site {
	t.Helper()
	api := provider.New(provider.Options{})
	if err := api.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	dir, err := os.MkdirTemp(folders, "") //nolint:usetesting // a token may be stored after the test
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONSOLE_KEY", "canary-console-key")
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(fmt.Sprintf(`{
	admin off
	persist_config off
	auto_https off
	grace_period 1s
	storage file_system %[1]s/storage
	log {
		output discard
	}
	switchboard {
		token crm {
			credential app_key demo-app
			credential app_secret demo-secret
			obtain %[2]s/token/get
			refresh %[2]s/token/refresh
			lifetime 2m
		}
		token fixed {
			static canary-static
		}
		customers sqlite %[1]s/c.db
		region CN
	}
}
http:// {
	bind unix/%[1]s/s
	%[3]s
	api /order order {
		to %[2]s/open/order/query
		method GET
		token crm
		auth none
		query `+"`{tel: .tel}`"+`
		success `+"`.code == \"000000\"`"+`
		not_found `+"`.data == null`"+`
		output `+"`{name: .data.nick}`"+`
		default `+"`{name: \"\"}`"+`
		cache 1m
		keep_answer on
	}
}`, dir, api.URL(), text)), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(adapted, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caddy.Stop() })
	return &site{t, &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", filepath.Join(dir, "s"))
		}},
	}}
}

// got is an answer.
type got struct {
	status int
	header http.Header
	body   string
}

// ask sends a request with header fields as name, value, name, value …
func (s *site) ask(method, path, body string, header ...string) got {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, "http://site"+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := s.http.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return got{res.StatusCode, res.Header, string(text)}
}

func (s *site) get(path string) got { s.t.Helper(); return s.ask(http.MethodGet, path, "") }

// post does what the page does.
func (s *site) post(path, body string) got {
	s.t.Helper()
	return s.ask(http.MethodPost, path, body, "Content-Type", "application/json", "X-Switchboard-Console", "1", "Sec-Fetch-Site", "same-origin")
}

func decode[T any](t *testing.T, g got) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(g.body), &v); err != nil || g.status != http.StatusOK {
		t.Fatalf("%d %s", g.status, g.body)
	}
	return v
}

// running is the app of the running configuration.
func running(t *testing.T) *switchboard.App {
	t.Helper()
	app, err := caddy.ActiveContext().App("switchboard")
	if err != nil {
		t.Fatal(err)
	}
	return app.(*switchboard.App)
}

const open = "api_console /console* {\n\t\tauth none\n\t}"

// Every answer forbids what the page doesn't need, and the page's own files are all
// that it loads.
func TestThePage(t *testing.T) {
	s := start(t, open)
	index := s.get("/console/")
	if index.status != http.StatusOK || !strings.HasPrefix(index.header.Get("Content-Type"), "text/html") || !strings.Contains(index.body, `src="app.js"`) {
		t.Fatalf("%d %s", index.status, index.body)
	}
	if strings.Contains(index.body, "<style") || strings.Contains(index.body, "style=") || strings.Contains(index.body, "onclick") || strings.Contains(index.body, "http:") {
		t.Error("the page has styles or scripts of its own, or URLs of others")
	}
	for _, path := range []string{"/console/", "/console/app.js", "/console/console.css", "/console/icon.svg", "/console/data/apis", "/console/data/nope", "/console/nope.js"} {
		g := s.get(path)
		csp := g.header.Get("Content-Security-Policy")
		for _, rule := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "connect-src 'self';", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
			if !strings.Contains(csp, rule) {
				t.Errorf("%s: the policy lacks %s", path, rule)
			}
		}
		if strings.Contains(csp, "unsafe") || g.header.Get("X-Content-Type-Options") != "nosniff" || g.header.Get("X-Frame-Options") != "DENY" || g.header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", path, g.header)
		}
	}
	js := s.get("/console/app.js")
	if !strings.HasPrefix(js.header.Get("Content-Type"), "text/javascript") || js.header.Get("Etag") == "" {
		t.Errorf("%v", js.header)
	}
	if again := s.ask(http.MethodGet, "/console/app.js", "", "If-None-Match", js.header.Get("Etag")); again.status != http.StatusNotModified || again.body != "" {
		t.Errorf("%d", again.status)
	}
	if head := s.ask(http.MethodHead, "/console/app.js", ""); head.status != http.StatusOK || head.body != "" {
		t.Errorf("%d", head.status)
	}
	for path, want := range map[string]int{"/console/nope.js": 404, "/console/page.go": 404, "/console/data/nope": 404, "/console/signin.html": 404} {
		if g := s.get(path); g.status != want {
			t.Errorf("%s: %d", path, g.status)
		}
	}
	if g := s.ask(http.MethodPost, "/console/app.js", ""); g.status != http.StatusMethodNotAllowed || g.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("%d", g.status)
	}
}

// The console stands at any path. One without a slash at its end leads to one with it,
// and to no other site.
func TestAnyPath(t *testing.T) {
	s := start(t, "api_console /console* {\n\t\tauth none\n\t}\n\thandle_path /ops/* {\n\t\tapi_console {\n\t\t\tauth none\n\t\t}\n\t}\n\thandle_path /cut* {\n\t\tapi_console {\n\t\t\tauth none\n\t\t}\n\t}\n\tapi_console /data/* {\n\t\tauth none\n\t}")
	for _, base := range []string{"/console/", "/ops/", "/cut/", "/data/"} {
		for path, media := range map[string]string{"": "text/html", "app.js": "text/javascript", "data/apis": "application/json"} {
			if g := s.get(base + path); g.status != http.StatusOK || !strings.HasPrefix(g.header.Get("Content-Type"), media) {
				t.Errorf("%s%s: %d %s", base, path, g.status, g.header.Get("Content-Type"))
			}
		}
	}
	for path, want := range map[string]string{"/console": "./console/", "/cut": "./cut/", "/console/%5Cevil": "./%5Cevil/", "/consolejavascript:alert(1)": "./consolejavascript:alert%281%29/"} {
		if g := s.ask(http.MethodGet, path, "", "Accept", "text/html"); g.status != http.StatusFound || g.header.Get("Location") != want {
			t.Errorf("%s: %d %s", path, g.status, g.header.Get("Location"))
		}
	}
}

// What the page shows.
func TestViews(t *testing.T) {
	s := start(t, open)
	calls := 0
	for hit := false; !hit; calls++ { // the cache takes an answer in by and by
		g := s.get("/order?tel=13800138000")
		if !strings.Contains(g.body, "张三") || calls > 10_000 {
			t.Fatal(g.body)
		}
		hit = strings.Contains(g.header.Get("Cache-Status"), "; hit")
	}
	type api struct {
		Name           string
		Held, Degraded bool
		Hour           struct {
			Calls    int
			Outcomes map[string]int
			Minutes  []struct{ Calls int }
		}
	}
	if list := decode[[]api](t, s.get("/console/data/apis")); len(list) != 1 || list[0].Name != "order" || list[0].Held ||
		list[0].Hour.Calls != calls || list[0].Hour.Outcomes["ok"] != calls || len(list[0].Hour.Minutes) != 60 {
		t.Errorf("%+v", list)
	}
	tokens := s.get("/console/data/tokens")
	if strings.Contains(tokens.body, "canary") || strings.Contains(tokens.body, running(t).Operator().Tokens()[0].Name+"-") {
		t.Error("a token is shown")
	}
	if list := decode[[]struct {
		Name, State, Fingerprint, Expires string
		Static                            bool
	}](t, tokens); len(list) != 2 || list[0].Name != "crm" || list[0].State == "" || list[0].Fingerprint == "" || list[0].Expires == "" || !list[1].Static {
		t.Errorf("%+v", list)
	}
	if cache := decode[struct{ Hits, Misses, Entries, Size int }](t, s.get("/console/data/cache")); cache.Hits != 1 || cache.Misses == 0 || cache.Size != 64<<20 {
		t.Errorf("%+v", cache)
	}
	if where := decode[struct {
		Store string
		Count int
	}](t, s.get("/console/data/customers")); !strings.HasPrefix(where.Store, "sqlite ") || where.Count != 0 {
		t.Errorf("%+v", where)
	}
	for _, view := range []string{"apis", "tokens", "cache", "customers"} {
		if g := s.post("/console/data/"+view, "{}"); g.status != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", view, g.status)
		}
		if g := s.get("/console/data/" + view); g.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be kept", view)
		}
	}
}

// What the page does, by the same functions as the admin API.
func TestActions(t *testing.T) {
	s := start(t, open)
	o := running(t).Operator()
	if g := s.post("/console/data/hold", `{"api":"order"}`); g.status != http.StatusOK || !strings.Contains(g.body, `"held":true`) {
		t.Errorf("%d %s", g.status, g.body)
	}
	if api, err := o.API("order"); err != nil || !api.Held {
		t.Errorf("%+v, %v", api, err)
	}
	if g := s.get("/order?tel=13900139000"); !strings.Contains(g.body, `"_status":"held"`) {
		t.Error(g.body)
	}
	if g := s.post("/console/data/release", `{"api":"order"}`); g.status != http.StatusOK || !strings.Contains(g.body, `"held":false`) {
		t.Errorf("%d %s", g.status, g.body)
	}
	before, err := o.Token("crm")
	if err != nil {
		t.Fatal(err)
	}
	if g := s.post("/console/data/renew", `{"token":"crm"}`); g.status != http.StatusOK {
		t.Errorf("%d %s", g.status, g.body)
	}
	if after, err := o.Token("crm"); err != nil || after.Generation <= before.Generation {
		t.Errorf("%+v, %v", after, err)
	}
	for range 2 {
		s.get("/order?tel=13800138000")
	}
	hits := o.Cache().Hits
	for _, body := range []string{`{"api":"order","params":{"tel":"13800138000"}}`, `{"api":"order"}`, `{}`} {
		if g := s.post("/console/data/purge", body); g.status != http.StatusOK {
			t.Errorf("%s: %d %s", body, g.status, g.body)
		}
		if s.get("/order?tel=13800138000"); o.Cache().Hits != hits {
			t.Errorf("%s: the answer is still there", body)
		}
	}
	for _, test := range []struct {
		action, body string
		status       int
		says         string
	}{
		{"hold", `{"api":"nope"}`, 404, "there are: order"},
		{"hold", `[]`, 400, "not valid for this action"},
		{"renew", `{"token":"fixed"}`, 409, "static"},
		{"renew", `{"token":"nope"}`, 404, "defined are"},
		{"purge", `{"api":"nope"}`, 404, "there are: order"},
		{"purge", `{"params":{}}`, 400, "params need an api"},
		{"writes", `{"api":"nope"}`, 404, "there are: order"},
		{"writes", `{"api":"order"}`, 409, "its writes aren't remembered"},
		{"write", `{"api":"order","key":"c-1"}`, 409, "its writes aren't remembered"},
		{"forget", `{"api":"nope","key":"c-1"}`, 404, "there are: order"},
		{"search", `{}`, 400, "give an id"},
		{"search", `{"tel":["13800138000"]}`, 400, "not valid for this action"},
		{"search", `{"tel":"` + strings.Repeat("1", 1<<20) + `"}`, 413, "1 MiB"},
		{"test", `{"api":"nope"}`, 404, "there are: order"},
		{"test", `{"api":"order","params":[]}`, 400, "not a valid test"},
		{"failures", `{"api":"nope"}`, 404, "there are: order"},
		{"nope", `{}`, 404, ""},
	} {
		if g := s.post("/console/data/"+test.action, test.body); g.status != test.status || !strings.Contains(g.body, test.says) {
			t.Errorf("%s %.40s: %d %s", test.action, test.body, g.status, g.body)
		}
	}
}

// A test is the admin API's, and a failed call is kept with its steps.
func TestTests(t *testing.T) {
	s := start(t, open)
	type trace struct {
		API, Outcome string
		Answer       map[string]string
		Steps        []struct{ Step, Outcome string }
	}
	if got := decode[trace](t, s.post("/console/data/test", `{"api":"order","params":{"tel":"13800138000"}}`)); got.API != "order" || got.Outcome != "ok" || got.Answer["name"] != "张三" || len(got.Steps) < 5 {
		t.Errorf("%+v", got)
	}
	if got := decode[trace](t, s.post("/console/data/test", `{"api":"order","dry_run":true}`)); got.Outcome != "dry_run" {
		t.Errorf("%+v", got)
	}
	if hour, err := running(t).Operator().Hour("order"); err != nil || hour.Calls != 0 {
		t.Errorf("a test counts as a call: %+v, %v", hour, err)
	}
	s.post("/console/data/hold", `{"api":"order"}`)
	s.get("/order?tel=13700137000")
	g := s.post("/console/data/failures", `{"api":"order"}`)
	if list := decode[[]trace](t, g); len(list) != 1 || list[0].Outcome != "held" || strings.Contains(g.body, "13700137000") {
		t.Errorf("%s", g.body)
	}
}

// The playground begins with the program and the last answer, masked, and runs what is
// typed on what is pasted.
func TestPlayground(t *testing.T) {
	s := start(t, open)
	type playground struct {
		Output string
		Keeps  bool
		Kept   *struct {
			Answer map[string]any
			Status int
			Params map[string]string
		}
		Systems []string
	}
	if b := decode[playground](t, s.post("/console/data/bench", `{"api":"order"}`)); b.Output != "{name: .data.nick}" || !b.Keeps || b.Kept != nil || !slices.Contains(b.Systems, "asterisk") {
		t.Errorf("before a call: %+v", b)
	}
	s.get("/order?tel=13800138000")
	g := s.post("/console/data/bench", `{"api":"order"}`)
	b := decode[playground](t, g)
	if b.Kept == nil || b.Kept.Status != 200 || b.Kept.Answer["code"] != "000000" || b.Kept.Params["tel"] == "" || strings.Contains(g.body, "13800138000") {
		t.Errorf("after one: %s", g.body)
	}

	type done struct {
		Error, Outcome, Text, Format, Refused, Lines, File string
		Result                                             any
		Limit                                              int
	}
	for name, tt := range map[string]struct {
		body string
		want done
	}{
		"as it is": {
			`{"api":"order","output":"{name: .data.nick}","answer":{"data":{"nick":"Ann"}}}`,
			done{Result: map[string]any{"name": "Ann"}, Outcome: "ok", Text: `{"_status":"ok","name":"Ann"}`, Format: "json", Lines: "output `{name: .data.nick}`\n"},
		},
		"for a phone system": {
			`{"api":"order","output":"{name: .data.nick, n: $status, t: $params.tel}","answer":{"data":{"nick":"Ann's"}},"vars":{"status":201,"params":{"tel":"7"}},"for":"asterisk"}`,
			done{Result: map[string]any{"name": "Ann's", "n": 201.0, "t": "7"}, Outcome: "ok", Text: `{"_status":"ok","n":"201","name":"Ann's","t":"7"}`, Format: "flat", Limit: 4095, Lines: "output `{name: .data.nick, n: $status, t: $params.tel}`\nfor asterisk\n"},
		},
		"null": {
			`{"api":"order","output":".data","answer":{"data":null}}`,
			done{Outcome: "ok", Text: `{"_status":"ok","name":""}`, Format: "json", Lines: "output `.data`\n"},
		},
		"without a program": {
			`{"api":"order","output":"","answer":{"name":1}}`,
			done{Result: map[string]any{"name": 1.0}, Outcome: "ok", Text: `{"_status":"ok","name":"1"}`, Format: "json"},
		},
		"no object under a contract": {
			`{"api":"order","output":"[1]","answer":{}}`,
			done{Result: []any{1.0}, Outcome: "ok", Refused: "*", Format: "json", Lines: "output `[1]`\n"},
		},
		"what Caddy would change": {
			`{"api":"order","output":"{path}","answer":{"path":1}}`,
			done{Result: map[string]any{"path": 1.0}, Outcome: "ok", Text: `{"_status":"ok","name":"","path":1}`, Format: "json", Lines: "output @order.jq\n", File: "order.jq"},
		},
		"no program":    {`{"api":"order","output":".data.","answer":{}}`, done{Error: "*"}},
		"one that ends": {`{"api":"order","output":"[range(1e9)]","answer":{}}`, done{Error: "jq: took too long"}},
	} {
		got := decode[done](t, s.post("/console/data/try", tt.body))
		for got, want := range map[*string]string{&got.Error: tt.want.Error, &got.Refused: tt.want.Refused} {
			if want == "*" && *got != "" {
				*got = want
			}
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, tt.want)
		}
	}
	for body, status := range map[string]int{
		`{"api":"nope"}`: http.StatusNotFound,
		`[]`:             http.StatusBadRequest,
		`{"api":"order","output":".","answer":1,"vars":{"token":"x"}}`: http.StatusBadRequest,
		`{"api":"order","output":".","answer":1,"for":"pigeon"}`:       http.StatusBadRequest,
	} {
		if g := s.post("/console/data/try", body); g.status != status {
			t.Errorf("%s: %d %s", body, g.status, g.body)
		}
	}
	if g := s.post("/console/data/bench", `{"api":"nope"}`); g.status != http.StatusNotFound {
		t.Errorf("%d %s", g.status, g.body)
	}
}

func TestSearch(t *testing.T) {
	s := start(t, open)
	d, err := running(t).Customers()
	if err != nil {
		t.Fatal(err)
	}
	err = d.Write(func(w customer.Writer) error {
		return w.Put(t.Context(), []*customer.Record{{ID: "C1", Nickname: "Ann", Tel: "13800138000"}}, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	if found := decode[[]map[string]string](t, s.post("/console/data/search", `{"tel":"+86 138 0013 8000"}`)); len(found) != 1 || found[0]["nick"] != "Ann" {
		t.Errorf("%v", found)
	}
	if found := decode[[]map[string]string](t, s.post("/console/data/search", `{"tel":"13900139000"}`)); len(found) != 0 {
		t.Errorf("%v", found)
	}
}

// What another site can have a browser send changes nothing.
func TestForgedRequests(t *testing.T) {
	s := start(t, open)
	page := []string{"Content-Type", "application/json", "X-Switchboard-Console", "1"}
	for name, test := range map[string]struct {
		method string
		header []string
		status int
	}{
		"a form":                     {"POST", []string{"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "cross-site"}, 403},
		"text that is JSON":          {"POST", []string{"Content-Type", "text/plain", "Sec-Fetch-Site", "cross-site"}, 403},
		"without the header":         {"POST", []string{"Content-Type", "application/json", "Sec-Fetch-Site", "same-origin"}, 403},
		"from another site":          {"POST", append(page, "Sec-Fetch-Site", "cross-site"), 403},
		"from a subdomain":           {"POST", append(page, "Sec-Fetch-Site", "same-site"), 403},
		"an old browser's Origin":    {"POST", append(page, "Origin", "http://evil.example"), 403},
		"of another media type":      {"POST", []string{"X-Switchboard-Console", "1", "Sec-Fetch-Site", "same-origin"}, 415},
		"a link":                     {"GET", append(page, "Sec-Fetch-Site", "same-origin"), 405},
		"an old browser's own page":  {"POST", append(page, "Origin", "http://site"), 200},
		"the page":                   {"POST", append(page, "Sec-Fetch-Site", "same-origin"), 200},
		"a program that means to it": {"POST", page, 200},
	} {
		t.Run(name, func(t *testing.T) {
			g := s.ask(test.method, "/console/data/hold", `{"api":"order"}`, test.header...)
			api, err := running(t).Operator().API("order")
			if g.status != test.status || err != nil || api.Held != (test.status == 200) {
				t.Errorf("%d %s, held: %v", g.status, g.body, api.Held)
			}
			if g.header.Get("Access-Control-Allow-Origin") != "" {
				t.Error("other origins may read")
			}
			s.post("/console/data/release", `{"api":"order"}`)
		})
	}
}
