package transport

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/switchboard-ivr/switchboard/internal/jq"
)

const (
	deadCode = `{"code":"40001","id":9007199254740993}` + "\n"
	fineCode = `{"code":"0"}`
)

// Which answers are looked into: the body says that the token is dead, and the
// transport notices where it may look.
func TestLook(t *testing.T) {
	zipped := compress(t, "gzip", deadCode)
	for name, test := range map[string]struct {
		method, kind, encoding string
		status                 int
		body                   string
		flush                  bool // no Content-Length
		dead                   bool
	}{
		"JSON":                     {"GET", "application/json", "", 200, deadCode, false, true},
		"JSON in pieces":           {"GET", "application/json; charset=utf-8", "", 200, deadCode, true, true},
		"JSON of a kind":           {"POST", "application/problem+json", "", 403, deadCode, true, true},
		"JSON called text":         {"GET", "text/plain", "", 200, deadCode, false, true},
		"JSON called nothing":      {"GET", "-", "", 200, deadCode, false, true},
		"text in pieces":           {"GET", "text/plain", "", 200, deadCode, true, false},
		"an image":                 {"GET", "image/png", "", 200, deadCode, false, false},
		"gzip":                     {"GET", "application/json", "gzip", 200, zipped, false, true},
		"gzip in pieces":           {"GET", "application/json", " GZIP", 200, zipped, true, true},
		"zstd":                     {"GET", "application/json", "zstd", 200, compress(t, "zstd", deadCode), false, true},
		"an unknown encoding":      {"GET", "application/json", "br", 200, deadCode, false, false},
		"two encodings":            {"GET", "application/json", "gzip, gzip", 200, zipped, false, false},
		"not gzip":                 {"GET", "application/json", "gzip", 200, deadCode, false, false},
		"a gzip bomb":              {"GET", "application/json", "gzip", 200, compress(t, "gzip", `"`+strings.Repeat("0", defaultMaxSize)), false, false},
		"HEAD":                     {"HEAD", "application/json", "", 200, "", false, false},
		"nothing":                  {"GET", "application/json", "", 204, "", false, false},
		"a part":                   {"GET", "application/json", "", 206, deadCode, false, false},
		"another code":             {"GET", "application/json", "", 200, fineCode, false, false},
		"not JSON":                 {"GET", "application/json", "", 200, deadCode + "}", false, false},
		"lines":                    {"GET", "application/x-ndjson", "", 200, deadCode, false, false},
		"events":                   {"GET", "text/event-stream", "", 200, deadCode, false, false},
		"parts":                    {"GET", "multipart/x-mixed-replace; boundary=x", "", 200, deadCode, false, false},
		"gRPC":                     {"POST", "application/grpc+json", "", 200, deadCode, false, false},
		"the predicate fails":      {"GET", "application/json", "", 200, `[]`, false, false},
		"as large as may be":       {"GET", "application/json", "", 200, deadCode + strings.Repeat(" ", defaultMaxSize-len(deadCode)), true, true},
		"too large":                {"GET", "application/json", "", 200, deadCode + strings.Repeat(" ", defaultMaxSize), false, false},
		"too large, not announced": {"GET", "application/json", "", 200, deadCode + strings.Repeat(" ", defaultMaxSize), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			api := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header()["Content-Type"] = []string{test.kind}
				if test.kind == "-" {
					w.Header()["Content-Type"] = nil
				}
				if test.encoding != "" {
					w.Header().Set("Content-Encoding", test.encoding)
				}
				if !test.flush && test.body != "" {
					w.Header().Set("Content-Length", strconv.Itoa(len(test.body)))
				}
				w.WriteHeader(test.status)
				half := len(test.body) / 2
				_, _ = io.WriteString(w, test.body[:half])
				if test.flush {
					_ = http.NewResponseController(w).Flush()
				}
				_, _ = io.WriteString(w, test.body[half:])
			})
			h := newSource()
			h.predicate(t, `.code == "40001"`)
			req, a := watch(request(t, test.method, api, nil))
			a.NoReplay = true
			req.Header.Set("Accept-Encoding", "gzip, zstd") // or net/http decodes on its own
			resp, body := do(t, newTransport(t, h), req)
			if a.Expired != test.dead || (h.renewals() == 1) != test.dead {
				t.Errorf("dead: %v, want %v", a.Expired, test.dead)
			}
			if body != test.body || resp.StatusCode != test.status {
				t.Errorf("the client gets status %d, %d bytes of %d", resp.StatusCode, len(body), len(test.body))
			}
		})
	}
}

func compress(t testing.TB, encoding, text string) string {
	t.Helper()
	var buf bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&buf)
	if encoding == "zstd" {
		var err error
		if w, err = zstd.NewWriter(&buf, zstd.WithEncoderConcurrency(1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

// A handler need not decode again what the transport has decoded.
func TestLookLeavesTheDocument(t *testing.T) {
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, compress(t, "gzip", `{"code":"0","id":9007199254740993}`))
	})
	h := newSource()
	h.predicate(t, "false")
	tr := newTransport(t, h)
	for _, accept := range []string{"", "gzip"} {
		req, a := watch(request(t, "GET", api, nil))
		if accept != "" {
			req.Header.Set("Accept-Encoding", accept)
		}
		do(t, tr, req)
		if string(a.Raw) != `{"code":"0","id":9007199254740993}` {
			t.Errorf("raw is %q", a.Raw)
		}
		text, err := jq.Encode(nil, a.Doc, jq.Limits{})
		if err != nil || string(text) != string(a.Raw) {
			t.Errorf("the document is %s, %v", text, err)
		}
	}
}

