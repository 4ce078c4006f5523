package provider_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/provider"
)

const order = "/free/open/order/query?tel=13800138000"

// TestFaultsThatAnswer covers the faults that end in a whole HTTP answer.
func TestFaultsThatAnswer(t *testing.T) {
	plain := serve(t, provider.New(provider.Options{}), bare(t, "GET", order)).body
	for _, tc := range []struct {
		fault   provider.Fault
		status  int
		outcome string
		check   func(r reply) bool
	}{
		{provider.Fault{Fault: "status"}, 503, "fault", func(r reply) bool { return r.header.Get("Retry-After") == "1" }},
		{provider.Fault{Fault: "status", Status: 500}, 500, "fault", func(r reply) bool { return r.at(t, "code") == "500" }},
		{provider.Fault{Fault: "status", Status: 401}, 401, "fault", func(r reply) bool { return r.header.Get("Set-Cookie") != "" }},
		{provider.Fault{Fault: "error-code"}, 200, "fault", func(r reply) bool { return r.at(t, "code") == "999999" }},
		{provider.Fault{Fault: "error-code", Code: "40001"}, 200, "fault", func(r reply) bool { return r.at(t, "code") == "40001" }},
		{provider.Fault{Fault: "empty"}, 200, "fault", func(r reply) bool { return r.body == "" && r.header.Get("Content-Length") == "0" }},
		{provider.Fault{Fault: "html"}, 200, "fault", func(r reply) bool { return strings.HasPrefix(r.header.Get("Content-Type"), "text/html") }},
		{provider.Fault{Fault: "huge"}, 200, "fault", func(r reply) bool { return len(r.body) > 5<<20 && r.at(t, "code") == "000000" }},
		{provider.Fault{Fault: "huge", Size: 100}, 200, "fault", func(r reply) bool { return len(r.body) < 300 }},
		{provider.Fault{Fault: "deep-json"}, 200, "fault", func(r reply) bool { return strings.Count(r.body, "[") == 5000 && json.Valid([]byte(r.body)) }},
		{provider.Fault{Fault: "redirect", Location: "http://other.example/"}, 307, "fault", func(r reply) bool { return r.header.Get("Location") == "http://other.example/" }},
		{provider.Fault{Fault: "redirect", Status: 302, Location: "/x"}, 302, "fault", func(r reply) bool { return r.header.Get("Location") == "/x" }},
		{provider.Fault{Fault: "bad-json"}, 200, "ok", func(r reply) bool { return !json.Valid([]byte(r.body)) && strings.HasPrefix(plain, r.body) }},
		{provider.Fault{Fault: "trailing-garbage"}, 200, "ok", func(r reply) bool { return r.body == plain+"}garbage" }},
		{provider.Fault{Fault: "two-documents"}, 200, "ok", func(r reply) bool { return r.body == plain+"\n"+plain }},
		{provider.Fault{Fault: "invalid-utf8"}, 200, "ok", func(r reply) bool { return strings.Contains(r.body, "\xff\xfe") }},
		{provider.Fault{Fault: "brotli-labelled"}, 200, "ok", func(r reply) bool { return r.header.Get("Content-Encoding") == "br" && r.body == plain }},
		{provider.Fault{Fault: "partial-206"}, 206, "ok", func(r reply) bool {
			return strings.HasPrefix(r.header.Get("Content-Range"), "bytes 0-") && r.body == plain
		}},
		{provider.Fault{Fault: "no-content-type"}, 200, "ok", func(r reply) bool { return r.header.Values("Content-Type") == nil && r.body == plain }},
		{provider.Fault{Fault: "slow-drip", Delay: time.Microsecond}, 200, "ok", func(r reply) bool { return r.body == plain }},
	} {
		t.Run(tc.fault.Fault, func(t *testing.T) {
			s := start(t, provider.Options{})
			tc.fault.Target, tc.fault.Times = provider.API, 1
			inject(t, s, tc.fault)
			r := get(t, s.URL()+order)
			if r.status != tc.status || !tc.check(r) {
				t.Errorf("answer: %d %v %.200q", r.status, r.header, r.body)
			}
			if e := last(s); e.Fault != tc.fault.Fault || e.Outcome != tc.outcome || e.Status != tc.status {
				t.Errorf("ledger: %+v", e)
			}
			if left := s.Faults(); len(left) != 0 {
				t.Errorf("after one time: %v", left)
			}
		})
	}
}

