package transport

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

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
			h := newSource()
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
	bare := newSource()
	bare.bare = true
	bare.fail(errors.New("must not be asked"))
	none := newSource()
	none.injection = token.Injection{Where: token.InNone}
	none.fail(errors.New("must not be asked"))
	for name, h := range map[string]*fakeSource{"credentials only": bare, "inject none": none} {
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
	none := newSource()
	none.injection = token.Injection{Where: token.InNone}
	for name, test := range map[string]struct {
		h *fakeSource
		a Attempt
	}{
		"inject none": {none, Attempt{Token: &token.Token{Access: "x", Generation: 1}}},
		"no replay":   {newSource(), Attempt{NoReplay: true}},
		"replayed":    {newSource(), Attempt{Replayed: true}},
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

// A body that only holds the token is JSON, and says so.
func TestBodyOfTheTokenAlone(t *testing.T) {
	api := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if string(body) != `{"tok":"s3cret-1"}` || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("the API got %v %q, %v", r.Header, body, err)
		}
	})
	h := newSource()
	h.injection = token.Injection{Where: token.InBody, Name: "tok"}
	for _, header := range []http.Header{nil, {"Accept": {"*/*"}}} {
		req := request(t, "POST", api, nil)
		req.Header = header
		do(t, newTransport(t, h), req)
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
	resp, body := do(t, newTransport(t, newSource()), req)
	if resp.StatusCode != http.StatusOK || body != "answer" || resp.Trailer.Get("Checksum") != "c" || calls.Load() != 2 {
		t.Errorf("status %d %q, trailer %v, %d calls", resp.StatusCode, body, resp.Trailer, calls.Load())
	}
}
