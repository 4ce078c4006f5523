package transport

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/switchboard-ivr/switchboard/module/token"
)

func TestNoToken(t *testing.T) {
	api := newFlaky(2)
	url := serve(t, api.ServeHTTP)
	lack := &token.NoTokenError{Source: "crm", RetryAfter: 1500 * time.Millisecond, Cause: errors.New("refused by 10.0.0.7")}
	for name, test := range map[string]struct {
		method      string
		renews      bool // the API refuses the first token, and there is no other
		proxyStatus string
		calls       int32
	}{
		"at first":     {"POST", false, "switchboard; error=proxy_internal_response", 0},
		"HEAD":         {"HEAD", false, "switchboard; error=proxy_internal_response", 0},
		"for a replay": {"POST", true, "switchboard; error=proxy_internal_error; received-status=401", 1},
	} {
		t.Run(name, func(t *testing.T) {
			api.calls.Store(0)
			h := newSource()
			var holder tokenSource = h
			if test.renews {
				holder = &oneToken{h, lack}
			} else {
				h.fail(lack)
			}
			body := &source{Reader: strings.NewReader("x")}
			req, a := watch(request(t, test.method, url, nil))
			if test.method == "POST" {
				req.Body, req.ContentLength = body, 1
			} else {
				body.closed = 1
			}
			resp, text := do(t, newTransport(t, holder), req)
			if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "2" || resp.Header.Get("Proxy-Status") != test.proxyStatus {
				t.Errorf("status %d, %v", resp.StatusCode, resp.Header)
			}
			want := `{"error":{"message":"no token from crm","outcome":"no_token"}}`
			if resp.ContentLength != int64(len(want)) || resp.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%v", resp.Header)
			}
			if test.method == "HEAD" {
				want = ""
			}
			if text != want {
				t.Errorf("body %s", text)
			}
			if !errors.Is(a.Err, error(lack)) || a.Replayed || api.calls.Load() != test.calls || body.closed != 1 {
				t.Errorf("%+v, %d calls, body closed %d times", a, api.calls.Load(), body.closed)
			}
		})
	}
}

// oneToken has one token, and no other once that is refused.
type oneToken struct {
	*fakeSource
	then error
}

func (h *oneToken) Invalidate(generation, request uint64, reason string) {
	h.fakeSource.Invalidate(generation, request, reason)
	h.fail(h.then)
}

// When the request's time is over there is nobody to answer; reverse_proxy knows
// what to make of the context's error.
func TestOutOfTime(t *testing.T) {
	h := newSource()
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	h.slow = true
	req := httptest.NewRequestWithContext(ctx, "GET", "http://127.0.0.1:1/", nil)
	resp, err := newTransport(t, h).RoundTrip(req)
	if resp != nil || err != context.DeadlineExceeded { //nolint:errorlint // reverse_proxy doesn't unwrap
		t.Errorf("got %v, %v", resp, err)
	}
}

// A wait for a token ends with the request's time, or after a while.
func TestTokenWait(t *testing.T) {
	api := serve(t, func(http.ResponseWriter, *http.Request) {})
	h := newSource()
	h.slow = true
	tr := newTransport(t, h)
	req, a := watch(request(t, "GET", api, nil))
	do(t, tr, req)
	if left := time.Until(h.deadline); left <= 0 || left > maxWait || a.TokenWait == 0 {
		t.Errorf("%v left of %v, waited %v", left, maxWait, a.TokenWait)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	do(t, tr, request(t, "GET", api, nil).WithContext(ctx))
	if want, _ := ctx.Deadline(); h.deadline != want {
		t.Errorf("the deadline was %v, want %v", h.deadline, want)
	}
}

func TestBadBody(t *testing.T) {
	var calls atomic.Int32
	api := serve(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	h := newSource()
	h.injection = token.Injection{Where: token.InBody, Name: "tok"}
	for kind, status := range map[string]int{"text/plain": 415, "application/json": 400} {
		req, a := watch(request(t, "POST", api, strings.NewReader("13800138000")))
		req.Header.Set("Content-Type", kind)
		resp, body := do(t, newTransport(t, h), req)
		if resp.StatusCode != status || !strings.Contains(body, `"outcome":"bad_request"`) || strings.Contains(body, "138") ||
			resp.Header.Get("Proxy-Status") != "switchboard; error=http_request_error" {
			t.Errorf("%s: status %d, %v, %s", kind, resp.StatusCode, resp.Header, body)
		}
		if _, ok := errors.AsType[*RequestError](a.Err); !ok || calls.Load() != 0 {
			t.Errorf("%s: %+v, %d calls", kind, a, calls.Load())
		}
	}
	// a client that goes away gets no answer
	ctx, cancel := context.WithCancel(t.Context())
	req := request(t, "POST", api, io.MultiReader(strings.NewReader("{"), readerFunc(cancel), iotest.ErrReader(io.ErrUnexpectedEOF)))
	req.Header.Set("Content-Type", "application/json")
	if resp, err := newTransport(t, h).RoundTrip(req.WithContext(ctx)); resp != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v", resp, err)
	}
}

// reverse_proxy retries after errors of dialing, so these must arrive as such,
// and leave the body to the next try.
func TestErrorsPass(t *testing.T) {
	body := &source{Reader: strings.NewReader("x")}
	req, a := watch(request(t, "POST", "http://127.0.0.1:1/", nil))
	req.Body, req.ContentLength = body, 1
	resp, err := newTransport(t, newSource()).RoundTrip(req)
	if resp != nil || !errors.As(err, new(reverseproxy.DialError)) {
		t.Errorf("got %v, %v", resp, err)
	}
	if a.Err != nil || a.Expired || body.closed != 1 {
		t.Errorf("%+v, body closed %d times", a, body.closed)
	}
}
