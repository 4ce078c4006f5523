package provider_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/integration/provider"
)

func TestOrderQuery(t *testing.T) {
	s := provider.New(provider.Options{})
	token, _ := signIn(t, s)
	authorized := func(r *http.Request) *http.Request {
		r.Header.Set("Authorization", "bearer "+token)
		return r
	}
	const path = "/open/order/query"
	var bodies []string
	for _, r := range []*http.Request{
		bare(t, http.MethodGet, path+"?tel=13800138000"),
		bare(t, http.MethodGet, path+"?tel=%2B8613800138000"),
		post(t, path, formType, "tel=13800138000"),
		post(t, path, jsonType, `{"tel":"13800138000"}`),
		post(t, path, jsonType, `{"tel":13800138000}`),
		post(t, path+"?tel=13800138000", "", ""),
		bare(t, http.MethodGet, "/open/customer/C1001"),
	} {
		got := serve(t, s, authorized(r))
		if got.status != http.StatusOK || last(s).Outcome != "ok" {
			t.Fatalf("%s %s: %d %s", r.Method, r.URL, got.status, got.body)
		}
		bodies = append(bodies, got.body)
	}
	if len(slices.Compact(bodies)) != 1 {
		t.Errorf("answers differ: %v", bodies)
	}
	for _, want := range []string{`"orderId":9007199254740993,`, `"amount":1.10,`, `"nick":"张三"`, `"isVip":"1"`} {
		if !strings.Contains(bodies[0], want) {
			t.Errorf("no %s in %s", want, bodies[0])
		}
	}
	if n := len(bodies[0]); n < 900 || n > 1200 {
		t.Errorf("an answer of %d bytes is not about 1 KB", n)
	}
}

func TestEveryCustomerIsValidJSON(t *testing.T) {
	s := provider.New(provider.Options{})
	for _, tel := range []string{"13800138000", "13900139000", "13700137000", "13600136000", "%2B14155550123"} {
		r := serve(t, s, bare(t, http.MethodGet, "/free/open/order/query?tel="+tel))
		if !json.Valid([]byte(r.body)) || r.at(t, "data.nick") == "" {
			t.Errorf("%s: %s", tel, r.body)
		}
	}
}

func TestOrderQueryWithoutAnAnswer(t *testing.T) {
	const path = "/free/open/order/query"
	for _, tc := range []struct {
		name    string
		options provider.Options
		request *http.Request
		status  int
		code    string
		outcome string
	}{
		{"unknown", provider.Options{}, bare(t, "GET", path+"?tel=1"), 200, "000000", "not_found"},
		{"unknown by status", provider.Options{UnknownStatus: 404}, bare(t, "GET", path+"?tel=1"), 404, "404000", "not_found"},
		{"unknown id", provider.Options{}, bare(t, "GET", "/free/open/customer/C9"), 200, "000000", "not_found"},
		{"no number", provider.Options{}, bare(t, "GET", path), 200, "400001", "no_tel"},
		{"two numbers", provider.Options{}, post(t, path+"?tel=1", formType, "tel=2"), 400, "400002", "two_tels"},
		{"malformed", provider.Options{}, post(t, path, jsonType, `{"tel":`), 400, "400000", "malformed"},
		{"method", provider.Options{}, bare(t, "DELETE", path+"?tel=1"), 405, "405", "bad_method"},
		{"method by id", provider.Options{}, post(t, "/free/open/customer/C1001", "", ""), 405, "405", "bad_method"},
		{"path", provider.Options{}, bare(t, "GET", "/free/nothing"), 404, "404", "no_such_path"},
		{"size", provider.Options{}, post(t, path, jsonType, strings.Repeat(" ", 1<<20+1)), 413, "413", "body_too_large"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := provider.New(tc.options)
			r := serve(t, s, tc.request)
			if r.status != tc.status || r.at(t, "code") != tc.code || r.at(t, "data") != "" || last(s).Outcome != tc.outcome {
				t.Errorf("answer: %d %s, %s", r.status, r.body, last(s).Outcome)
			}
			if e := last(s); e.Status != tc.status || e.Kind != provider.API {
				t.Errorf("ledger: %+v", e)
			}
		})
	}
}

