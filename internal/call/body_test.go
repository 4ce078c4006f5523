package call_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/switchboard-ivr/switchboard/internal/call"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers with the status of ReadInput's refusal, as a handler does that
// has little time for the body.
func serve(t *testing.T, budget time.Duration) (addr string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), budget)
		defer cancel()
		stop := call.AbortReads(ctx, w)
		in, err := call.ReadInput(r.WithContext(ctx), call.Limits{})
		stop()
		if bad, ok := errors.AsType[*call.InputError](err); ok {
			http.Error(w, bad.Message, bad.Status)
			return
		}
		fmt.Fprint(w, in.Params)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// send writes half of a request by hand.
func send(t *testing.T, addr, raw string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	return c
}

const head = "POST /?a=1 HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"

func response(t *testing.T, c net.Conn) (int, string) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(b))
}

func TestBodyThatStalls(t *testing.T) {
	addr := serve(t, 50*time.Millisecond)
	for name, raw := range map[string]string{
		"with a length": head + "Content-Length: 10\r\n\r\n{",
		"chunked":       head + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			status, message := response(t, send(t, addr, raw))
			if status != 408 || message != "body: took too long to arrive" {
				t.Errorf("got %d %s", status, message)
			}
		})
	}
}

func TestBodyThatEndsEarly(t *testing.T) {
	addr := serve(t, time.Minute)
	for name, raw := range map[string]string{
		"with a length": head + "Content-Length: 10\r\n\r\n{",
		"chunked":       head + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := send(t, addr, raw)
			if err := c.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			status, message := response(t, c)
			if status != 400 || message != "body: ended early" {
				t.Errorf("got %d %s", status, message)
			}
		})
	}
}

// TestConnectionIsKept: looking after the deadline leaves nothing behind on a
// connection that is used again.
func TestConnectionIsKept(t *testing.T) {
	addr := serve(t, time.Minute)
	c := send(t, addr, head+"Content-Length: 7\r\n\r\n{\"b\":2}"+head+"Transfer-Encoding: chunked\r\n\r\n7\r\n{\"c\":3}\r\n0\r\n\r\n")
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	r := bufio.NewReader(c)
	for _, want := range []string{"map[a:1 b:2]", "map[a:1 c:3]"} {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if string(b) != want {
			t.Errorf("got %s, want %s", b, want)
		}
	}
}

// TestContextThatHasEnded: nothing is read any more.
func TestContextThatHasEnded(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), -1)
	defer cancel()
	wantRefused(t, request("POST", "", formType, "a=1").WithContext(ctx), call.Limits{}, 408, "body: took too long to arrive")

	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	wantRefused(t, request("POST", "", formType, "a=1").WithContext(ctx), call.Limits{}, 400, "body: ended early")
}
