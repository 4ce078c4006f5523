package transport_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// Whatever a client says of the token's header, the API sees our token only.
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
// travels.
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
