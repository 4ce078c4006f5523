package source

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-ivr/switchboard/module/token"
)

const goodAnswer = `{"code":"000000","data":{"access_token":"a"}}`

// live gives the endpoint of a source that calls url as in production.
func live(t *testing.T, url, more string) *Endpoint {
	t.Helper()
	s := provision(t, "credential app_key ak\ncredential app_secret canary\nobtain "+url+" {\nquery `{secret: $app_secret}`\n}\n"+more)
	t.Cleanup(func() {
		if rt, ok := s.roundTripper.(*http.Transport); ok {
			rt.CloseIdleConnections()
		}
	})
	return s.Endpoint()
}

func failureOf(t *testing.T, err error) *token.Failure {
	t.Helper()
	failure, ok := errors.AsType[*token.Failure](err)
	if !ok {
		t.Fatalf("no failure: %v", err)
	}
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("the secret shows: %v", err)
	}
	return failure
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var hits atomic.Int32
	second := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer second.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, second.URL, status)
		}))
		_, err := live(t, first.URL, "").Obtain(t.Context(), token.Params{})
		if failure := failureOf(t, err); failure.Kind != token.Refused || failure.Status != status || !strings.Contains(failure.Reason, "redirect") {
			t.Errorf("%d: %v", status, failure)
		}
		first.Close()
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("the second host saw %d requests", n)
	}
}

func TestEachCallHasItsConnection(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, goodAnswer)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	e := live(t, server.URL, "")
	for range 3 {
		if _, err := e.Obtain(t.Context(), token.Params{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections.Load(); n != 3 {
		t.Errorf("3 calls over %d connections", n)
	}
}

func TestBodies(t *testing.T) {
	zip := func(s string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = io.WriteString(w, s)
		_ = w.Close()
		return b.String()
	}
	padded := func(n int) string { return strings.Repeat(" ", n-len(goodAnswer)) + goodAnswer }
	for name, test := range map[string]struct {
		encoding, body string
		want           string // of the reason; "" for a grant
	}{
		"plain":                  {"", goodAnswer, ""},
		"of the limit":           {"", padded(maxAnswer), ""},
		"over the limit":         {"", padded(maxAnswer + 1), "larger than 64 KiB"},
		"identity":               {"identity", goodAnswer, ""},
		"gzip though not asked":  {"gzip", zip(goodAnswer), ""},
		"gzip, spelled":          {"X-GZIP", zip(goodAnswer), ""},
		"gzip of the limit":      {"gzip", zip(padded(maxAnswer)), ""},
		"gzip over the limit":    {"gzip", zip(padded(maxAnswer + 1)), "larger than 64 KiB"},
		"a gzip bomb":            {"gzip", zip(strings.Repeat("0", 4<<20)), "larger than 64 KiB"},
		"half a gzip":            {"gzip", zip(goodAnswer)[:20], "cut off"},
		"no gzip":                {"gzip", goodAnswer, "to be gzip and is not"},
		"another encoding":       {"br", goodAnswer, "not asked for"},
		"two encodings":          {"gzip, gzip", goodAnswer, "not asked for"},
		"gzip, broken in itself": {"gzip", zip(goodAnswer)[:10] + "xxxxxxxxxxxxxx", "cut off"},
	} {
		t.Run(name, func(t *testing.T) {
			e := endpointOf(t, signedSource, trip(func(req *http.Request) (*http.Response, error) {
				resp, err := says(200, test.body)(req)
				resp.Header.Set("Content-Encoding", test.encoding)
				return resp, err
			}))
			grant, err := e.Obtain(t.Context(), token.Params{})
			if test.want == "" {
				if err != nil || grant.Access != "a" {
					t.Fatalf("got %+v, %v", grant, err)
				}
				return
			}
			if failure := failureOf(t, err); failure.Kind != token.Ambiguous || failure.Status != 200 || !strings.Contains(failure.Reason, test.want) {
				t.Errorf("got %v", failure)
			}
		})
	}
}

func TestBrokenConnections(t *testing.T) {
	hijack := func(write string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, write)
				_ = conn.Close()
			}
		})
	}
	for name, test := range map[string]struct {
		write, want string
		status      int
	}{
		"no answer":        {"", "closed before an answer", 0},
		"a truncated body": {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"code\":", "cut off", 200},
		"no HTTP":          {"canary says no\r\n\r\n", "not HTTP", 0},
		"a huge header":    {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("canary", 20000) + "\r\n\r\n", "header is too large", 0},
		"a broken header":  {"HTTP/1.1 200 OK\r\nX canary\r\n\r\n", "not HTTP", 0},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(hijack(test.write))
			defer server.Close()
			_, err := live(t, server.URL, "").Obtain(t.Context(), token.Params{})
			if failure := failureOf(t, err); failure.Kind != token.Ambiguous || failure.Status != test.status || !strings.Contains(failure.Reason, test.want) {
				t.Errorf("got %v", failure)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		server := httptest.NewServer(nil)
		server.Close()
		_, err := live(t, server.URL, "").Obtain(t.Context(), token.Params{})
		if failure := failureOf(t, err); failure.Kind != token.Ambiguous || !strings.Contains(failure.Reason, "can't connect: ") {
			t.Errorf("got %v", failure)
		}
		_, err = live(t, server.URL, "transport http").Obtain(t.Context(), token.Params{})
		if failure := failureOf(t, err); failure.Kind != token.Ambiguous || !strings.Contains(failure.Reason, "can't connect: connection refused") {
			t.Errorf("through Caddy's transport: got %v", failure)
		}
	})
	t.Run("no such host", func(t *testing.T) {
		e := endpointOf(t, signedSource, trip(func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "canary"}}
		}))
		_, err := e.Obtain(t.Context(), token.Params{})
		if failure := failureOf(t, err); failure.Kind != token.Ambiguous || !strings.Contains(failure.Reason, "name can't be resolved") {
			t.Errorf("got %v", failure)
		}
	})
}

