package transport_test

// These tests run Caddy itself, in this process, from a Caddyfile: a site on a
// Unix socket, and a reverse_proxy whose API is a server of the test.

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
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
	"github.com/gorilla/websocket"

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

// takes tells whether the API takes a token.
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

// Whatever a client says of the token's header, the API sees our token only
// (reliability X1).
func TestSmuggling(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	api := newIssuer(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		defer mu.Unlock()
		seen = nil
		for _, fields := range []http.Header{r.Header, r.Trailer} {
			for name, values := range fields {
				folded := strings.ReplaceAll(strings.ToLower(name), "_", "-")
				if folded == "authorization" || folded == "x-access-token" {
					seen = append(seen, name+": "+strings.Join(values, "|"))
				}
			}
		}
	})
	for _, inject := range []struct{ source, want, name string }{
		{"", "Authorization: Bearer " + secret(1), "Authorization"},
		{"inject header X-Access-Token", "X-Access-Token: " + secret(1), "X-Access-Token"},
	} {
		api.issued.Store(0)
		s := start(t, api, inject.source, "reverse_proxy {API} {\n transport switchboard {\n token crm\n }\n}")
		for name, fields := range map[string]string{
			"removal by Connection":    "Connection: close, Authorization, X-Access-Token\r\n",
			"removal by two lines":     "Connection: authorization\r\nConnection: x-access-token, close\r\n",
			"duplicates":               "NAME: theirs\r\nNAME: theirs too\r\nConnection: close\r\n",
			"duplicates and removal":   "NAME: theirs\r\nConnection: NAME, close\r\n",
			"underscores":              "X_Access_Token: theirs\r\nAUTHORIZATION: theirs\r\nX-ACCESS_TOKEN: theirs\r\nConnection: close\r\n",
			"lower case":               "x-access-token: theirs\r\nauthorization: theirs\r\nConnection: close\r\n",
			"an upgrade":               "Upgrade: websocket\r\nConnection: Upgrade, close, NAME\r\n",
			"TE":                       "TE: trailers, NAME\r\nConnection: TE, close\r\n",
			"Proxy-Connection":         "Proxy-Connection: NAME\r\nKeep-Alive: NAME\r\nConnection: close\r\n",
			"a trailer":                "Transfer-Encoding: chunked\r\nTrailer: NAME\r\nConnection: close\r\n\r\n1\r\nx\r\n0\r\nNAME: theirs\r\n",
			"a trailer, not announced": "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\nx\r\n0\r\nNAME: theirs\r\n",
		} {
			other := "X-Access-Token: "
			if inject.name == "X-Access-Token" {
				other = "Authorization: "
			}
			answer := s.raw(t, "POST / HTTP/1.1\r\nHost: site\r\n"+strings.ReplaceAll(fields, "NAME", inject.name)+"\r\n")
			mu.Lock()
			ours := 0
			for _, line := range seen {
				if line == inject.want {
					ours++
				} else if !strings.HasPrefix(line, other) { // another header of the client's is its own
					t.Errorf("%s: the API saw %q", name, line)
				}
			}
			if ours != 1 || !strings.HasPrefix(answer, "HTTP/1.1 200 ") {
				t.Errorf("%s: the API saw %q, the client %.60q", name, seen, answer)
			}
			seen = nil
			mu.Unlock()
		}
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// No log line, error route or answer shows the token, in whatever place it
// travels (reliability X2).
func TestNothingShowsTheToken(t *testing.T) {
	for _, inject := range []string{"", "inject header X-Access-Token", "inject query access_token", "inject body access_token"} {
		t.Run(inject, func(t *testing.T) {
			var api *issuer
			var calls atomic.Int32
			api = newIssuer(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if !strings.Contains(fmt.Sprint(r.Header, r.URL, string(body)), "s3cret") {
					t.Errorf("no token in %v %s %s", r.Header, r.URL, body)
				}
				calls.Add(1)
				switch r.URL.Path {
				case "/refuse":
					w.WriteHeader(http.StatusUnauthorized)
				case "/redirect":
					w.Header().Set("Location", "/redirect/?"+r.URL.RawQuery)
					w.WriteHeader(http.StatusMovedPermanently)
				case "/break":
					panic(http.ErrAbortHandler)
				}
			})
			s := start(t, api, inject, "reverse_proxy {API} {\n rewrite {uri}\n transport switchboard {\n token crm\n }\n}")
			for _, path := range []string{"/ok?a=1", "/redirect?a=1", "/break?a=1", "/refuse"} {
				resp, text := s.do(t, "POST", path, strings.NewReader(`{}`), "Content-Type", "application/json")
				if shown := fmt.Sprint(resp.Header, text); strings.Contains(shown, "s3cret") {
					t.Errorf("%s: the client gets %s", path, shown)
				}
				if path == "/break?a=1" && !strings.HasPrefix(text, "502 ") {
					t.Errorf("the error route did not run: status %d %q", resp.StatusCode, text)
				}
			}
			if calls.Load() != 5 { // one of them a replay
				t.Errorf("%d calls", calls.Load())
			}
			if err := caddy.Stop(); err != nil {
				t.Fatal(err)
			}
			log, err := os.ReadFile(s.log)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range []string{"upstream roundtrip", "replaying with a new token"} {
				if !strings.Contains(string(log), line) {
					t.Errorf("the log lacks %q, so it proves nothing", line)
				}
			}
			for line := range strings.Lines(string(log)) {
				if strings.Contains(line, "s3cret") {
					t.Errorf("logged: %s", line)
				}
			}
		})
	}
}