// TestFaultsThatCut covers those after which the caller has no whole answer.
func TestFaultsThatCut(t *testing.T) {
	for _, tc := range []struct {
		fault     provider.Fault
		connected bool // the caller sees a status
		valid     bool // what it got of the body is valid JSON
		outcome   string
	}{
		{provider.Fault{Fault: "hang", Delay: time.Millisecond}, false, false, "fault"},
		{provider.Fault{Fault: "reset"}, false, false, "fault"},
		{provider.Fault{Fault: "lost-response"}, false, false, "ok"},
		{provider.Fault{Fault: "truncate"}, true, true, "ok"},
		{provider.Fault{Fault: "half-then-hang", Delay: time.Millisecond}, true, false, "ok"},
	} {
		t.Run(tc.fault.Fault, func(t *testing.T) {
			s := start(t, provider.Options{})
			tc.fault.Target = provider.TokenGet
			inject(t, s, tc.fault)
			resp, err := send(t, http.MethodPost, s.URL()+"/token/get", jsonType, asJSON(signed(time.Now())))
			if tc.connected != (err == nil) {
				t.Fatalf("connecting: %v", err)
			}
			if tc.fault.Fault == "reset" && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("not a reset: %v", err)
			}
			if err == nil {
				body, err := read(t, resp)
				if !errors.Is(err, io.ErrUnexpectedEOF) || json.Valid([]byte(body)) != tc.valid {
					t.Errorf("body: %q, %v", body, err)
				}
			}
			e := last(s)
			if issued := e.Issued != ""; e.Outcome != tc.outcome || issued != (tc.outcome == "ok") {
				t.Errorf("ledger: %+v", e)
			}
		})
	}
}

func TestHangEndsWhenTheCallerLeaves(t *testing.T) {
	for _, fault := range []provider.Fault{
		{Fault: "hang"},
		{Fault: "late", Delay: time.Hour},
		{Fault: "latency", Delay: time.Hour},
		{Fault: "half-then-hang"},
		{Fault: "slow-drip", Delay: time.Hour},
	} {
		t.Run(fault.Fault, func(t *testing.T) {
			s := provider.New(provider.Options{})
			fault.Target = provider.All
			inject(t, s, fault)
			ctx, leave := context.WithCancel(t.Context())
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Body = atEOF{r.Body, leave}
				s.ServeHTTP(w, r)
			}))
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, front.URL+"/token/get", strings.NewReader(asJSON(signed(time.Now()))))
			req.Header.Set("Content-Type", jsonType)
			resp, err := client(t).Do(req)
			if err == nil {
				_, err = read(t, resp)
			}
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the caller: %v", err)
			}
			front.Close() // returns only when the call has ended
			if issued := last(s).Issued != ""; issued != (fault.Fault != "hang" && fault.Fault != "latency") {
				t.Errorf("ledger: %+v", last(s))
			}
		})
	}
}

// atEOF is a body that tells when it was read.
type atEOF struct {
	io.ReadCloser
	tell func()
}

func (b atEOF) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.tell()
	}
	return n, err
}

func TestStopEndsHangingCalls(t *testing.T) {
	s := start(t, provider.Options{})
	inject(t, s, provider.Fault{Target: provider.API, Fault: "half-then-hang"})
	resp, err := send(t, http.MethodGet, s.URL()+order, "", "")
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if body, err := read(t, resp); err == nil {
		t.Errorf("a stopped server went on: %s", body)
	}
}

func TestLateAndLatencyAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		toThePresent()
		s := provider.New(provider.Options{})
		for _, fault := range []string{"late", "latency"} {
			inject(t, s, provider.Fault{Target: provider.TokenGet, Fault: fault, Delay: time.Minute, Times: 1})
			begin := time.Now()
			signIn(t, s)
			if took := time.Since(begin); took != time.Minute {
				t.Errorf("%s: %v", fault, took)
			}
			begin = time.Now()
			signIn(t, s)
			if took := time.Since(begin); took != 0 {
				t.Errorf("after %s: %v", fault, took)
			}
		}
	})
}

func TestATokenMayDieDuringALatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		toThePresent()
		s := provider.New(provider.Options{Lifetime: time.Minute})
		token, _ := signIn(t, s)
		inject(t, s, provider.Fault{Target: provider.API, Fault: "latency", Delay: time.Hour})
		if got := query(t, s, token); got != "dead_token" {
			t.Errorf("outcome: %s", got)
		}
	})
}

func TestGzipBomb(t *testing.T) {
	s := start(t, provider.Options{})
	inject(t, s, provider.Fault{Target: provider.TokenGet, Fault: "gzip-bomb", Size: 8 << 20, Times: 2})
	for range 2 {
		resp, err := send(t, http.MethodPost, s.URL()+"/token/get", jsonType, asJSON(signed(time.Now())))
		if err != nil {
			t.Fatal(err)
		}
		body, err := read(t, resp)
		if err != nil || resp.Header.Get("Content-Encoding") != "gzip" || len(body) > 8<<20/500 {
			t.Fatalf("%d bytes, %v, %v", len(body), resp.Header, err)
		}
		zr, err := gzip.NewReader(strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(zr)
		if err != nil || len(plain) != 8<<20 || !json.Valid(plain) {
			t.Errorf("%d bytes decompressed, %v", len(plain), err)
		}
	}
}

func TestSameToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		toThePresent()
		s := provider.New(provider.Options{Lifetime: time.Hour, ExpiresIn: provider.ExpiresNumber})
		access, refresh := signIn(t, s)
		time.Sleep(50 * time.Minute)
		for _, extend := range []bool{false, true} {
			inject(t, s, provider.Fault{Target: provider.TokenRefresh, Fault: "same-token", Times: 1, Extend: extend})
			r := renew(t, s, refresh)
			left := map[bool]string{false: "600", true: "3600"}[extend]
			if r.at(t, "data.access_token") != access || r.at(t, "data.refresh_token") != refresh || r.at(t, "data.expires_in") != left {
				t.Errorf("extend %v: %s", extend, r.body)
			}
		}
		inject(t, s, provider.Fault{Target: provider.TokenGet, Fault: "same-token", Times: 1})
		if again, _ := signIn(t, s); again != access {
			t.Errorf("signing in again: %s", again)
		}
		if r := renew(t, s, refresh); r.at(t, "data.access_token") == access {
			t.Errorf("afterwards: %s", r.body)
		}
	})
}

func TestEarlyDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		toThePresent()
		s := provider.New(provider.Options{})
		for name, status := range map[string]int{"early-death-401": 401, "early-death-code": 200} {
			token, _ := signIn(t, s)
			inject(t, s, provider.Fault{Target: provider.API, Fault: name, Delay: time.Second})
			if got := query(t, s, token); got != "ok" {
				t.Errorf("%s, before: %s", name, got)
			}
			time.Sleep(time.Second)
			if got := query(t, s, token); got != "dead_token" || last(s).Status != status || last(s).TokenState != "revoked" {
				t.Errorf("%s, after: %+v", name, last(s))
			}
			if fresh, _ := signIn(t, s); query(t, s, fresh) != "ok" {
				t.Errorf("%s: a new token is dead too", name)
			}
		}
	})
}

func TestClockShift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		toThePresent()
		s := provider.New(provider.Options{})
		inject(t, s, provider.Fault{Target: provider.All, Fault: "clock-shift", Delay: -10 * time.Minute})
		r := serve(t, s, post(t, "/token/get", jsonType, asJSON(signed(time.Now()))))
		if r.at(t, "msg") != "stale_timestamp" {
			t.Errorf("our own time: %s", r.body)
		}
		theirs, err := http.ParseTime(r.header.Get("Date"))
		if err != nil || time.Until(theirs).Round(time.Minute) != -10*time.Minute {
			t.Errorf("Date: %v, %v", theirs, err)
		}
		r = serve(t, s, post(t, "/token/get", jsonType, asJSON(signed(theirs))))
		if got := query(t, s, r.at(t, "data.access_token")); got != "ok" {
			t.Errorf("with their time: %s %s", r.body, got)
		}
		s.ClearFaults()
		signIn(t, s)
	})
}

