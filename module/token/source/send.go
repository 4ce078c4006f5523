package source

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/switchboard-ivr/switchboard/module/token"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/switchboard-ivr/switchboard/internal/connerr"
)

// maxAnswer is the size in bytes up to which an answer of a token endpoint is
// read, compressed and not.
const maxAnswer = 64 << 10

// reply is an answer of a token endpoint.
type response struct {
	status int
	header http.Header
	body   []byte
	// broken is why the body is not whole; "" when it is.
	broken string
}

// newTransport makes the connection to a token endpoint that has no `transport`.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
		TLSHandshakeTimeout:    5 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxResponseHeaderBytes: maxAnswer,
	}
}

// caddyTransport is Caddy's transport outside of a Caddy request: it expects a
// replacer in the context for a server name with placeholders.
type caddyTransport struct{ http.RoundTripper }

func (t caddyTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := context.WithValue(req.Context(), caddy.ReplacerCtxKey, caddy.NewReplacer())
	return t.RoundTripper.RoundTrip(req.WithContext(ctx))
}

// send makes one attempt of req and reads the answer. An error is a *Failure
// without any text that came from outside: an *url.Error shows the URL with its
// signature, and other errors of net/http show what the endpoint wrote.
func send(rt http.RoundTripper, req *http.Request) (*response, *token.Failure) {
	client := http.Client{
		Transport: rt,
		// the next host has no business with our credentials
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	// A connection that the endpoint has closed in the meantime fails like one
	// that broke within the call, which costs a refresh token. So each call has
	// its own.
	req.Close = true
	resp, err := client.Do(req)
	if err != nil {
		return nil, &token.Failure{Kind: token.Ambiguous, Reason: reason(req.Context(), err)}
	}
	defer resp.Body.Close()
	body, broken := readBody(req.Context(), resp)
	return &response{resp.StatusCode, resp.Header, body, broken}, nil
}

func readBody(ctx context.Context, resp *http.Response) (body []byte, broken string) {
	from := io.LimitReader(resp.Body, maxAnswer+1)
	switch strings.ToLower(resp.Header.Get("Content-Encoding")) {
	case "", "identity":
	case "gzip", "x-gzip":
		unzipped, err := gzip.NewReader(from)
		if err != nil {
			return nil, "the answer says that it is gzip and is not"
		}
		from = io.LimitReader(unzipped, maxAnswer+1)
	default:
		return nil, "the answer has an encoding that was not asked for"
	}
	body, err := io.ReadAll(from)
	switch {
	case len(body) > maxAnswer:
		return nil, "the answer is larger than 64 KiB"
	case err != nil && ctx.Err() != nil:
		return nil, reason(ctx, err)
	case err != nil:
		return nil, "the answer was cut off"
	default:
		return body, ""
	}
}

// reason says in our own words why a call has failed.
func reason(ctx context.Context, err error) string {
	if errors.Is(ctx.Err(), context.Canceled) {
		return "the call was given up"
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "no whole answer in time"
	}
	if why := connerr.Reason(err); why != "" {
		return why
	}
	if _, ok := errors.AsType[reverseproxy.DialError](err); ok {
		return "can't connect"
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return "no whole answer in time"
	}
	return "the connection broke before a whole answer"
}
