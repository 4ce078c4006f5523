package tokenauth_test

// These tests run Caddy itself, in this process, from a Caddyfile: a provider
// with its token endpoints and a guarded site.

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
	"go.uber.org/goleak"

	"github.com/switchboard-ivr/switchboard/handlers/issuer"
	"github.com/switchboard-ivr/switchboard/handlers/tokenauth"
	_ "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/token"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"))
}

func init() {
	httpcaddyfile.RegisterDirective("token_issuer", issuer.ParseDirective)
	httpcaddyfile.RegisterDirectiveOrder("token_issuer", httpcaddyfile.After, "route")
	httpcaddyfile.RegisterDirective("token_auth", tokenauth.ParseDirective)
	httpcaddyfile.RegisterDirectiveOrder("token_auth", httpcaddyfile.Before, "invoke")
}

const (
	key    = "partner"
	secret = "s3cret-0123456789-canary"
)

func adapt(t *testing.T, dir, options, routes string) ([]byte, error) {
	t.Helper()
	t.Setenv("PARTNER_SECRET", secret)
	text := fmt.Sprintf(`{
	admin off
	persist_config off
	auto_https off
	grace_period 1s
	storage file_system %[1]s/storage
	log {
		output discard
	}
	switchboard {
		issuer partners {
			client %[2]s {env.PARTNER_SECRET}
			%[3]s
		}
	}
}
http:// {
	bind unix/%[1]s/s
	%[4]s
}`, dir, key, options, routes)
	cfg, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	return cfg, err
}

const guarded = `token_issuer /token/* partners
	token_auth /api/* partners
	respond /api/* "hello {http.auth.user.id}"
	respond "open to all"`

// start runs a provider and gives its URL, on the loopback.
func start(t *testing.T, options, routes string) (base, dir string) {
	t.Helper()
	dir = t.TempDir()
	load(t, dir, options, routes)
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(dir, "s"))
	}}
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "site"}) },
		Transport: patient{transport},
	})
	t.Cleanup(func() {
		front.Close()
		transport.CloseIdleConnections()
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return front.URL, dir
}

func load(t *testing.T, dir, options, routes string) {
	t.Helper()
	cfg, err := adapt(t, dir, options, routes)
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(cfg, true); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, target string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(header); n += 2 {
		r.Header.Add(header[n], header[n+1])
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// patient asks again when a connection is reset: during a reload Caddy may do
// that to new ones (docs/guides/operations.md).
type patient struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (p patient) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	for range 5 {
		if resp, err = p.RoundTripper.RoundTrip(r); err == nil {
			return resp, nil
		}
	}
	return nil, err
}

// obtain signs in as the document says.
func obtain(t *testing.T, base string) (access, refresh string) {
	t.Helper()
	timestamp := strconv.FormatInt(time.Now().UnixMilli(), 10)
	sum := md5.Sum([]byte(key + timestamp + secret))
	_, body := get(t, base+"/token/obtain?"+url.Values{
		"app_key": {key}, "timestamp": {timestamp}, "sign": {hex.EncodeToString(sum[:])},
	}.Encode())
	var a struct {
		Data struct {
			AccessToken  string `json:"access_token"`
			RefreshToken string `json:"refresh_token"`
		}
	}
	if err := json.Unmarshal([]byte(body), &a); err != nil || a.Data.AccessToken == "" {
		t.Fatalf("%v: %s", err, body)
	}
	return a.Data.AccessToken, a.Data.RefreshToken
}

func TestTokenAuth(t *testing.T) {
	base, dir := start(t, "", guarded)
	access, refresh := obtain(t, base)
	refused := func(when string, header ...string) {
		t.Helper()
		resp, body := get(t, base+"/api/x", header...)
		if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("WWW-Authenticate") != `Bearer realm="partners"` || strings.Contains(body, "hello") {
			t.Errorf("%s: %d %q %s", when, resp.StatusCode, resp.Header.Get("WWW-Authenticate"), body)
		}
	}
	opens := func(when string) {
		t.Helper()
		if resp, body := get(t, base+"/api/x", "Authorization", "Bearer "+access); resp.StatusCode != http.StatusOK || body != "hello partner" {
			t.Errorf("%s: %d %s", when, resp.StatusCode, body)
		}
	}
	refused("without a token")
	refused("with nonsense", "Authorization", "Bearer xyz")
	refused("with a refresh token", "Authorization", "Bearer "+refresh)
	refused("in another place", "X-Access-Token", access)
	opens("with the token")
	if _, body := get(t, base+"/"); body != "open to all" {
		t.Errorf("elsewhere: %s", body)
	}
	load(t, dir, "", guarded)
	opens("after a reload")
	load(t, dir, "client "+key+" a-second-secret-0123456", guarded)
	opens("while the secret changes")
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	load(t, dir, "", guarded)
	opens("after a restart")
}

func TestTokenAuthAccept(t *testing.T) {
	base, _ := start(t, "accept query access_token", guarded)
	access, _ := obtain(t, base)
	if resp, body := get(t, base+"/api/x?access_token="+access); resp.StatusCode != http.StatusOK || body != "hello partner" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

// Switchboard's own token source is a client of the same protocol.
func TestBothHalves(t *testing.T) {
	base, dir := start(t, "", guarded)
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	src := &token.Source{
		CredentialValues: map[string]string{"app_key": key, "app_secret": secret},
		Obtain:           &token.Request{URL: base + "/token/obtain"},
		Refresh:          &token.Request{URL: base + "/token/refresh"},
	}
	if err := src.Provision(ctx, "provider"); err != nil {
		t.Fatal(err)
	}
	keeper := token.NewKeeper(src)
	defer func() { _ = keeper.Destruct() }()
	keeper.Attach(token.Env{})

	old := ""
	for range 3 {
		tok, err := keeper.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if tok.Access == old || time.Until(tok.Expires).Round(time.Minute) != 2*time.Hour {
			t.Errorf("the same token, or one until %s", tok.Expires)
		}
		old = tok.Access
		if resp, body := get(t, base+"/api/x", "Authorization", "Bearer "+tok.Access); resp.StatusCode != http.StatusOK {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
		if err := keeper.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// One family, refreshed: had a renewal been another sign-in, there were more.
	records, err := filepath.Glob(filepath.Join(dir, "storage", "issuer", "*"))
	if err != nil || len(records) != 1 {
		t.Errorf("%d families, %v", len(records), err)
	}
}

func TestDirectiveRefuses(t *testing.T) {
	for _, c := range []struct{ routes, want string }{
		{"token_auth", "takes the name of an issuer"},
		{"token_auth /api/*", "takes the name of an issuer"},
		{"token_auth a b", "takes the name of an issuer"},
		{"token_auth \"\"", "takes the name of an issuer"},
		{"token_auth partners {\n x\n}", "token_auth takes no block"},
	} {
		if _, err := adapt(t, t.TempDir(), "", c.routes); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.routes, err)
		}
	}
}

func TestProvisionRefuses(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	if err := new(tokenauth.Provider).Provision(ctx); err == nil || !strings.Contains(err.Error(), "token_auth NAME") {
		t.Errorf("%v", err)
	}
	cfg, err := adapt(t, t.TempDir(), "", "token_auth strangers")
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(cfg, true); err == nil || !strings.Contains(err.Error(), "strangers") {
		t.Errorf("%v", err)
	}
}
