// Package issuersite runs Caddy in the test's own process: one issuer, `partners`,
// with one client, and one site on a Unix socket.
package issuersite

import (
	"context"
	"crypto/md5" //nolint:gosec // the protocol's signature
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage" // where the records are

	_ "github.com/switchboard-ivr/switchboard/handlers" // the directives, in their order
	_ "github.com/switchboard-ivr/switchboard/module"   // the app
)

// The client's key and secret.
const (
	Key    = "partner"
	Secret = "s3cret-0123456789-canary"
)

// Adapt makes JSON of a Caddyfile: options stand in the issuer's block beside
// its client, routes in the site's.
func Adapt(t testing.TB, dir, options, routes string) ([]byte, error) {
	t.Helper()
	t.Setenv("PARTNER_SECRET", Secret)
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
}`, dir, Key, options, routes)
	cfg, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	return cfg, err
}

// Site is a running Caddy.
type Site struct {
	t testing.TB
	// Dir holds the storage and the socket.
	Dir string
	// Transport reaches the site by any URL.
	Transport http.RoundTripper
}

// Start runs a site until the test ends.
func Start(t testing.TB, options, routes string) *Site {
	t.Helper()
	s := &Site{t: t, Dir: t.TempDir()}
	s.Load(options, routes)
	s.Transport = patient{&http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(s.Dir, "s"))
	}}}
	t.Cleanup(s.Stop)
	return s
}

// Load replaces the configuration, or starts it again after Stop.
func (s *Site) Load(options, routes string) {
	s.t.Helper()
	cfg, err := Adapt(s.t, s.Dir, options, routes)
	if err != nil {
		s.t.Fatal(err)
	}
	if strings.Contains(string(cfg), "canary") {
		s.t.Error("the configuration holds the secret")
	}
	if err := caddy.Load(cfg, true); err != nil {
		s.t.Fatal(err)
	}
}

// Stop ends it.
func (s *Site) Stop() {
	if err := caddy.Stop(); err != nil {
		s.t.Error(err)
	}
}

// patient asks again when a connection is reset: during a reload Caddy may do
// that to new ones (docs/guides/operations.md).
type patient struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (p patient) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	for range 5 {
		again := r.Clone(r.Context())
		if r.GetBody != nil {
			if again.Body, err = r.GetBody(); err != nil {
				return nil, err
			}
		}
		if resp, err = p.RoundTripper.RoundTrip(again); err == nil {
			return resp, nil
		}
	}
	return nil, err
}

// Get asks for a path, with header fields as name, value, name, value …
func (s *Site) Get(path string, header ...string) (*http.Response, string) {
	s.t.Helper()
	return s.do(http.MethodGet, path, "", header...)
}

// Post sends a body of a media type.
func (s *Site) Post(path, media, body string) (*http.Response, string) {
	s.t.Helper()
	return s.do(http.MethodPost, path, body, "Content-Type", media)
}

func (s *Site) do(method, path, body string, header ...string) (*http.Response, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, "http://site"+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for field := range slices.Chunk(header, 2) {
		r.Header.Add(field[0], field[1])
	}
	resp, err := s.Transport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(text)
}

// Answer is the protocol's, whatever it says.
type Answer struct {
	Status int `json:"-"`
	Code   string
	Msg    string
	Data   struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
		ExpiresIn    int    `json:"expires_in"`
	}
}

// Read makes an Answer of what a token endpoint said.
func (s *Site) Read(resp *http.Response, body string) (a Answer) {
	s.t.Helper()
	a.Status = resp.StatusCode
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		s.t.Fatalf("%d %s", resp.StatusCode, body)
	}
	return a
}

// SignIn is what an obtain sends, as the protocol says.
func SignIn(timestamp string) url.Values {
	sum := md5.Sum([]byte(Key + timestamp + Secret)) //nolint:gosec // the protocol's signature
	return url.Values{"app_key": {Key}, "timestamp": {timestamp}, "sign": {hex.EncodeToString(sum[:])}}
}

// Obtain signs in at /token/obtain.
func (s *Site) Obtain(at time.Time) Answer {
	s.t.Helper()
	a := s.Read(s.Get("/token/obtain?" + SignIn(strconv.FormatInt(at.UnixMilli(), 10)).Encode()))
	if a.Code != "000000" || a.Data.AccessToken == "" {
		s.t.Fatalf("obtain: %+v", a)
	}
	return a
}
