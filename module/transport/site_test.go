package transport_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/gorilla/websocket"
)

// An answer to a replayed request is one answer, on the wire too.
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
