package transport

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// A reused connection that breaks before an answer doesn't send a write twice, not even
// one by GET or with an Idempotency-Key, which net/http would repeat.
func TestSentOnce(t *testing.T) {
	for _, body := range []string{"", `{"a":1}`} {
		t.Run(body, func(t *testing.T) { sentOnceWith(t, body) })
	}
}

func sentOnceWith(t *testing.T, body string) {
	t.Helper()
	for once, want := range map[bool]int32{true: 2, false: 3} {
		var got atomic.Int32
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					in := bufio.NewReader(conn)
					for {
						r, err := http.ReadRequest(in)
						if err != nil {
							return
						}
						if text, _ := io.ReadAll(r.Body); string(text) != body || r.ContentLength != int64(len(body)) {
							t.Errorf("the body is %q, announced with %d bytes %v", text, r.ContentLength, r.TransferEncoding)
						}
						if got.Add(1) == 2 {
							return // the write was read, and the connection breaks
						}
						_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
					}
				}()
			}
		}()
		transport := newTransport(t, newSource())
		for range 2 {
			method, content := http.MethodGet, io.Reader(http.NoBody)
			if body != "" {
				method, content = http.MethodPost, strings.NewReader(body)
			}
			req, err := http.NewRequestWithContext(WithAttempt(t.Context(), &Attempt{Once: once}), method, "http://"+listener.Addr().String(), content)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Idempotency-Key", "k")
			resp, err := transport.RoundTrip(req)
			if err == nil {
				discard(resp)
			}
		}
		if got.Load() != want {
			t.Errorf("once %v: the API got %d requests, want %d", once, got.Load(), want)
		}
	}
}