// An answer to a replayed request is one answer, on the wire too (reliability
// T12).
func TestReplayOnTheWire(t *testing.T) {
	var api *issuer
	var calls atomic.Int32
	api = newIssuer(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		calls.Add(1)
		if !api.takes(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) {
			w.Header().Set("Set-Cookie", "first=1")
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, "the first answer")
			return
		}
		_, _ = fmt.Fprintf(w, "%s %d", r.Method, len(body))
	})
	for name, test := range map[string]struct {
		body    int
		chunked bool
		want    string
		calls   int32
	}{
		"a body":          {4 << 10, false, "POST 4096", 2},
		"a chunked body":  {4 << 10, true, "POST 4096", 2},
		"a large body":    {2 << 20, false, "the first answer", 1},
		"large, chunked":  {2 << 20, true, "the first answer", 1},
		"an empty body":   {0, false, "POST 0", 2},
		"a body of 1 MiB": {1 << 20, false, "POST 1048576", 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, api, "", "reverse_proxy {API} {\n transport switchboard {\n token crm\n }\n}")
			s.do(t, "GET", "/", nil)
			calls.Store(0)
			api.minimum.Store(api.issued.Load() + 1)
			frame, body := fmt.Sprintf("Content-Length: %d", test.body), strings.Repeat("x", test.body)
			if test.chunked {
				frame, body = "Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", test.body, body)
			}
			answer := s.raw(t, "POST / HTTP/1.1\r\nHost: site\r\nConnection: close\r\n"+frame+"\r\n\r\n"+body)
			header, text, _ := strings.Cut(answer, "\r\n\r\n")
			if text != test.want || calls.Load() != test.calls {
				t.Errorf("got %q after %d calls", text, calls.Load())
			}
			for field, want := range map[string]int{"Content-Length": 1, "Via": 1, "Date": 1, "Set-Cookie": 0, "Www-Authenticate": 0} {
				if test.calls == 1 {
					want = 1 // the first answer stands, whole
				}
				if n := strings.Count(header, "\r\n"+field+": "); n != want {
					t.Errorf("%d times %s in %q", n, field, header)
				}
			}
			// a request that wasn't repeated has told of the dead token
			if resp, text := s.do(t, "GET", "/", nil); resp.StatusCode != http.StatusOK || text != "GET 0" {
				t.Errorf("then status %d, %q", resp.StatusCode, text)
			}
			if err := caddy.Stop(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Without a token there is an answer that says so, and no call.
func TestNoTokenAtTheSite(t *testing.T) {
	var calls atomic.Int32
	api := newIssuer(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	api.refuses.Store(true)
	s := start(t, api, "retry_refused 90s", "reverse_proxy {API} {\n transport switchboard {\n token crm\n }\n}")
	resp, text := s.do(t, "POST", "/", strings.NewReader("x"))
	if resp.StatusCode != http.StatusServiceUnavailable || text != `{"error":{"message":"no token from crm","outcome":"no_token"}}` {
		t.Errorf("status %d, %s", resp.StatusCode, text)
	}
	if resp.Header.Get("Retry-After") == "" || resp.Header.Get("Proxy-Status") != "switchboard; error=proxy_internal_response" {
		t.Errorf("%v", resp.Header)
	}
	if calls.Load() != 0 {
		t.Errorf("the API was called %d times", calls.Load())
	}
}

// Streams pass as they come, with the token, beside a body predicate.
func TestStreamsAtTheSite(t *testing.T) {
	goOn := make(chan struct{})
	api := newIssuer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+secret(1) {
			t.Errorf("the API got %v", r.Header)
		}
		if r.URL.Path == "/socket" {
			upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
			conn, err := upgrader.Upgrade(w, r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			for {
				kind, text, err := conn.ReadMessage()
				if err != nil || conn.WriteMessage(kind, text) != nil {
					return
				}
			}
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		<-goOn
		_, _ = io.WriteString(w, "data: 2\n\n")
	})
	s := start(t, api, "token_expired 401 `.code == 40001`", "reverse_proxy {API} {\n transport switchboard {\n token crm\n }\n}")

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://site/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	if line, err := lines.ReadString('\n'); err != nil || line != "data: 1\n" {
		t.Errorf("%q, %v", line, err)
	}
	close(goOn)
	if rest, err := io.ReadAll(lines); err != nil || string(rest) != "\ndata: 2\n\n" {
		t.Errorf("%q, %v", rest, err)
	}

	dialer := websocket.Dialer{NetDialContext: s.dial}
	conn, _, err := dialer.DialContext(t.Context(), "ws://site/socket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, text := range []string{"one", "two"} {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := conn.ReadMessage(); err != nil || string(got) != text {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// An answer that breaks off while it is looked into becomes a 502; the client
// gets no half of it.
func TestTruncatedAtTheSite(t *testing.T) {
	api := newIssuer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, `{"code":`)
	})
	s := start(t, api, "token_expired `.code == 40001`", "reverse_proxy {API} {\n transport switchboard {\n token crm\n }\n}")
	if resp, text := s.do(t, "GET", "/", nil); resp.StatusCode != http.StatusBadGateway || strings.Contains(text, "code\":") {
		t.Errorf("status %d, %s", resp.StatusCode, text)
	}
}

