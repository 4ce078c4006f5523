package transport

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// canned is an API without a network.
type canned struct{ kind, body string }

func (c canned) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return nil, err
		}
	}
	return &http.Response{
		StatusCode: http.StatusOK, ContentLength: int64(len(c.body)), Request: req,
		Header: http.Header{"Content-Type": {c.kind}},
		Body:   io.NopCloser(strings.NewReader(c.body)),
	}, nil
}

// fixedSource returns its token at no cost.
type fixedSource struct {
	*fakeSource
	tok *token.Token
}

func (h fixedSource) Current() *token.Token { return h.tok }

// BenchmarkRoundTrip tells what the transport adds to a call: `bare` is the
// canned API alone.
func BenchmarkRoundTrip(b *testing.B) {
	api := canned{"application/json", `{"code":"0","data":{"nick":"` + strings.Repeat("x", 1000) + `"}}`}
	get := httptest.NewRequest(http.MethodGet, "/order?tel=13800138000", nil)
	post := httptest.NewRequest(http.MethodPost, "/order", nil)
	for _, req := range []*http.Request{get, post} {
		for _, field := range []string{
			"Accept", "Accept-Encoding", "Accept-Language", "Cookie", "Referer", "User-Agent", "Via",
			"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto",
		} {
			req.Header.Set(field, "value")
		}
	}
	get.Body = nil
	post.ContentLength = 1000
	fixed := fixedSource{newSource(), &token.Token{Access: tokenNumber(1), Generation: 1}}
	header := newTransport(b, fixed)
	query := newTransport(b, fixed)
	query.inject = token.Injection{Where: token.InQuery, Name: "access_token"}
	code := newTransport(b, fixed)
	code.rule.program = predicate(b, `.code == "40001"`)
	for _, tr := range []*Transport{header, query, code} {
		tr.next, tr.logger = api, zap.NewNop()
	}
	for _, bench := range []struct {
		name string
		tr   http.RoundTripper
		req  *http.Request
	}{
		{"bare", api, get},
		{"header", header, get},
		{"query", query, get},
		{"code", code, get},
		{"bare/POST", api, post},
		{"header/POST", header, post},
	} {
		b.Run(bench.name, func(b *testing.B) {
			text := strings.Repeat("x", 1000)
			b.ReportAllocs()
			for b.Loop() {
				if bench.req == post {
					bench.req.Body = io.NopCloser(strings.NewReader(text))
				}
				resp, err := bench.tr.RoundTrip(bench.req)
				if err != nil {
					b.Fatal(err)
				}
				_ = resp.Body.Close()
			}
		})
	}
}
