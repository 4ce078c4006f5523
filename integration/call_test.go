package integration

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// What a flow gets for a known caller, to the letter: one line, numbers as the
// API wrote them, as strings where the contract's defaults are strings.
const known = `{"_status":"ok","amount":"1.10","name":"张三","order":"9007199254740993","vip":"1"}`

func TestAFlowAsksForAnOrder(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{})
	url := caddy.URL("/ivr/order")

	for _, tc := range []struct {
		name, method, url, contentType, body string
	}{
		{"query", "GET", url + "?tel=13800138000", "", ""},
		{"form", "POST", url, "application/x-www-form-urlencoded", "tel=13800138000"},
		{"json", "POST", url, "application/json", `{"tel":"13800138000"}`},
		{"post with everything in the query", "POST", url + "?tel=13800138000", "", ""},
		{"post with a query and an empty form", "POST", url + "?tel=13800138000", "application/x-www-form-urlencoded", ""},
		{"a blank body parameter doesn't count", "POST", url + "?tel=13800138000", "application/x-www-form-urlencoded", "tel="},
		{"head", "HEAD", url + "?tel=13800138000", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := harness.Do(t, harness.Request(t, tc.method, tc.url, tc.contentType, tc.body))
			want := known
			if tc.method == "HEAD" {
				want = ""
			}
			if got.Status != 200 || got.Body != want {
				t.Errorf("got %d %s, want 200 %s", got.Status, got.Body, want)
			}
			if ct := got.Header.Get("Content-Type"); ct != "application/json" {
				t.Errorf("Content-Type %q", ct)
			}
			if ps := got.Header.Get("Proxy-Status"); ps != `switchboard; received-status=200; details="ok"` {
				t.Errorf("Proxy-Status %q", ps)
			}
			if st := got.Header.Get("Server-Timing"); !strings.Contains(st, "call;dur=") || !strings.Contains(st, "total;dur=") {
				t.Errorf("Server-Timing %q", st)
			}
		})
	}
	t.Run("nobody", func(t *testing.T) {
		got := harness.Get(t, url+"?tel=10000000000")
		if want := `{"_status":"not_found","amount":"","name":"","order":"","vip":"2"}`; got.Status != 200 || got.Body != want {
			t.Errorf("got %d %s, want 200 %s", got.Status, got.Body, want)
		}
	})
	t.Run("a stopped provider", func(t *testing.T) {
		api.Stop()
		got := harness.Get(t, url+"?tel=13800138000")
		if want := `{"_status":"unreachable","amount":"","name":"","order":"","vip":"2"}`; got.Status != 200 || got.Body != want {
			t.Errorf("got %d %s, want 200 %s", got.Status, got.Body, want)
		}
		if ps := got.Header.Get("Proxy-Status"); ps != `switchboard; error=destination_unavailable; details="unreachable"` {
			t.Errorf("Proxy-Status %q", ps)
		}
	})
	if n := len(api.Ledger().TokenCalls()); n != 1 {
		t.Errorf("%d token calls, want one obtain", n)
	}
}

// Nothing of the phone system's request goes on to an API call, except what the
// programs say.
func TestAnAPICallCarriesOnlyWhatItSays(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: `
	api /ivr/echo echo {
		to {API}/echo
		token crm
		query ` + "`{tel: .tel, list: [1, 2.5], none: null}`" + `
		body ` + "`{asked: .tel, exact: .exact}`" + `
		headers ` + "`{\"X-Sign\": (\"\\($query)|\\($body)\" | md5), \"X-Gone\": null}`" + `
		headers X-Tenant {env.TENANT}
		pass headers Accept-Language
	}`, env: []string{"TENANT=north"}})
	req := harness.Request(t, "POST", caddy.URL("/ivr/echo?tel=138&secret=s3"), "application/json", `{"exact":9007199254740993}`)
	req.Header.Set("Cookie", "session=1")
	req.Header.Set("Authorization", "Bearer mine")
	req.Header.Set("Accept-Language", "zh")
	req.Header.Set("X-Api-Key", "k")
	got := harness.Do(t, req)
	var seen struct {
		Method, Query, Body string
		RawQuery            string `json:"rawquery"`
		Headers             http.Header
	}
	if err := json.Unmarshal([]byte(got.Body), &seen); err != nil {
		t.Fatalf("%v: %s", err, got.Body)
	}
	if want := "list=1&list=2.5&tel=138"; seen.RawQuery != want {
		t.Errorf("query %q, want %q", seen.RawQuery, want)
	}
	if want := `{"asked":"138","exact":9007199254740993}`; seen.Body != want {
		t.Errorf("body %q, want %q", seen.Body, want)
	}
	for name, want := range map[string]string{
		"Accept-Language": "zh", "X-Tenant": "north", "Content-Type": "application/json", "User-Agent": "switchboard",
		"Cookie": "", "X-Api-Key": "", "X-Forwarded-For": "", "X-Forwarded-Host": "",
	} {
		if v := seen.Headers.Get(name); v != want {
			t.Errorf("the API saw %s: %q, want %q", name, v, want)
		}
	}
	if auth := seen.Headers.Get("Authorization"); auth == "Bearer mine" || !strings.HasPrefix(auth, "Bearer ") {
		t.Errorf("the API saw Authorization %q", auth)
	}
}

