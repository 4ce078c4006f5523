package issuer_test

// These tests run Caddy itself, in this process, from a Caddyfile, with a site
// on a Unix socket.

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
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

	"github.com/switchboard-ivr/switchboard/handlers/issuer"
	_ "github.com/switchboard-ivr/switchboard/module"
)

func init() {
	httpcaddyfile.RegisterDirective("token_issuer", issuer.ParseDirective)
	httpcaddyfile.RegisterDirectiveOrder("token_issuer", httpcaddyfile.After, "route")
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

// start runs a site and gives a client that reaches it by any URL.
func start(t *testing.T, options, routes string) *http.Client {
	t.Helper()
	dir := t.TempDir()
	cfg, err := adapt(t, dir, options, routes)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(cfg), "canary") {
		t.Error("the configuration holds the secret")
	}
	if err := caddy.Load(cfg, true); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(dir, "s"))
	}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &http.Client{Transport: transport}
}

// answer is the document's, whatever it says.
type answer struct {
	Code string
	Msg  string
	Data struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
		ExpiresIn    int    `json:"expires_in"`
	}
}

func post(t *testing.T, c *http.Client, path, media, body string) (int, answer) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://site"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if media == "" {
		r.Method, r.Body = http.MethodGet, nil
	} else {
		r.Header.Set("Content-Type", media)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatalf("%d %s", resp.StatusCode, text)
	}
	return resp.StatusCode, a
}

func signature(timestamp string) url.Values {
	sum := md5.Sum([]byte(key + timestamp + secret))
	return url.Values{"app_key": {key}, "timestamp": {timestamp}, "sign": {hex.EncodeToString(sum[:])}}
}

func TestTheDocumentsProtocol(t *testing.T) {
	c := start(t, "lifetime 1h", "token_issuer /token/* partners")
	now := time.Now()
	ms, s := strconv.FormatInt(now.UnixMilli(), 10), strconv.FormatInt(now.Unix(), 10)
	asJSON := func(timestamp string) string {
		v := signature(strings.Trim(timestamp, `"`))
		return fmt.Sprintf(`{"app_key":%q,"timestamp":%s,"sign":%q}`, key, timestamp, v.Get("sign"))
	}
	next := func(n int64) string { return strconv.FormatInt(now.UnixMilli()+n, 10) }
	for _, req := range []struct{ name, path, media, body string }{
		{"JSON, a Long", "/token/obtain", "application/json", asJSON(ms)},
		{"JSON, a string", "/token/obtain", "application/json; charset=utf-8", asJSON(`"` + next(1) + `"`)},
		{"form", "/token/obtain", "application/x-www-form-urlencoded", signature(next(2)).Encode()},
		{"query", "/token/obtain?" + signature(next(3)).Encode(), "", ""},
		{"query, by POST", "/token/obtain?" + signature(next(4)).Encode(), "application/x-www-form-urlencoded", ""},
		{"seconds", "/token/obtain", "application/x-www-form-urlencoded", signature(s).Encode()},
	} {
		status, a := post(t, c, req.path, req.media, req.body)
		if status != 200 || a.Code != "000000" || a.Data.ExpiresIn != 3600 {
			t.Errorf("%s: %d %+v", req.name, status, a)
			continue
		}
		if status, again := post(t, c, req.path, req.media, req.body); status != 401 || again.Code != "401000" || again.Data.AccessToken != "" {
			t.Errorf("%s, replayed: %d %+v", req.name, status, again)
		}
		refresh := url.Values{"refresh_token": {a.Data.RefreshToken}}.Encode()
		status, b := post(t, c, "/token/refresh", "application/x-www-form-urlencoded", refresh)
		if status != 200 || b.Code != "000000" || b.Data.AccessToken == a.Data.AccessToken || b.Data.RefreshToken == a.Data.RefreshToken {
			t.Errorf("%s, refreshed: %d %+v", req.name, status, b)
		}
		if status, same := post(t, c, "/token/refresh?"+refresh, "", ""); status != 200 || same.Data != b.Data && same.Data.ExpiresIn == b.Data.ExpiresIn {
			t.Errorf("%s, asked again: %d %+v", req.name, status, same)
		}
	}
}

func TestErrors200(t *testing.T) {
	c := start(t, "errors 200", "token_issuer partners")
	if status, a := post(t, c, "/obtain", "application/json", `{}`); status != 200 || a.Code != "401000" || a.Msg != "unauthorized" {
		t.Errorf("%d %+v", status, a)
	}
}

// Other routes of the site keep their paths.
func TestMatcher(t *testing.T) {
	c := start(t, "", "token_issuer /token/* partners\n\trespond `{\"code\":\"site\"}`")
	if _, a := post(t, c, "/obtain", "", ""); a.Code != "site" {
		t.Errorf("%+v", a)
	}
	if _, a := post(t, c, "/token/obtain", "", ""); a.Code != "401000" {
		t.Errorf("%+v", a)
	}
}

func TestDirectiveRefuses(t *testing.T) {
	for _, c := range []struct{ routes, want string }{
		{"token_issuer", "takes the name of an issuer"},
		{"token_issuer /token/*", "takes the name of an issuer"},
		{"token_issuer a b c", "takes the name of an issuer"},
		{"token_issuer \"\"", "takes the name of an issuer"},
		{"token_issuer partners {\n errors 200\n}", "token_issuer takes no block"},
	} {
		if _, err := adapt(t, t.TempDir(), "", c.routes); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.routes, err)
		}
	}
}

func TestUnknownIssuer(t *testing.T) {
	cfg, err := adapt(t, t.TempDir(), "", "token_issuer strangers")
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(cfg, true); err == nil || !strings.Contains(err.Error(), "strangers") || !strings.Contains(err.Error(), "partners") {
		t.Errorf("%v", err)
	}
}
