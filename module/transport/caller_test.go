package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/switchboard-ivr/switchboard/internal/connerr"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// An API answers TRACE with the request that it got: with our token, it once
// came back to whoever asked.
func TestMethodsThatAreNeverSent(t *testing.T) {
	var calls atomic.Int32
	api := serve(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	none := newSource()
	none.injection = token.Injection{Where: token.InNone}
	for _, h := range []*fakeSource{newSource(), none} {
		for method, sent := range map[string]bool{
			"TRACE": false, "trace": false, "Track": false, "CONNECT": false,
			"OPTIONS": true, "PROPFIND": true, "TRACKS": true, "DELETE": true,
		} {
			calls.Store(0)
			req, a := watch(request(t, method, api, nil))
			resp, body := do(t, newTransport(t, h), req)
			if sent {
				if resp.StatusCode != http.StatusOK || calls.Load() != 1 {
					t.Errorf("%s: status %d, %d calls", method, resp.StatusCode, calls.Load())
				}
				continue
			}
			bad, ok := errors.AsType[*RequestError](a.Err)
			if resp.StatusCode != http.StatusMethodNotAllowed || calls.Load() != 0 || !ok || bad.Status != http.StatusMethodNotAllowed {
				t.Errorf("%s: status %d, %d calls, %v", method, resp.StatusCode, calls.Load(), a.Err)
			}
			if !strings.Contains(body, `"outcome":"bad_request"`) || !strings.Contains(resp.Header.Get("Allow"), "GET") {
				t.Errorf("%s: %s %v", method, body, resp.Header)
			}
		}
	}
}

// An API that repeats the request in its headers once handed the token out, save
// in Location.
func TestTheTokenComesBackInNoHeader(t *testing.T) {
	const odd = "a+b/c=d e&f"
	for name, in := range map[string]token.Injection{
		"header": {Where: token.InHeader, Name: "Authorization", Prefix: "Bearer "},
		"query":  {Where: token.InQuery, Name: "access_token"},
	} {
		for _, access := range []string{"s3cret-1", odd} {
			api := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Trailer", "X-Announced")
				w.Header().Set("X-Uri", r.RequestURI)
				w.Header().Set("Link", "<"+r.URL.String()+">; rel=self")
				w.Header().Set("X-Encoded", strings.ToLower("%41"+escapeParameter(access)))
				w.Header().Set("Location", "/next?"+r.URL.RawQuery)
				w.Header()["X-Twice"] = []string{"well", "token " + access + " " + access}
				w.WriteHeader(http.StatusOK)
				_ = http.NewResponseController(w).Flush()
				_, _ = io.WriteString(w, access)
				w.Header().Set("X-Announced", access)
				w.Header().Set(http.TrailerPrefix+"X-Sudden", access)
			})
			h := newSource()
			h.injection = in
			tr := newTransport(t, fixedSource{h, &token.Token{Access: access, Generation: 1}})
			resp, body := do(t, tr, request(t, "GET", api+"/?a=1", nil))
			for _, fields := range []http.Header{resp.Header, resp.Trailer} {
				for field, values := range fields {
					for _, value := range values {
						if strings.Contains(value, access) || strings.Contains(unescapeKey(value), access) || strings.Contains(value, escapeParameter(access)) {
							t.Errorf("%s: %s: %s", name, field, value)
						}
					}
				}
			}
			if resp.Header.Get("X-Twice") != "well" || resp.Header["X-Twice"][1] != "token *** ***" || resp.Trailer.Get("X-Announced") != "***" {
				t.Errorf("%s: %v %v", name, resp.Header, resp.Trailer)
			}
			if body != access {
				t.Errorf("%s: the body has become %q", name, body)
			}
		}
	}
}

// reverse_proxy hands interim answers on by a trace of the request.
func TestTheTokenComesBackInNoInterimAnswer(t *testing.T) {
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css?"+r.URL.RawQuery+">; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusOK)
	})
	h := newSource()
	h.injection = token.Injection{Where: token.InQuery, Name: "access_token"}
	var hint string
	req := request(t, "GET", api+"/?a=1", nil)
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(_ int, fields textproto.MIMEHeader) error { hint = fields.Get("Link"); return nil },
	}))
	do(t, newTransport(t, h), req)
	if !strings.Contains(hint, "a=1") || strings.Contains(hint, tokenNumber(1)) {
		t.Errorf("got the hint %q", hint)
	}
}