func TestWhoMayCall(t *testing.T) {
	api := startProvider(t, provider.Options{})
	for _, tc := range []struct {
		name, more string
		header     http.Header
		want       int
	}{
		{"key", "auth key {env.IVR_KEY}", http.Header{"X-Api-Key": {"open"}}, 200},
		{"a wrong key", "auth key {env.IVR_KEY}", http.Header{"X-Api-Key": {"opem"}}, 401},
		{"no key", "auth key {env.IVR_KEY}", nil, 401},
		{"key in a header of its own", "auth key {env.IVR_KEY} header X-Flow-Key", http.Header{"X-Flow-Key": {"open"}}, 200},
		{"no user", "auth user", nil, 401},
		{"none", "auth none", nil, 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			caddy := start(t, api, setup{more: tc.more, env: []string{"IVR_KEY=open"}})
			before := api.Ledger().Last()
			req := harness.Request(t, "GET", caddy.URL("/ivr/order?tel=13800138000"), "", "")
			maps.Copy(req.Header, tc.header)
			got := harness.Do(t, req)
			if got.Status != tc.want {
				t.Fatalf("got %d %s, want %d", got.Status, got.Body, tc.want)
			}
			if tc.want == 401 {
				if want := `{"error":{"message":"authentication required","outcome":"unauthorized"}}`; got.Body != want {
					t.Errorf("got %s, want %s", got.Body, want)
				}
				if challenge := got.Header.Get("WWW-Authenticate"); strings.HasPrefix(tc.more, "auth key") != strings.HasPrefix(challenge, "ApiKey ") {
					t.Errorf("WWW-Authenticate %q", challenge)
				}
				if n := len(api.Ledger().Since(before).Kind(provider.API)); n != 0 {
					t.Errorf("the API was called %d times", n)
				}
			}
		})
	}
}

func TestAUserOfCaddyMayCall(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: `
	basic_auth {
		flow $2a$04$JVFJnpRflFEuIdRLqve1OODtdov4iRUHHPz8wxADOGOOcedbCnjVy
	}` + orderBlock, more: "auth user"})
	req := harness.Request(t, "GET", caddy.URL("/ivr/order?tel=13800138000"), "", "")
	req.SetBasicAuth("flow", "hiccup")
	if got := harness.Do(t, req); got.Status != 200 || got.Body != known {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
}

func TestFormats(t *testing.T) {
	api := startProvider(t, provider.Options{})
	for _, tc := range []struct{ format, contentType, want string }{
		{"flat", "application/json", `{"_status":"ok","amount":"1.10","name":"张三","order":"9007199254740993","vip":"1"}`},
		{"form", "application/x-www-form-urlencoded", "_status=ok&amount=1.10&name=%E5%BC%A0%E4%B8%89&order=9007199254740993&vip=1"},
	} {
		t.Run(tc.format, func(t *testing.T) {
			caddy := start(t, api, setup{more: "format " + tc.format})
			got := harness.Get(t, caddy.URL("/ivr/order?tel=13800138000"))
			if got.Body != tc.want || got.Header.Get("Content-Type") != tc.contentType {
				t.Errorf("got %s %s, want %s %s", got.Header.Get("Content-Type"), got.Body, tc.contentType, tc.want)
			}
		})
	}
	t.Run("text", func(t *testing.T) {
		caddy := start(t, api, setup{site: `
	api /ivr/name name {
		to {API}/open/order/query
		method GET
		token crm
		query ` + "`{tel}`" + `
		output ` + "`.data.nick`" + `
		format text
	}`})
		got := harness.Get(t, caddy.URL("/ivr/name?tel=13800138000"))
		if got.Body != "张三" || !strings.HasPrefix(got.Header.Get("Content-Type"), "text/plain") {
			t.Errorf("got %s %q", got.Header.Get("Content-Type"), got.Body)
		}
	})
}
