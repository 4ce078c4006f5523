package transport_test

// These tests run Caddy itself, in this process, from a Caddyfile: a site on a
// Unix socket, and a reverse_proxy whose API is a server of the test.

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
	_ "github.com/caddyserver/caddy/v2/modules/logging"

	_ "github.com/switchboard-ivr/switchboard/module"
)

// issuer is a token endpoint, and an API that knows its tokens.
type issuer struct {
	*httptest.Server
	issued  atomic.Int64
	minimum atomic.Int64 // the first token that the API takes
	refuses atomic.Bool  // the endpoint gives none
}

func secret(n int64) string { return fmt.Sprintf("s3cret-token-%d", n) }

// newIssuer serves /token itself, and the rest by api.
func newIssuer(t *testing.T, api http.HandlerFunc) *issuer {
	t.Helper()
	i := new(issuer)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		if i.refuses.Load() {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":%q,"expires_in":3600}`, secret(i.issued.Add(1)))
	})
	mux.HandleFunc("/", api)
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

// takes reports whether the API accepts a token.
func (i *issuer) takes(tok string) bool {
	for n := max(1, i.minimum.Load()); n <= i.issued.Load(); n++ {
		if tok == secret(n) {
			return true
		}
	}
	return false
}

// site is a running Caddy.
type site struct {
	socket, log string
	client      *http.Client
}

// adapt makes JSON of a Caddyfile: one token source, `crm`, and one site.
func adapt(t *testing.T, api *issuer, source, proxy string) (cfg []byte, s *site) {
	t.Helper()
	dir := t.TempDir()
	s = &site{socket: filepath.Join(dir, "s"), log: filepath.Join(dir, "log")}
	text := fmt.Sprintf(`{
	admin off
	persist_config off
	auto_https off
	grace_period 1s
	storage file_system %[1]s
	log {
		level DEBUG
		output file %[2]s {
			roll_disabled
		}
	}
	switchboard {
		token crm {
			dialect none
			obtain %[3]s/token {
				json `+"`{}`"+`
			}
			access_token .access_token
			expires_in .expires_in
			%[4]s
		}
	}
}
http:// {
	bind unix/%[5]s
	%[6]s
	handle_errors {
		respond "{http.error.status_code} {http.request.header.X-Access-Token} {http.request.header.Authorization} {http.request.orig_uri}"
	}
}`, dir, s.log, api.URL, source, s.socket, strings.ReplaceAll(proxy, "{API}", api.URL))
	cfg, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, warning := range warnings {
		if !strings.Contains(warning.Message, "not formatted") {
			t.Error(warning)
		}
	}
	s.client = &http.Client{
		Transport:     &http.Transport{DialContext: s.dial, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return cfg, s
}

func start(t *testing.T, api *issuer, source, proxy string) *site {
	t.Helper()
	cfg, s := adapt(t, api, source, proxy)
	if err := caddy.Load(cfg, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *site) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", s.socket)
}

func (s *site) do(t *testing.T, method, path string, body io.Reader, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://site"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

// raw sends bytes and returns all that comes back; the request has to end the
// connection.
func (s *site) raw(t *testing.T, text string) string {
	t.Helper()
	conn, err := s.dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}