// A program sees the status, the headers, and what the handler left for it.
func TestLookVariables(t *testing.T) {
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Add("X-Reason", "token")
		w.Header().Add("X-Reason", "dead")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{}`)
	})
	for text, want := range map[string]bool{
		`$status == 403`:                                   true,
		`$headers["x-reason"] == "token, dead"`:            true,
		`$params.tel == "1" and $request.method == "POST"`: true,
		`$params == null`:                                  false,
	} {
		h := newSource()
		h.predicate(t, text)
		req, a := watch(request(t, "GET", api, nil))
		a.NoReplay = true
		a.Params, a.Request = map[string]any{"tel": "1"}, map[string]any{"method": "POST"}
		if do(t, newTransport(t, h), req); a.Expired != want {
			t.Errorf("%s: %v", text, a.Expired)
		}
	}
}

// A client that takes other encodings only doesn't blind the transport.
func TestReadable(t *testing.T) {
	for accept, want := range map[string]string{
		"gzip, deflate, br, zstd":       "gzip, zstd",
		"br;q=1.0, gzip;q=0.8, *;q=0.1": "gzip;q=0.8",
		"br":                            "identity",
		"Identity, br":                  "Identity",
		"":                              "identity",
		"x-gzip,zstd":                   "x-gzip, zstd",
	} {
		var got string
		api := serve(t, func(w http.ResponseWriter, r *http.Request) { got = r.Header.Get("Accept-Encoding") })
		h := newSource()
		h.predicate(t, "false")
		for _, where := range []string{"header", "query"} {
			h.injection.Where, h.injection.Name = where, "Token"
			req := request(t, "GET", api, nil)
			req.Header["Accept-Encoding"] = []string{accept}
			do(t, newTransport(t, h), req)
			if got != want {
				t.Errorf("%q became %q, want %q", accept, got, want)
			}
			if req.Header.Get("Accept-Encoding") != accept {
				t.Error("the request has changed")
			}
		}
	}
}

// An answer that breaks off while it is looked into is an error, so that nothing
// of it has been sent; one that isn't looked into breaks off at the client.
func TestTruncated(t *testing.T) {
	addr := rawServer(t, func(conn net.Conn, _ *http.Request) bool {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"code\":")
		return false
	})
	h := newSource()
	h.predicate(t, "true")
	req, a := watch(request(t, "GET", "http://"+addr, nil))
	resp, err := newTransport(t, h).RoundTrip(req)
	broken, ok := errors.AsType[*ReadError](err)
	if resp != nil || !ok || !errors.Is(err, io.ErrUnexpectedEOF) || broken.Timeout() || broken.Temporary() || a.Expired {
		t.Errorf("got %v, %v", resp, err)
	}
	if !strings.HasPrefix(err.Error(), "reading the answer: ") {
		t.Errorf("%v", err)
	}
}

func TestTimeoutInTheBody(t *testing.T) {
	addr := rawServer(t, func(conn net.Conn, _ *http.Request) bool {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
		return true // and wait, until the transport gives up
	})
	h := newSource()
	h.predicate(t, "true")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req := request(t, "GET", "http://"+addr, nil).WithContext(ctx)
	_, err := newTransport(t, h).RoundTrip(req)
	if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() { //nolint:errorlint // as reverse_proxy asks
		t.Errorf("got %v", err)
	}
}

// rawServer answers requests by hand, one connection at a time, until the answer
// is false.
func rawServer(t *testing.T, answer func(net.Conn, *http.Request) bool) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = ln.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			for br := bufio.NewReader(conn); ; {
				req, err := http.ReadRequest(br)
				if err != nil || !answer(conn, req) {
					break
				}
			}
			_ = conn.Close()
		}
	}()
	return ln.Addr().String()
}

// What isn't looked into passes as it comes: the first part of a stream, or of
// an answer that is too large, at once.
func TestStream(t *testing.T) {
	for name, header := range map[string]http.Header{
		"events":          {"Content-Type": {"text/event-stream"}},
		"marked as such":  {"Content-Type": {"application/json"}, "Incremental": {"?1"}},
		"known too large": {"Content-Type": {"application/json"}, "Content-Length": {strconv.Itoa(defaultMaxSize + 1)}},
	} {
		t.Run(name, func(t *testing.T) {
			received := make(chan struct{})
			api := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				maps.Copy(w.Header(), header)
				_, _ = io.WriteString(w, "[")
				_ = http.NewResponseController(w).Flush()
				<-received
				_, _ = io.WriteString(w, strings.Repeat(" ", defaultMaxSize))
			})
			h := newSource()
			h.predicate(t, "true")
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			resp, err := newTransport(t, h).RoundTrip(request(t, "GET", api, nil).WithContext(ctx))
			if err != nil {
				close(received)
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if _, err := io.ReadFull(resp.Body, make([]byte, 1)); err != nil {
				t.Error(err)
			}
			close(received)
			if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) != defaultMaxSize {
				t.Errorf("%d bytes, %v", len(rest), err)
			}
		})
	}
}