// A 401 whose body never ended was waited for, and the call timed out.
func TestAnEndlessRefusalIsReplayed(t *testing.T) {
	for name, refuse := range map[string]http.HandlerFunc{
		"chunked": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, "never")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"with a length": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(http.StatusUnauthorized)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			api := newFlaky(2)
			api.refuse = refuse
			req, a := watch(request(t, "GET", serve(t, api.ServeHTTP), nil))
			ctx, cancel := context.WithTimeout(req.Context(), 5*time.Second)
			defer cancel()
			resp, _ := do(t, newTransport(t, newSource()), req.WithContext(ctx))
			if resp.StatusCode != http.StatusOK || !a.Replayed {
				t.Errorf("status %d, %+v", resp.StatusCode, a)
			}
		})
	}
}

// failing is an upload that breaks off.
type failing struct {
	io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = f.err
	}
	return n, err
}

func (*failing) Close() error { return nil }

// What goes wrong with a request by its caller's fault is no error of the API's.
func TestWhatTheCallerIsToBlameFor(t *testing.T) {
	api := serve(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	bare := newSource()
	bare.bare = true
	for name, test := range map[string]struct {
		body   error
		header string
		want   int
	}{
		"hangs up":                   {io.ErrUnexpectedEOF, "", 400},
		"resets":                     {&net.OpError{Op: "read", Err: os.NewSyscallError("read", errors.New("connection reset"))}, "", 400},
		"a server's own deadline":    {os.ErrDeadlineExceeded, "", 408},
		"too large for request_body": {&http.MaxBytesError{Limit: 3}, "", 413},
		"a control character":        {nil, "a\x01b", 400},
		"a line break":               {nil, "a\r\nX-Other: b", 400},
	} {
		for _, h := range []*fakeSource{newSource(), bare} {
			t.Run(name, func(t *testing.T) {
				req, a := watch(request(t, "POST", api, nil))
				progressed := 0
				a.Progress = func() { progressed++ }
				if test.body != nil {
					req.Body, req.ContentLength = &failing{strings.NewReader("half"), test.body}, -1
				}
				if test.header != "" {
					req.Header["X-Name"] = []string{test.header}
				}
				resp, body := do(t, newTransport(t, h), req)
				bad, ok := errors.AsType[*RequestError](a.Err)
				if resp.StatusCode != test.want || !ok || bad.Status != test.want || !strings.Contains(body, "bad_request") {
					t.Errorf("status %d %s, %v", resp.StatusCode, body, a.Err)
				}
				if test.body != nil && progressed == 0 {
					t.Error("no progress was told")
				}
				if strings.Contains(body, "X-Other") {
					t.Errorf("the value is told: %s", body)
				}
			})
		}
	}
}

// stalling is an upload of four bytes that ends or, where more is announced, stalls
// until the server gives up.
type stalling struct {
	more  bool
	sent  bool
	stall func()
	ctx   context.Context
}

func (s *stalling) Read(p []byte) (int, error) {
	if !s.sent {
		s.sent = true
		return copy(p, "half"), nil
	}
	if !s.more {
		return 0, io.EOF
	}
	s.stall()
	<-s.ctx.Done()
	return 0, os.ErrDeadlineExceeded
}

func (s *stalling) Close() error { return nil }

// When time runs out, the caller is to blame if it is the caller that is waited
// for, and nobody else.
func TestAStalledUpload(t *testing.T) {
	for name, more := range map[string]bool{"the caller stalls": true, "the API stalls": false} {
		t.Run(name, func(t *testing.T) {
			received := make(chan struct{})
			url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				close(received)
				<-r.Context().Done()
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			req, a := watch(request(t, "POST", url, nil).WithContext(ctx))
			if !more {
				go func() { <-received; cancel() }()
			}
			req.Body, req.ContentLength = &stalling{more: more, stall: cancel, ctx: ctx}, -1
			resp, err := newTransport(t, newSource()).RoundTrip(req)
			if err == nil {
				_ = resp.Body.Close()
				t.Fatal("it went through")
			}
			bad, blamed := errors.AsType[*RequestError](a.Err)
			if blamed != more || blamed && bad.Status != http.StatusRequestTimeout {
				t.Errorf("%v", a.Err)
			}
		})
	}
}

// The cause of a failed call is kept from reverse_proxy, which hides it.
func TestCause(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	tr, err := load(t, `{}`)
	if err != nil {
		t.Fatal(err)
	}
	req, a := watch(request(t, "GET", "http://"+ln.Addr().String(), nil))
	_, err = tr.RoundTrip(req)
	if _, ok := errors.AsType[reverseproxy.DialError](err); !ok || connerr.Reason(a.Cause) != "can't connect: connection refused" {
		t.Errorf("%v, cause %v", err, a.Cause)
	}
	req, _ = watch(request(t, "GET", serve(t, func(http.ResponseWriter, *http.Request) {}), nil))
	if do(t, tr, req.WithContext(WithAttempt(req.Context(), a))); a.Cause != nil {
		t.Errorf("a call that went through has the cause %v", a.Cause)
	}
}

// A port that speaks TLS answers plain HTTP with a 400 of its own, which is not
// the API's.
func TestTLSPort(t *testing.T) {
	for name, test := range map[string]struct {
		answer string
		isTLS  bool
	}{
		"Go":             {"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n", true},
		"nginx":          {"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: 60\r\nConnection: close\r\n\r\n<center>The plain HTTP request was sent to HTTPS port</center>", true},
		"the API's":      {"HTTP/1.1 400 Bad Request\r\nContent-Length: 16\r\n\r\n{\"msg\":\"no tel\"}", false},
		"one that's cut": {"HTTP/1.1 400 Bad Request\r\nContent-Length: 30\r\n\r\n{\"msg\":", false},
	} {
		t.Run(name, func(t *testing.T) {
			addr := rawServer(t, func(conn net.Conn, _ *http.Request) bool {
				_, _ = io.WriteString(conn, test.answer)
				return false
			})
			resp, err := newTransport(t, newSource()).RoundTrip(request(t, "GET", "http://"+addr, nil))
			if test.isTLS {
				if !errors.Is(err, connerr.ErrTLSPort) {
					t.Errorf("%v %v", resp, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			_, want, _ := strings.Cut(test.answer, "\r\n\r\n")
			if string(body) != want || (err != nil) != (name == "one that's cut") {
				t.Errorf("%q %v", body, err)
			}
		})
	}
}

// Without a limit, net/http takes 10 MB of headers from an API.
func TestHeadersAreBounded(t *testing.T) {
	api := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 300 {
			w.Header().Add("X-Filler", strings.Repeat("x", 1<<10))
		}
	})
	for text, want := range map[string]bool{
		`{}`:                                    false,
		`{"max_response_header_size": 1048576}`: true,
	} {
		tr, err := load(t, text)
		if err != nil {
			t.Fatal(err)
		}
		req, a := watch(request(t, "GET", api, nil))
		resp, err := tr.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if (err == nil) != want || connerr.HeaderTooLarge(a.Cause) == want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A request that changes nothing is sent once more when a connection breaks that
// was used before; any other is not, for nobody knows what became of it.
func TestReadsAreSentOnceMore(t *testing.T) {
	for name, test := range map[string]struct {
		method string
		read   bool
		again  bool
	}{
		"GET":               {"GET", false, true},
		"HEAD":              {"HEAD", false, true},
		"a POST that reads": {"POST", true, true},
		"a POST":            {"POST", false, false},
		"a PUT":             {"PUT", false, false},
		"a DELETE":          {"DELETE", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int32
			addr := rawServer(t, func(conn net.Conn, r *http.Request) bool {
				body, _ := io.ReadAll(r.Body)
				if r.Method == http.MethodPost && string(body) != "tel=1" {
					t.Errorf("the API got the body %q", body)
				}
				if _, ok := r.Header["X-Idempotency-Key"]; ok {
					t.Error("the mark for net/http was sent")
				}
				if calls.Add(1) == 2 {
					return false // on a connection that was used before
				}
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				return true
			})
			tr := newTransport(t, newSource())
			try := func() error {
				req, a := watch(request(t, test.method, "http://"+addr, nil))
				a.Read = test.read
				if test.method == "POST" { // as an api's programs make it
					req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("tel=1")), nil }
					req.Body, _ = req.GetBody()
					req.ContentLength = 5
				}
				resp, err := tr.RoundTrip(req)
				if err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
				return err
			}
			if err := try(); err != nil {
				t.Fatal(err)
			}
			err := try()
			if wantCalls := map[bool]int32{true: 3, false: 2}[test.again]; (err == nil) != test.again || calls.Load() != wantCalls {
				t.Errorf("%v after %d calls", err, calls.Load())
			}
		})
	}
}
