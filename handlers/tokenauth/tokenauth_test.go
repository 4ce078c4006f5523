package tokenauth_test

// These tests run Caddy itself, in this process, from a Caddyfile: a provider
// with its token endpoints and a guarded site.

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/goleak"

	"github.com/switchboard-ivr/switchboard/handlers/tokenauth"
	"github.com/switchboard-ivr/switchboard/integration/issuersite"
	"github.com/switchboard-ivr/switchboard/module/token/keeper"
	"github.com/switchboard-ivr/switchboard/module/token/source"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"))
}

const guarded = `token_issuer /token/* partners
	token_auth /api/* partners
	respond /api/* "hello {http.auth.user.id}"
	respond "open to all"`

func TestTokenAuth(t *testing.T) {
	site := issuersite.Start(t, "", guarded)
	pair := site.Obtain(time.Now()).Data
	refused := func(when string, header ...string) {
		t.Helper()
		resp, body := site.Get("/api/x", header...)
		if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("WWW-Authenticate") != `Bearer realm="partners"` || strings.Contains(body, "hello") {
			t.Errorf("%s: %d %q %s", when, resp.StatusCode, resp.Header.Get("WWW-Authenticate"), body)
		}
	}
	opens := func(when string) {
		t.Helper()
		if resp, body := site.Get("/api/x", "Authorization", "Bearer "+pair.AccessToken); resp.StatusCode != http.StatusOK || body != "hello partner" {
			t.Errorf("%s: %d %s", when, resp.StatusCode, body)
		}
	}
	refused("without a token")
	refused("with nonsense", "Authorization", "Bearer xyz")
	refused("with a refresh token", "Authorization", "Bearer "+pair.RefreshToken)
	refused("in another place", "X-Access-Token", pair.AccessToken)
	opens("with the token")
	if _, body := site.Get("/"); body != "open to all" {
		t.Errorf("elsewhere: %s", body)
	}
	site.Load("", guarded)
	opens("after a reload")
	site.Load("client "+issuersite.Key+" a-second-secret-0123456", guarded)
	opens("while the secret changes")
	site.Stop()
	site.Load("", guarded)
	opens("after a restart")
}

func TestTokenAuthAccept(t *testing.T) {
	site := issuersite.Start(t, "accept query access_token", guarded)
	access := site.Obtain(time.Now()).Data.AccessToken
	if resp, body := site.Get("/api/x?access_token=" + access); resp.StatusCode != http.StatusOK || body != "hello partner" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

// Switchboard's own token source is a client of the same protocol.
func TestBothHalves(t *testing.T) {
	site := issuersite.Start(t, "", guarded)
	front := httptest.NewServer(&httputil.ReverseProxy{ // a token source asks by TCP only
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "site"}) },
		Transport: site.Transport,
	})
	defer front.Close()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	src := &source.Source{
		CredentialValues: map[string]string{"app_key": issuersite.Key, "app_secret": issuersite.Secret},
		Obtain:           &source.Request{URL: front.URL + "/token/obtain"},
		Refresh:          &source.Request{URL: front.URL + "/token/refresh"},
	}
	if err := src.Provision(ctx, "provider"); err != nil {
		t.Fatal(err)
	}
	k := keeper.New(src.Policy(), src.Endpoint())
	defer func() { _ = k.Destruct() }()
	k.Attach(keeper.Env{})

	old := ""
	for range 3 {
		tok, err := k.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if tok.Access == old || time.Until(tok.Expires).Round(time.Minute) != 2*time.Hour {
			t.Errorf("the same token, or one until %s", tok.Expires)
		}
		old = tok.Access
		if resp, body := site.Get("/api/x", "Authorization", "Bearer "+tok.Access); resp.StatusCode != http.StatusOK {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
		if err := k.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// One family, refreshed: had a renewal been another sign-in, there were more.
	records, err := filepath.Glob(filepath.Join(site.Dir, "storage", "issuer", "*"))
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
		if _, err := issuersite.Adapt(t, t.TempDir(), "", c.routes); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.routes, err)
		}
	}
}

func TestProvisionRefuses(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	if err := new(tokenauth.Provider).Provision(ctx); err == nil || !strings.Contains(err.Error(), "name is missing") {
		t.Errorf("%v", err)
	}
	cfg, err := issuersite.Adapt(t, t.TempDir(), "", "token_auth strangers")
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(cfg, true); err == nil || !strings.Contains(err.Error(), "strangers") {
		t.Errorf("%v", err)
	}
}
