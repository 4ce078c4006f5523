package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// bearer gives the generation's Authorization header.
func bearer(generation uint64) string { return "Bearer " + tokenNumber(generation) }

// A request arrives with our token in place of the client's, and is itself not
// changed: reverse_proxy logs it.
func TestInject(t *testing.T) {
	for name, test := range map[string]struct {
		injection token.Injection
		check     func(r *http.Request, body string) bool
	}{
		"header": {
			token.Injection{Where: token.InHeader, Name: "X-Access-Token", Suffix: ";v=1"},
			func(r *http.Request, body string) bool {
				return len(r.Header.Values("X-Access-Token")) == 1 && r.Header.Get("X-Access-Token") == "s3cret-1;v=1" &&
					r.URL.RawQuery == "a=%7e&access_token=theirs" && body == `{"access_token":"theirs"}`
			},
		},
		"query": {
			token.Injection{Where: token.InQuery, Name: "access_token"},
			func(r *http.Request, body string) bool {
				return r.URL.RawQuery == "a=%7e&access_token=s3cret-1" && r.Header.Get("X-Access-Token") == "theirs" &&
					body == `{"access_token":"theirs"}`
			},
		},
		"body": {
			token.Injection{Where: token.InBody, Name: "access_token"},
			func(r *http.Request, body string) bool {
				return body == `{"access_token":"s3cret-1"}` && r.ContentLength == int64(len(body)) &&
					r.Header.Get("Content-Md5") == "" && r.URL.RawQuery == "a=%7e&access_token=theirs"
			},
		},
		"none": {
			token.Injection{Where: token.InNone},
			func(r *http.Request, body string) bool {
				return r.Header.Get("X-Access-Token") == "theirs" && r.URL.RawQuery == "a=%7e&access_token=theirs" &&
					body == `{"access_token":"theirs"}`
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			api := serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil || !test.check(r, string(body)) {
					t.Errorf("the API got %s %v %q, %v", r.URL, r.Header, body, err)
				}
				w.Header().Set("Location", "/next?"+r.URL.RawQuery)
				w.WriteHeader(http.StatusFound)
			})
			h := newHolder()
			h.injection = test.injection
			req := request(t, "POST", api+"/?a=%7e&access_token=theirs", strings.NewReader(`{"access_token":"theirs"}`))
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Content-MD5", "AAAA")
			req.Header["X-Access-Token"] = []string{"theirs"}
			before := req.Clone(t.Context())
			resp, _ := do(t, newTransport(t, h), req)
			if resp.Request != req {
				t.Error("the answer leads to a request with the token in it")
			}
			if strings.Contains(resp.Header.Get("Location"), "s3cret") {
				t.Errorf("the client gets Location: %s", resp.Header.Get("Location"))
			}
			if req.URL.String() != before.URL.String() || len(req.Header) != len(before.Header) || req.Header.Get("X-Access-Token") != "theirs" {
				t.Errorf("the request has become %s %v", req.URL, req.Header)
			}
		})
	}
}

// Without anything to inject there is nothing to wait for.
func TestNothingToInject(t *testing.T) {
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "theirs" {
			t.Errorf("the API got %q", got)
		}
		w.WriteHeader(http.StatusUnauthorized)
	})
	bare := newHolder()
	bare.bare = true
	bare.fail(errors.New("must not be asked"))
	none := newHolder()
	none.injection = token.Injection{Where: token.InNone}
	none.fail(errors.New("must not be asked"))
	for name, h := range map[string]*fakeHolder{"credentials only": bare, "inject none": none} {
		t.Run(name, func(t *testing.T) {
			req, a := watch(request(t, "POST", api, strings.NewReader("x")))
			req.Header.Set("Authorization", "theirs")
			resp, _ := do(t, newTransport(t, h), req)
			if resp.StatusCode != http.StatusUnauthorized || a.Expired || a.Upstream == 0 || h.renewals() != 0 {
				t.Errorf("status %d, %+v", resp.StatusCode, a)
			}
		})
	}
}

// Where a handler's own programs have used the token, the transport only tells
// that it is dead.
func TestDeadTokenOfAHandler(t *testing.T) {
	var calls atomic.Int32
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, "dead")
	})
	none := newHolder()
	none.injection = token.Injection{Where: token.InNone}
	for name, test := range map[string]struct {
		h *fakeHolder
		a Attempt
	}{
		"inject none": {none, Attempt{Token: &token.Token{Access: "x", Generation: 1}}},
		"no replay":   {newHolder(), Attempt{NoReplay: true}},
		"replayed":    {newHolder(), Attempt{Replayed: true}},
	} {
		t.Run(name, func(t *testing.T) {
			calls.Store(0)
			a := &test.a
			req := request(t, "POST", api, strings.NewReader("x"))
			resp, body := do(t, newTransport(t, test.h), req.WithContext(WithAttempt(req.Context(), a)))
			if resp.StatusCode != http.StatusUnauthorized || body != "dead" || !a.Expired || calls.Load() != 1 || test.h.renewals() != 1 {
				t.Errorf("status %d %q, %d calls, %+v", resp.StatusCode, body, calls.Load(), a)
			}
		})
	}
}

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
			api, h := newFlaky(2), newHolder()
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
	api, h := newFlaky(2), newHolder()
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
	do(t, newTransport(t, newHolder()), request(t, "GET", server.URL, nil))
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
	resp, got := do(t, newTransport(t, newHolder()), req)
	if resp.StatusCode != http.StatusOK || len(got) != 200_000 || api.calls.Load() != 2 {
		t.Errorf("status %d, %d bytes, %d calls", resp.StatusCode, len(got), api.calls.Load())
	}
}