func TestTimeout(t *testing.T) {
	hang := trip(func(req *http.Request) (*http.Response, error) {
		<-req.Context().Done()
		return nil, req.Context().Err()
	})
	halfway := trip(func(req *http.Request) (*http.Response, error) {
		resp, err := says(200, "")(req)
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"code"`), hanging{req.Context()}))
		return resp, err
	})
	for name, test := range map[string]struct {
		rt   http.RoundTripper
		more string
		want time.Duration
	}{
		"default":     {hang, "", 10 * time.Second},
		"as written":  {hang, "timeout 3s", 3 * time.Second},
		"half a body": {halfway, "timeout 3s", 3 * time.Second},
		"its own":     {trip(func(*http.Request) (*http.Response, error) { return nil, os.ErrDeadlineExceeded }), "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := endpointOf(t, signedSource+"\n"+test.more, test.rt)
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), e.source.Policy().Timeout) // as the keeper does
				defer cancel()
				_, err := e.Obtain(ctx, token.Params{})
				if failure := failureOf(t, err); failure.Kind != token.Ambiguous || !strings.Contains(failure.Reason, "in time") {
					t.Errorf("got %v", failure)
				}
				if took := time.Since(start); took != test.want {
					t.Errorf("took %s, want %s", took, test.want)
				}
			})
		})
	}
	t.Run("given up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		e := endpointOf(t, signedSource, trip(func(req *http.Request) (*http.Response, error) {
			cancel()
			return hang(req)
		}))
		_, err := e.Obtain(ctx, token.Params{})
		if failure := failureOf(t, err); failure.Kind != token.Ambiguous || !strings.Contains(failure.Reason, "canceled") {
			t.Errorf("got %v", failure)
		}
		_, err = e.Obtain(ctx, token.Params{})
		if failure := failureOf(t, err); failure.Kind != token.Invalid || !strings.Contains(failure.Reason, "canceled; nothing was sent") {
			t.Errorf("before it was sent: got %v", failure)
		}
	})
}

// hanging is a body that never ends.
type hanging struct{ ctx context.Context }

func (h hanging) Read([]byte) (int, error) {
	<-h.ctx.Done()
	return 0, h.ctx.Err()
}

func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, goodAnswer)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()

	t.Run("an unknown authority", func(t *testing.T) {
		_, err := live(t, server.URL, "").Obtain(t.Context(), token.Params{})
		if failure := failureOf(t, err); failure.Kind != token.Ambiguous || !strings.Contains(failure.Reason, "certificate is not trusted") {
			t.Errorf("got %v", failure)
		}
	})
	t.Run("a private authority", func(t *testing.T) {
		ca := filepath.Join(t.TempDir(), "ca.pem")
		block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		if err := os.WriteFile(ca, block, 0o600); err != nil {
			t.Fatal(err)
		}
		transport := "transport http {\ntls_trust_pool file " + ca + "\ntls_server_name {env.TEST_SERVER_NAME}\n}"
		t.Setenv("TEST_SERVER_NAME", "example.com")
		grant, err := live(t, server.URL, transport).Obtain(t.Context(), token.Params{})
		if err != nil || grant.Access != "a" {
			t.Errorf("got %+v, %v", grant, err)
		}
	})
}
