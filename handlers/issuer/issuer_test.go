package issuer

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/goleak"

	provider "github.com/switchboard-ivr/switchboard/module/issuer"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"))
}

// fake grants what a test says, and notes what it was asked.
type fake struct {
	err    error
	status int
	asked  string
	params map[string]any
}

var fakePair = provider.Pair{AccessToken: "new-access", RefreshToken: "new-refresh", ExpiresIn: 7200}

func (f *fake) Obtain(_ context.Context, params map[string]any) (*provider.Pair, error) {
	f.asked, f.params = "obtain", params
	return &fakePair, f.err
}

func (f *fake) Refresh(_ context.Context, params map[string]any) (*provider.Pair, error) {
	f.asked, f.params = "refresh", params
	return &fakePair, f.err
}

func (f *fake) RefusalStatus() int { return f.status }

func ask(t *testing.T, f *fake, r *http.Request) *http.Response {
	t.Helper()
	w := httptest.NewRecorder()
	if err := (&TokenIssuer{issuer: f}).ServeHTTP(w, r, nil); err != nil {
		t.Fatal(err)
	}
	return w.Result()
}

func request(t *testing.T, method, target, contentType, body string) *http.Request {
	t.Helper()
	var b io.Reader = http.NoBody
	if body != "" {
		b = strings.NewReader(body)
	}
	r := httptest.NewRequestWithContext(t.Context(), method, target, b)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

const (
	grant       = `{"code":"000000","data":{"access_token":"new-access","refresh_token":"new-refresh","expires_in":7200}}`
	refusal     = `{"code":"401000","msg":"unauthorized","data":null}`
	unavailable = `{"code":"503000","msg":"unavailable","data":null}`
	form        = "application/x-www-form-urlencoded"
)

func TestServeHTTP(t *testing.T) {
	for _, c := range []struct {
		name                        string
		method, target, media, body string
		err                         error
		errors                      int
		status                      int
		want                        string
		asked                       string
	}{
		{"obtain by JSON", "POST", "/token/obtain", "application/json", `{"a":"b"}`, nil, 401, 200, grant, "obtain"},
		{"obtain by form", "POST", "/token/obtain", form, "a=b", nil, 401, 200, grant, "obtain"},
		{"obtain by query", "GET", "/token/obtain?a=b", "", "", nil, 401, 200, grant, "obtain"},
		{"obtain by POST and query", "POST", "/obtain?a=b", "", "", nil, 401, 200, grant, "obtain"},
		{"refresh", "POST", "/x/y/refresh", "application/json", `{"a":"b"}`, nil, 401, 200, grant, "refresh"},
		{"with a slash", "GET", "/token/refresh/?a=b", "", "", nil, 401, 200, grant, "refresh"},
		{"refused", "GET", "/obtain?a=b", "", "", provider.ErrRefused, 401, 401, refusal, "obtain"},
		{"refused with 200", "GET", "/refresh?a=b", "", "", provider.ErrRefused, 200, 200, refusal, "refresh"},
		{"storage", "GET", "/refresh?a=b", "", "", provider.ErrUnavailable, 200, 503, unavailable, "refresh"},
		{"another path", "GET", "/token", "", "", nil, 401, 404, `{"code":"404000","msg":"the path must end in obtain or refresh","data":null}`, ""},
		{"another case", "GET", "/Obtain", "", "", nil, 401, 404, `{"code":"404000","msg":"the path must end in obtain or refresh","data":null}`, ""},
		{"root", "GET", "/", "", "", nil, 401, 404, `{"code":"404000","msg":"the path must end in obtain or refresh","data":null}`, ""},
		{"another method", "PUT", "/obtain", "", "", nil, 401, 405, `{"code":"405000","msg":"use GET or POST","data":null}`, ""},
		{"HEAD", "HEAD", "/obtain", "", "", nil, 401, 405, `{"code":"405000","msg":"use GET or POST","data":null}`, ""},
		{"bad JSON", "POST", "/obtain", "application/json", `{"a":`, nil, 200, 400, `{"code":"400000","msg":"json: not one JSON document","data":null}`, ""},
		{"XML", "POST", "/obtain", "text/xml", `<a/>`, nil, 200, 415, `{"code":"415000","msg":"body: Content-Type must be a form or JSON","data":null}`, ""},
		{"large", "POST", "/obtain", form, strings.Repeat("a", 8<<10+1), nil, 401, 413, `{"code":"413000","msg":"body: more than 8192 bytes","data":null}`, ""},
		{"long query", "GET", "/obtain?a=" + strings.Repeat("a", 8<<10), "", "", nil, 401, 414, `{"code":"414000","msg":"query: more than 8192 bytes","data":null}`, ""},
		{"deep", "POST", "/obtain", "application/json", `{"a":` + strings.Repeat("[", 9) + strings.Repeat("]", 9) + `}`, nil, 401, 400, `{"code":"400000","msg":"json: too deep`, ""},
		{"broken query", "GET", "/obtain?a=%zz", "", "", nil, 401, 400, `{"code":"400000","msg":"query: malformed percent-encoding","data":null}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{err: c.err, status: c.errors}
			resp := ask(t, f, request(t, c.method, c.target, c.media, c.body))
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if whole := strings.HasSuffix(c.want, "}"); resp.StatusCode != c.status || !strings.HasPrefix(string(body), c.want) || whole && string(body) != c.want {
				t.Errorf("%d %s\nwant %d %s", resp.StatusCode, body, c.status, c.want)
			}
			if f.asked != c.asked {
				t.Errorf("asked for %q, want %q", f.asked, c.asked)
			}
			if f.asked != "" && !maps.Equal(f.params, map[string]any{"a": "b"}) {
				t.Errorf("with %v", f.params)
			}
			h := resp.Header
			if h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" {
				t.Errorf("headers: %v", h)
			}
			if challenge := h.Get("WWW-Authenticate") != ""; challenge != (c.status == 401) {
				t.Errorf("WWW-Authenticate: %q", h.Get("WWW-Authenticate"))
			}
			if retry := h.Get("Retry-After") != ""; retry != (c.status == 503) {
				t.Errorf("Retry-After: %q", h.Get("Retry-After"))
			}
			if allow := h.Get("Allow") == "GET, POST"; allow != (c.status == 405) {
				t.Errorf("Allow: %q", h.Get("Allow"))
			}
		})
	}
}

func TestTheClientLeaves(t *testing.T) {
	h := &TokenIssuer{issuer: &fake{err: context.Canceled}}
	err := h.ServeHTTP(httptest.NewRecorder(), request(t, "GET", "/obtain?a=b", "", ""), nil)
	if he, ok := errors.AsType[caddyhttp.HandlerError](err); !ok || he.StatusCode != 499 {
		t.Errorf("%v", err)
	}
}

// A body that stalls gets its answer when its time is over.
func TestStalledBody(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	f := new(fake)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = (&TokenIssuer{issuer: f}).ServeHTTP(w, r.WithContext(ctx), nil)
	}))
	defer srv.Close()
	body, hold := io.Pipe()
	defer hold.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/obtain", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", form)
	go func() { _, _ = io.WriteString(hold, "app_key=") }()
	resp, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestTimeout || f.asked != "" {
		t.Errorf("%d, asked %q", resp.StatusCode, f.asked)
	}
}

func TestProvisionRefuses(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	if err := new(TokenIssuer).Provision(ctx); err == nil || !strings.Contains(err.Error(), "name is missing") {
		t.Errorf("%v", err)
	}
}

// A request of any shape gets one line of JSON in the protocol's envelope.
func FuzzServeHTTP(f *testing.F) {
	f.Add("POST", "/token/obtain", "application/json", `{"app_key":"k","timestamp":1795435200000,"sign":"0"}`)
	f.Add("GET", "/refresh?refresh_token=x", "", "")
	f.Add("POST", "/obtain?a=%00", form, "a=%ff&b")
	f.Add("POST", "/obtain", "multipart/form-data; boundary=x", "--x\r\n\r\n--x--")
	f.Fuzz(func(t *testing.T, method, target, media, body string) {
		u, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
		if err != nil || u.URL.Path == "" {
			return
		}
		u.Header.Set("Content-Type", media)
		resp := ask(t, &fake{err: provider.ErrRefused, status: 401}, u)
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		var e struct {
			Code string
			Data *struct{}
		}
		if err := json.Unmarshal(text, &e); err != nil || e.Data != nil || len(e.Code) != 6 || strings.Contains(string(text), "\n") {
			t.Fatalf("%d %s", resp.StatusCode, text)
		}
	})
}

// Interface guards
var (
	_ grantor = (*provider.Issuer)(nil)
)