// There is no third try, whatever the second answer says.
func TestNoThirdTry(t *testing.T) {
	api, h := newFlaky(99), newHolder()
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
	api, h := newFlaky(2), newHolder()
	req, a := watch(request(t, "GET", serve(t, api.ServeHTTP), nil))
	a.Token = &token.Token{Access: tokenNumber(1), Generation: 1}
	tr := newTransport(t, h)
	do(t, tr, req)
	if resp, _ := do(t, tr, req); resp.StatusCode != http.StatusOK || api.calls.Load() != 3 {
		t.Errorf("status %d, %d calls", resp.StatusCode, api.calls.Load())
	}
}

// 100 requests that notice at once cost one renewal and 100 replays
// (reliability T11).
func TestParallel(t *testing.T) {
	for name, refuse := range map[string]http.HandlerFunc{
		"by status": newFlaky(0).refuse,
		"by code": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json;charset=UTF-8")
			_, _ = io.WriteString(w, `{"code":"40001"}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			api, h := newFlaky(2), newHolder()
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
	api, h := newFlaky(2), newHolder()
	h.static = true
	req, a := watch(request(t, "POST", serve(t, api.ServeHTTP), strings.NewReader("x")))
	resp, body := do(t, newTransport(t, h), req)
	if resp.StatusCode != http.StatusUnauthorized || body != "the first answer" || api.calls.Load() != 1 || a.Replayed || !a.Expired {
		t.Errorf("status %d %q, %d calls, %+v", resp.StatusCode, body, api.calls.Load(), a)
	}
}

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
			h := newHolder()
			var holder Holder = h
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
	*fakeHolder
	then error
}

func (h *oneToken) Invalidate(generation uint64, reason string) {
	h.fakeHolder.Invalidate(generation, reason)
	h.fail(h.then)
}

// When the request's time is over there is nobody to answer; reverse_proxy knows
// what to make of the context's error.
func TestOutOfTime(t *testing.T) {
	h := newHolder()
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
	h := newHolder()
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
	h := newHolder()
	h.injection = token.Injection{Where: token.InBody, Name: "tok"}
	for kind, status := range map[string]int{"text/plain": 415, "application/json": 400} {
		req, a := watch(request(t, "POST", api, strings.NewReader("13800138000")))
		req.Header.Set("Content-Type", kind)
		resp, body := do(t, newTransport(t, h), req)
		if resp.StatusCode != status || !strings.Contains(body, `"outcome":"bad_request"`) || strings.Contains(body, "138") ||
			resp.Header.Get("Proxy-Status") != "switchboard; error=http_request_error" {
			t.Errorf("%s: status %d, %v, %s", kind, resp.StatusCode, resp.Header, body)
		}
		if _, ok := errors.AsType[*BodyError](a.Err); !ok || calls.Load() != 0 {
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

// A body that only holds the token is JSON, and says so.
func TestBodyOfTheTokenAlone(t *testing.T) {
	api := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if string(body) != `{"tok":"s3cret-1"}` || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("the API got %v %q, %v", r.Header, body, err)
		}
	})
	h := newHolder()
	h.injection = token.Injection{Where: token.InBody, Name: "tok"}
	for _, header := range []http.Header{nil, {"Accept": {"*/*"}}} {
		req := request(t, "POST", api, nil)
		req.Header = header
		do(t, newTransport(t, h), req)
	}
}

// reverse_proxy retries after errors of dialing, so these must arrive as such,
// and leave the body to the next try.
func TestErrorsPass(t *testing.T) {
	body := &source{Reader: strings.NewReader("x")}
	req, a := watch(request(t, "POST", "http://127.0.0.1:1/", nil))
	req.Body, req.ContentLength = body, 1
	resp, err := newTransport(t, newHolder()).RoundTrip(req)
	if resp != nil || !errors.As(err, new(reverseproxy.DialError)) {
		t.Errorf("got %v, %v", resp, err)
	}
	if a.Err != nil || a.Expired || body.closed != 1 {
		t.Errorf("%+v, body closed %d times", a, body.closed)
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
	tr := newTransport(t, newHolder())
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

// A trailer can't bring a token of its own, and other trailers survive, in both
// directions and both tries.
func TestTrailers(t *testing.T) {
	var calls atomic.Int32
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != "body" || r.Trailer.Get("Digest") != "late" || len(r.Trailer) != 1 {
			t.Errorf("the API got %q, %v, %v", body, r.Trailer, err)
		}
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Trailer", "Checksum")
		_, _ = io.WriteString(w, "answer")
		w.Header().Set("Checksum", "c")
	})
	req := request(t, "POST", api, nil)
	req.Trailer = http.Header{"Digest": nil, "Authorization": nil}
	req.Body = io.NopCloser(io.MultiReader(strings.NewReader("body"), readerFunc(func() {
		req.Trailer["Digest"] = []string{"late"}
		req.Trailer["Authorization"] = []string{"Bearer theirs"}
		req.Trailer["authorization"] = []string{"Bearer theirs"}
	})))
	req.ContentLength = -1
	resp, body := do(t, newTransport(t, newHolder()), req)
	if resp.StatusCode != http.StatusOK || body != "answer" || resp.Trailer.Get("Checksum") != "c" || calls.Load() != 2 {
		t.Errorf("status %d %q, trailer %v, %d calls", resp.StatusCode, body, resp.Trailer, calls.Load())
	}
}

// What is logged of a replay names neither token.
func TestReplayLog(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	tr := newTransport(t, newHolder())
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
