package transport

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// flaky is an API that knows only tokens from a generation on. It refuses
// others as asked, and echoes the body to those who are known.
type flaky struct {
	from   atomic.Uint64
	refuse http.HandlerFunc
	calls  atomic.Int32
}

func newFlaky(from uint64) *flaky {
	api := &flaky{refuse: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "try=1")
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, "the first answer")
	}}
	api.from.Store(from)
	return api
}

func (api *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	api.calls.Add(1)
	body, _ := io.ReadAll(r.Body)
	for g := api.from.Load(); g < api.from.Load()+3; g++ {
		if r.Header.Get("Authorization") == bearer(g) {
			w.Header().Set("Content-Type", "application/octet-stream")
			_, _ = w.Write(body)
			return
		}
	}
	api.refuse(w, r)
}

func TestReplay(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", maxReplay/16)
	for name, test := range map[string]struct {
		method, body string
		chunked      bool
		again        bool
	}{
		"GET":             {"GET", "", false, true},
		"POST":            {"POST", "a=1", false, true},
		"POST, chunked":   {"POST", large[:100_000], true, true},
		"as large as may": {"PUT", large, false, true},
		"larger":          {"PUT", large + "x", false, false},
		"larger, chunked": {"PUT", large + "x", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			api, h := newFlaky(2), newSource()
			var body io.Reader = http.NoBody
			if test.body != "" {
				body = strings.NewReader(test.body)
			}
			if test.chunked {
				body = struct{ io.Reader }{body}
			}
			req, a := watch(request(t, test.method, serve(t, api.ServeHTTP), body))
			resp, got := do(t, newTransport(t, h), req)
			if h.renewals() != 1 {
				t.Errorf("%d renewals", h.renewals())
			}
			if !test.again {
				if resp.StatusCode != http.StatusUnauthorized || got != "the first answer" || a.Replayed || !a.Expired || api.calls.Load() != 1 {
					t.Errorf("status %d, %d calls, %+v", resp.StatusCode, api.calls.Load(), a)
				}
				return
			}
			if resp.StatusCode != http.StatusOK || got != test.body || api.calls.Load() != 2 {
				t.Errorf("status %d, %d bytes, %d calls", resp.StatusCode, len(got), api.calls.Load())
			}
			if resp.Header.Get("Set-Cookie")+resp.Header.Get("WWW-Authenticate") != "" {
				t.Errorf("the first answer shows: %v", resp.Header)
			}
			if !a.Replayed || a.Expired || a.Used.Generation != 2 || a.Upstream == 0 {
				t.Errorf("%+v", a)
			}
		})
	}
}

// A handler that holds the body in memory needs no recording, whatever its size.
func TestReplayByGetBody(t *testing.T) {
	api, h := newFlaky(2), newSource()
	body := strings.Repeat("x", maxReplay+1)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, serve(t, api.ServeHTTP), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if resp, got := do(t, newTransport(t, h), req); resp.StatusCode != http.StatusOK || got != body {
		t.Errorf("status %d, %d bytes", resp.StatusCode, len(got))
	}
}

// The first answer is read to its end, so the second try needs no new connection.
func TestReplayKeepsTheConnection(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(newFlaky(2))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	do(t, newTransport(t, newSource()), request(t, "GET", server.URL, nil))
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// An API may refuse by the headers alone, while the client still sends.
func TestReplayOfAnUpload(t *testing.T) {
	api := newFlaky(2)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == bearer(1) {
			api.calls.Add(1)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		api.ServeHTTP(w, r)
	})
	pr, pw := io.Pipe()
	go func() {
		for range 200 {
			if _, err := pw.Write(make([]byte, 1000)); err != nil {
				return
			}
		}
		_ = pw.Close()
	}()
	req := request(t, "POST", url, pr)
	resp, got := do(t, newTransport(t, newSource()), req)
	if resp.StatusCode != http.StatusOK || len(got) != 200_000 || api.calls.Load() != 2 {
		t.Errorf("status %d, %d bytes, %d calls", resp.StatusCode, len(got), api.calls.Load())
	}
}

// There is no third try, whatever the second answer says.
func TestNoThirdTry(t *testing.T) {
	api, h := newFlaky(99), newSource()
	req, a := watch(request(t, "GET", serve(t, api.ServeHTTP), nil))
	resp, body := do(t, newTransport(t, h), req)
	if resp.StatusCode != http.StatusUnauthorized || body != "the first answer" || api.calls.Load() != 2 || !a.Expired || !a.Replayed {
		t.Errorf("status %d, %d calls, %+v", resp.StatusCode, api.calls.Load(), a)
	}
	if h.renewals() != 2 {
		t.Errorf("%d generations refused", h.renewals())
	}
}