// The transport's own rule replaces that of the source, and sees headers. The
// whole of an answer arrives as it was.
func TestOwnRuleAtTheSite(t *testing.T) {
	var api *issuer
	api = newIssuer(t, func(w http.ResponseWriter, r *http.Request) {
		if !api.takes(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("X-Reason", "stale")
			_, _ = io.WriteString(w, `{"code":42}`)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{\"id\": 9007199254740993 }\n")
	})
	s := start(t, api, "token_expired 401", "reverse_proxy {API} {\n transport switchboard {\n token crm\n"+
		"token_expired `.code == 42 and $headers[\"x-reason\"] == \"stale\" and $status == 200`\n }\n}")
	api.minimum.Store(2)
	if resp, text := s.do(t, "GET", "/", nil); resp.StatusCode != http.StatusOK || text != "{\"id\": 9007199254740993 }\n" || api.issued.Load() != 2 {
		t.Errorf("status %d, %q, %d tokens", resp.StatusCode, text, api.issued.Load())
	}
}

// A token source that doesn't exist stops the load, and the error says which do.
func TestUnknownSource(t *testing.T) {
	api := newIssuer(t, func(http.ResponseWriter, *http.Request) {})
	cfg, _ := adapt(t, api, "", "reverse_proxy {API} {\n transport switchboard {\n token erp\n }\n}")
	err := caddy.Load(cfg, true)
	if err == nil {
		_ = caddy.Stop()
	}
	if err == nil || !strings.Contains(err.Error(), "token erp is not defined; defined are: crm") {
		t.Errorf("got %v", err)
	}
}