func TestFaultsAimAndCount(t *testing.T) {
	s := provider.New(provider.Options{})
	get := func(path string) int { return serve(t, s, bare(t, "GET", path)).status }
	inject(t, s,
		provider.Fault{Target: provider.TokenGet, Fault: "status"},
		provider.Fault{Target: provider.API, Fault: "status", Status: 500, Times: 2, Path: "/free/open/"},
		provider.Fault{Target: provider.API, Fault: "status", Status: 502, Times: 1},
	)
	for i, want := range []int{502, 500, 500, 200} {
		path := order
		if i == 0 {
			path = "/free/echo"
		}
		if got := get(path); got != want {
			t.Errorf("call %d: %d, not %d", i, got, want)
		}
	}
	if left := s.Faults(); len(left) != 1 || left[0].Target != provider.TokenGet {
		t.Errorf("left: %v", left)
	}
}

func TestFaultsOnStreams(t *testing.T) {
	s := start(t, provider.Options{})
	for _, fault := range []string{"truncate", "half-then-hang", "slow-drip", "bad-json", "no-content-type"} {
		inject(t, s, provider.Fault{Target: provider.API, Fault: fault, Times: 1})
		resp, err := send(t, http.MethodGet, s.URL()+"/free/big?bytes=5", "", "")
		if err != nil {
			t.Fatal(err)
		}
		if body, err := read(t, resp); err != nil || body != "xxxxx" {
			t.Errorf("%s: %q, %v", fault, body, err)
		}
	}
}

// A reset needs a TCP connection below TLS, and survives without any.
func TestResetWithoutPlainTCP(t *testing.T) {
	s := provider.New(provider.Options{})
	inject(t, s, provider.Fault{Target: provider.API, Fault: "reset"})
	front := httptest.NewTLSServer(s)
	defer front.Close()
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	req := bare(t, http.MethodGet, front.URL+order)
	req.RequestURI = "" // as a client sends it
	if resp, err := c.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Error("an answer")
	}

	defer func() {
		if v, _ := recover().(error); !errors.Is(v, http.ErrAbortHandler) {
			t.Errorf("recovered %v", v)
		}
	}()
	s.ServeHTTP(httptest.NewRecorder(), bare(t, "GET", order))
}

func TestInvalidFaults(t *testing.T) {
	s := provider.New(provider.Options{})
	for _, f := range []provider.Fault{
		{Target: "nobody", Fault: "hang"},
		{Target: provider.API, Fault: "hnag"},
		{Target: provider.API, Fault: "same-token"},
		{Target: provider.API, Fault: "redirect"},
		{Target: provider.API, Fault: "redirect", Status: 200, Location: "/"},
		{Target: provider.API, Fault: "status", Status: 200},
		{Target: provider.API, Fault: "latency"},
		{Target: provider.API, Fault: "hang", Delay: -1},
		{Target: provider.API, Fault: "hang", Times: -1},
	} {
		if err := s.Inject(provider.Fault{Target: provider.API, Fault: "empty"}, f); err == nil {
			t.Errorf("accepted: %+v", f)
		}
	}
	if left := s.Faults(); len(left) != 0 {
		t.Errorf("injected in part: %v", left)
	}
}

func TestFaultAsJSON(t *testing.T) {
	for text, want := range map[string]provider.Fault{
		`{"target":"api","fault":"hang","times":1,"delay":"30s"}`: {Target: "api", Fault: "hang", Times: 1, Delay: 30 * time.Second},
		`{"target":"*","fault":"status","status":500}`:            {Target: "*", Fault: "status", Status: 500},
	} {
		var f provider.Fault
		if err := json.Unmarshal([]byte(text), &f); err != nil || !reflect.DeepEqual(f, want) {
			t.Errorf("%s: %+v, %v", text, f, err)
		}
		if b, err := json.Marshal(f); err != nil || !bytes.Equal(b, []byte(text)) {
			t.Errorf("written: %s, %v", b, err)
		}
	}
	for _, text := range []string{`{"target":"api","faults":"hang"}`, `{"delay":"soon"}`, `{"delay":30}`} {
		if err := json.Unmarshal([]byte(text), new(provider.Fault)); err == nil {
			t.Errorf("accepted: %s", text)
		}
	}
}