// A second request of one attempt, as reverse_proxy makes after an error, begins
// with the new token.
func TestRetryAfterReplay(t *testing.T) {
	api, h := newFlaky(2), newSource()
	req, a := watch(request(t, "GET", serve(t, api.ServeHTTP), nil))
	a.Token = &token.Token{Access: tokenNumber(1), Generation: 1}
	tr := newTransport(t, h)
	do(t, tr, req)
	if resp, _ := do(t, tr, req); resp.StatusCode != http.StatusOK || api.calls.Load() != 3 {
		t.Errorf("status %d, %d calls", resp.StatusCode, api.calls.Load())
	}
}

// 100 requests that notice at once cost one renewal and 100 replays.
func TestParallel(t *testing.T) {
	for name, refuse := range map[string]http.HandlerFunc{
		"by status": newFlaky(0).refuse,
		"by code": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json;charset=UTF-8")
			_, _ = io.WriteString(w, `{"code":"40001"}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			api, h := newFlaky(2), newSource()
			h.predicate(t, `.code == "40001"`)
			var all sync.WaitGroup
			all.Add(100)
			api.refuse = func(w http.ResponseWriter, r *http.Request) {
				all.Done()
				all.Wait() // so that all carry the dead token
				refuse(w, r)
			}
			tr, url := newTransport(t, h), serve(t, api.ServeHTTP)
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					req, a := watch(request(t, "POST", url, strings.NewReader("order")))
					if resp, body := do(t, tr, req); resp.StatusCode != http.StatusOK || body != "order" || !a.Replayed {
						t.Errorf("status %d, %q, %+v", resp.StatusCode, body, a)
					}
				})
			}
			wg.Wait()
			if h.renewals() != 1 || api.calls.Load() != 200 {
				t.Errorf("%d renewals, %d calls", h.renewals(), api.calls.Load())
			}
		})
	}
}

// A static token can't be renewed: the API's own answer says most.
func TestSameTokenAgain(t *testing.T) {
	api, h := newFlaky(2), newSource()
	h.static = true
	req, a := watch(request(t, "POST", serve(t, api.ServeHTTP), strings.NewReader("x")))
	resp, body := do(t, newTransport(t, h), req)
	if resp.StatusCode != http.StatusUnauthorized || body != "the first answer" || api.calls.Load() != 1 || a.Replayed || !a.Expired {
		t.Errorf("status %d %q, %d calls, %+v", resp.StatusCode, body, api.calls.Load(), a)
	}
}

// What net/http would repeat on a new connection, because the API has closed an
// idle one and the client calls its request repeatable, it can: the recorded body
// is there for it too.
func TestIdleConnectionCloses(t *testing.T) {
	seen := make(chan string, 3)
	addr := rawServer(t, func(conn net.Conn, r *http.Request) bool {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		seen <- string(body)
		if len(seen) == 2 {
			return false // closes
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		return true
	})
	tr := newTransport(t, newSource())
	for _, order := range []string{"one", "two"} {
		req := request(t, "POST", "http://"+addr, strings.NewReader(order))
		req.Header.Set("Idempotency-Key", order)
		if resp, body := do(t, tr, req); resp.StatusCode != http.StatusOK || body != "ok" {
			t.Fatalf("status %d, %q", resp.StatusCode, body)
		}
	}
	tr.Transport.CloseIdleConnections()
	for _, want := range []string{"one", "two", "two"} {
		if got := <-seen; got != want {
			t.Errorf("the API got %q, want %q", got, want)
		}
	}
}

// What is logged of a replay names neither token.
func TestReplayLog(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	tr := newTransport(t, newSource())
	tr.logger = zap.New(core)
	do(t, tr, request(t, "GET", serve(t, newFlaky(2).ServeHTTP), nil))
	entries := logs.All()
	if len(entries) != 1 {
		t.Fatalf("%d entries", len(entries))
	}
	fields := entries[0].ContextMap()
	if fields["token"] != "crm" || fields["status"] != int64(401) || fields["was"] == fields["now"] {
		t.Errorf("%v", fields)
	}
	for name, value := range fields {
		if text, ok := value.(string); ok && strings.Contains(text, "s3cret") {
			t.Errorf("%s holds the token", name)
		}
	}
}
