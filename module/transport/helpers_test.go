package transport

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/module/token"
	"github.com/switchboard-ivr/switchboard/module/token/source"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// certmagic's FileStorage lets it go up to 5 s after an unlock
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"))
}

// fakeSource is a token source without an endpoint: one token, and a new one
// for each generation that is refused.
type fakeSource struct {
	injection token.Injection
	statuses  []int
	program   *jq.Program
	bare      bool // credentials only
	static    bool // invalidating changes nothing
	slow      bool // no token is at hand

	mu         sync.Mutex
	generation uint64
	err        error
	reasons    []string
	deadline   time.Time // of the last wait
}

func newSource() *fakeSource {
	return &fakeSource{
		injection:  token.Injection{Where: token.InHeader, Name: "Authorization", Prefix: "Bearer "},
		statuses:   []int{401},
		generation: 1,
	}
}

func tokenNumber(generation uint64) string { return fmt.Sprintf("s3cret-%d", generation) }

func (h *fakeSource) Current() *token.Token {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil || h.slow {
		return nil
	}
	return &token.Token{Access: tokenNumber(h.generation), Generation: h.generation}
}

func (h *fakeSource) Token(ctx context.Context) (*token.Token, error) {
	if err := ctx.Err(); err != nil {
		return nil, &token.NoTokenError{Source: "crm", Cause: err}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deadline, _ = ctx.Deadline()
	if h.err != nil {
		return nil, h.err
	}
	return &token.Token{Access: tokenNumber(h.generation), Generation: h.generation}, nil
}

func (h *fakeSource) Invalidate(generation, _ uint64, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if generation == h.generation && !h.static {
		h.generation++
		h.reasons = append(h.reasons, reason)
	}
}

func (h *fakeSource) renewals() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.reasons)
}

func (h *fakeSource) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
}

func (h *fakeSource) Injection() token.Injection        { return h.injection }
func (h *fakeSource) ExpiredRule() ([]int, *jq.Program) { return h.statuses, h.program }
func (h *fakeSource) HasToken() bool                    { return !h.bare }
func (h *fakeSource) predicate(t testing.TB, text string) {
	t.Helper()
	h.program = predicate(t, text)
}

func predicate(t testing.TB, text string) *jq.Program {
	t.Helper()
	program, err := jq.Compile(text, jq.Spec{Vars: source.ExpiredVars, Want: jq.Predicate})
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// newTransport makes a transport over Caddy's own, with the token source h.
func newTransport(t testing.TB, h tokenSource) *Transport {
	t.Helper()
	tr := &Transport{HTTPTransport: new(reverseproxy.HTTPTransport), Token: "crm", MaxSize: defaultMaxSize}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	if err := tr.HTTPTransport.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	tr.next, tr.logger = tr.HTTPTransport, zap.NewNop()
	if err := tr.use(h, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Cleanup(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

// serve starts an API.
func serve(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// do sends a request through a transport and reads the answer whole.
func do(t testing.TB, tr http.RoundTripper, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func request(t testing.TB, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	// a request from a client has none, unlike one that net/http makes
	req.GetBody = nil
	return req
}

// watch has a transport report to the Attempt that it returns.
func watch(req *http.Request) (*http.Request, *Attempt) {
	a := new(Attempt)
	return req.WithContext(WithAttempt(req.Context(), a)), a
}