func TestWhereTheTokenMayBe(t *testing.T) {
	for _, tc := range []struct {
		name    string
		scheme  string
		set     func(r *http.Request, token string) *http.Request
		at      []string
		outcome string
	}{
		{"Authorization", "", func(r *http.Request, token string) *http.Request {
			r.Header.Set("Authorization", "Bearer "+token)
			return r
		}, []string{"authorization"}, "ok"},
		{"another scheme", "Zoho-oauthtoken", func(r *http.Request, token string) *http.Request {
			r.Header.Set("Authorization", "Zoho-oauthtoken "+token)
			return r
		}, []string{"authorization"}, "ok"},
		{"the wrong scheme", "", func(r *http.Request, token string) *http.Request {
			r.Header.Set("Authorization", "Basic "+token)
			return r
		}, nil, "no_token"},
		{"no scheme", "raw", func(r *http.Request, token string) *http.Request {
			r.Header.Set("Authorization", token)
			return r
		}, []string{"authorization"}, "ok"},
		{"X-Access-Token", "", func(r *http.Request, token string) *http.Request {
			r.Header.Set("X-Access-Token", token)
			return r
		}, []string{"x-access-token"}, "ok"},
		{"Token", "", func(r *http.Request, token string) *http.Request {
			r.Header.Set("Token", token)
			return r
		}, []string{"token"}, "ok"},
		{"query", "", func(_ *http.Request, token string) *http.Request {
			return bare(t, http.MethodGet, "/echo?access_token="+token)
		}, []string{"query"}, "ok"},
		{"JSON", "", func(_ *http.Request, token string) *http.Request {
			return post(t, "/echo", jsonType, `{"access_token":"`+token+`"}`)
		}, []string{"body"}, "ok"},
		{"form", "", func(_ *http.Request, token string) *http.Request {
			return post(t, "/echo", formType, "access_token="+token)
		}, []string{"body"}, "ok"},
		{"the same one twice", "", func(r *http.Request, token string) *http.Request {
			r.Header["Authorization"] = []string{"Bearer " + token, "Bearer " + token}
			return r
		}, []string{"authorization", "authorization"}, "ok"},
		{"two different ones", "", func(r *http.Request, token string) *http.Request {
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("X-Access-Token", "other")
			return r
		}, []string{"authorization", "x-access-token"}, "two_tokens"},
		{"nowhere", "", func(r *http.Request, _ string) *http.Request { return r }, nil, "no_token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := provider.New(provider.Options{Scheme: tc.scheme})
			token, _ := signIn(t, s)
			serve(t, s, tc.set(bare(t, http.MethodGet, "/echo"), token))
			e := last(s)
			if e.Outcome != tc.outcome || !slices.Equal(e.TokenAt, tc.at) {
				t.Errorf("ledger: %s at %v", e.Outcome, e.TokenAt)
			}
			if len(tc.at) > 0 && (e.Token != token || e.TokenState != "live") {
				t.Errorf("token: %q %s", e.Token, e.TokenState)
			}
		})
	}
}

func TestDeadTokens(t *testing.T) {
	s := provider.New(provider.Options{})
	r := serve(t, s, withToken(t, "/open/order/query?tel=1", "never-issued"))
	if r.status != http.StatusUnauthorized || last(s).TokenState != "unknown" {
		t.Errorf("unknown: %d %s", r.status, last(s).TokenState)
	}
	if r.header.Get("WWW-Authenticate") == "" || r.header.Get("Set-Cookie") == "" {
		t.Errorf("headers: %v", r.header)
	}
	if r := serve(t, s, bare(t, http.MethodGet, "/upload")); r.status != http.StatusUnauthorized {
		t.Errorf("absent: %d", r.status)
	}

	byCode := provider.New(provider.Options{DeadTokenCode: true})
	for _, token := range []string{"never-issued", ""} {
		r := serve(t, byCode, withToken(t, "/echo", token))
		if r.status != http.StatusOK || r.at(t, "code") != "40001" || r.at(t, "msg") != "token expired" || len(r.header["Set-Cookie"]) > 0 {
			t.Errorf("by code: %d %s", r.status, r.body)
		}
	}
}

func TestFreeRoutesRecordATokenButNeedNone(t *testing.T) {
	s := provider.New(provider.Options{})
	r := serve(t, s, withToken(t, "/free/echo/a%2Fb?x=%20y", "stray"))
	if r.status != http.StatusOK || last(s).Token != "stray" {
		t.Errorf("answer: %d, token %q", r.status, last(s).Token)
	}
}

func TestEcho(t *testing.T) {
	s := provider.New(provider.Options{})
	request := post(t, "http://crm.example.com/free/echo/a%2Fb?x=%20y&x=+z", "text/plain", "hello 张三")
	request.Method = http.MethodPatch
	request.Header.Add("X-Two", "1")
	request.Header.Add("X-Two", "2")
	r := serve(t, s, request)
	for path, want := range map[string]string{
		"method": "PATCH", "host": "crm.example.com", "path": "/free/echo/a%2Fb", "rawquery": "x=%20y&x=+z",
		"body": "hello 张三", "length": "12", "headers.X-Two": "[1 2]", "headers.Content-Type": "[text/plain]",
	} {
		if got := r.at(t, path); got != want {
			t.Errorf("%s: %q, not %q", path, got, want)
		}
	}
	if e := last(s); e.Path != "/free/echo/a%2Fb" || e.Query != "x=%20y&x=+z" || e.Body != "hello 张三" || e.Host != "crm.example.com" {
		t.Errorf("ledger: %+v", e)
	}
	if r := serve(t, s, post(t, "/free/echo", "", "\xff\x00")); r.at(t, "body_base64") != "/wA=" {
		t.Errorf("binary body: %s", r.body)
	}
}
