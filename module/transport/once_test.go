package transport

import (
	"bufio"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
)

// A reused connection that breaks before an answer doesn't send a write twice, not even
// one by GET, which net/http would repeat.
func TestSentOnce(t *testing.T) {
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
						if r.ContentLength != 0 || len(r.TransferEncoding) > 0 {
							t.Errorf("a body is announced: %d %v", r.ContentLength, r.TransferEncoding)
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
			req, err := http.NewRequestWithContext(WithAttempt(t.Context(), &Attempt{Once: once}), http.MethodGet, "http://"+listener.Addr().String(), nil)
			if err != nil {
				t.Fatal(err)
			}
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
