package source

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/switchboard-ivr/switchboard/internal/connerr"
	"github.com/switchboard-ivr/switchboard/internal/document"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// Endpoint calls the URLs of one source. It has no state besides the
// transport's: the keeper decides when to call.
type Endpoint struct {
	source *Source
	plan   *plan
	values []any // of plan.names
}

// Endpoint returns the endpoint of a provisioned source; of one without URLs
// neither Obtain nor Refresh may be called.
func (s *Source) Endpoint() *Endpoint {
	_, values := s.Credentials()
	return &Endpoint{source: s, plan: s.plan, values: values}
}

// CanObtain reports whether the source can sign in by itself, without anybody's consent.
func (e *Endpoint) CanObtain() bool { return e.plan.obtainCall != nil && !e.source.NeedsConsent() }

// CanRefresh reports whether the source can renew a token without signing in.
func (e *Endpoint) CanRefresh() bool { return e.plan.refreshCall != nil }

// Obtain signs in with the credentials, or with the code of in.Consent. Its time is
// bounded by ctx alone, see Policy.
func (e *Endpoint) Obtain(ctx context.Context, in token.Params) (token.Grant, error) {
	var consent []any
	if c := in.Consent; c != nil {
		consent = []any{c.Code, c.Verifier, c.Redirect}
	}
	return e.call(ctx, e.plan.obtainCall, e.source.obtainURL, nil, nil, in, consent...)
}

// Refresh renews the token that is held, or begins with the configured refresh token
// when there is none. The old refresh token stays where the answer brings no new one (RFC 6749,
// section 6).
func (e *Endpoint) Refresh(ctx context.Context, in token.Params) (token.Grant, error) {
	var access, refresh any
	if in.Access != "" {
		access = in.Access
	}
	spent := cmp.Or(in.Refresh, e.source.values[seedName])
	if spent != "" {
		refresh = spent
	} else if e.plan.refreshCall.uses("refresh_token") {
		return token.Grant{}, &token.Failure{Kind: token.Refused, Reason: "there is no refresh token to send"}
	}
	grant, err := e.call(ctx, e.plan.refreshCall, e.source.refreshURL, access, refresh, in)
	if err == nil {
		grant.Refresh = cmp.Or(grant.Refresh, spent)
	}
	return grant, err
}

func (e *Endpoint) call(ctx context.Context, r *requestPrograms, u *url.URL, access, refresh any, in token.Params, more ...any) (token.Grant, error) {
	// one timestamp and one nonce for all programs, so that a signature agrees
	// with the parameters that it signs
	vars := slices.Concat(
		[]any{e.plan.stamp.at(time.Now().Add(in.Skew)), Nonce(), access, refresh, in.Refused},
		e.values, more,
	)
	req, failure := r.build(ctx, u, vars)
	if failure != nil {
		return token.Grant{}, failure
	}
	known := newSecrets(vars, req)
	made := known.describe(r.setting, req)
	answer, failure := send(e.source.roundTripper, req)
	if failure == nil {
		var grant token.Grant
		if grant, failure = e.readGrant(ctx, answer, known, in.Skew); failure == nil {
			known.addAnswer(made, answer, grant.Access, grant.Refresh)
			grant.Exchange = made
			return grant, nil
		}
		known.addAnswer(made, answer)
	}
	made.Error = failure.Error()
	failure.Exchange = made
	return token.Grant{}, failure
}

// maxAnswer is the size in bytes up to which an answer of a token endpoint is
// read, compressed and not.
const maxAnswer = 64 << 10

// response is an answer of a token endpoint.
type response struct {
	status int
	header http.Header
	body   []byte // nil when it is not whole
	// doc is the body, decoded, unless broken says why it can't be. other is what the
	// body is when it is neither JSON nor a form, in words: such an answer may hold a
	// token, but can't refuse one.
	doc           any
	other, broken string
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
// without any text that came from outside: errors of net/http show what the
// endpoint wrote.
func send(rt http.RoundTripper, req *http.Request) (*response, *token.Failure) {
	// A connection that the endpoint has closed in the meantime fails like one
	// that broke within the call, which costs a refresh token. So each call has
	// its own.
	req.Close = true
	// No client: it would follow redirects, and the next host has no business with our
	// credentials.
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return nil, &token.Failure{Kind: token.Ambiguous, Reason: reason(req.Context(), err)}
	}
	defer resp.Body.Close()
	r := &response{status: resp.StatusCode, header: resp.Header}
	if r.body, r.broken = readBody(req.Context(), resp); r.broken == "" {
		r.doc, r.other, r.broken = r.document()
	}
	return r, nil
}

func readBody(ctx context.Context, resp *http.Response) (body []byte, broken string) {
	from := io.LimitReader(resp.Body, maxAnswer+1)
	switch strings.ToLower(resp.Header.Get("Content-Encoding")) {
	case "", "identity":
	case "gzip", "x-gzip":
		unzipped, err := gzip.NewReader(from)
		if err != nil {
			return nil, "the answer claims to be gzip and is not"
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

// reason describes in our own words why a call has failed.
func reason(ctx context.Context, err error) string {
	if errors.Is(ctx.Err(), context.Canceled) {
		return "the call was canceled"
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

// failure evaluates what needs no program: the status, and whether the body can be read.
// The kind is 0 for an answer that may hold a token.
func (r *response) failure() (kind token.FailureKind, why string) {
	switch {
	case r.status == http.StatusTooManyRequests, r.status == http.StatusServiceUnavailable:
		kind, why = token.Busy, "the endpoint asks to come again later"
	case r.status >= 500, r.status == http.StatusRequestTimeout:
		kind, why = token.Ambiguous, "the endpoint failed"
	case r.status >= 400:
		kind, why = token.Refused, token.SaidNo
	case r.status >= 300:
		return token.Refused, "a redirect, which is not followed; write the final URL"
	case r.broken != "":
		return token.Ambiguous, r.broken
	}
	if kind != 0 && r.broken != "" && r.body != nil {
		why += " and answered with " + document.Name(r.header.Get("Content-Type"), r.body)
	}
	return kind, why
}

// bareToken is a text that may be a token or a short message: one line.
var bareToken = regexp.MustCompile(`^[\x20-\x7E]+$`)

// formBody is a text that is a form, whatever its Content-Type says. Base64 has
// nothing after its padding.
var formBody = regexp.MustCompile(`^[\w.%+-]+=[^\s&=][^\s&]*(&[\w.%+-]+=[^\s&]*)*$`)

// document reads the body by what it is: JSON, XML, a form (an object of strings,
// and of arrays of them for names that repeat), bare text (a string), or nothing
// (null). broken says why it is none of these.
func (r *response) document() (doc any, other, broken string) {
	contentType := r.header.Get("Content-Type")
	body, err := document.UTF8(contentType, r.body, 3*maxAnswer, nil)
	if err != nil {
		return nil, "", "the answer is unreadable: " + err.Error()
	}
	body = bytes.TrimSpace(body)
	var reader document.Reader
	doc, err = reader.Read(contentType, body, jsonval.Limits{Bytes: 3 * maxAnswer})
	if errors.Is(err, jsonval.ErrSyntax) {
		what := document.Name(contentType, body)
		switch {
		case formBody.Match(body):
			reader.As = document.Form
			doc, err = reader.Read("", body, jsonval.Limits{Bytes: 3 * maxAnswer})
		case (what == "text" || what == "a form") && bareToken.Match(body):
			return string(body), "text", ""
		default:
			return nil, "", "the answer is unreadable: " + what + " instead of JSON"
		}
	}
	switch {
	case errors.Is(err, jsonval.ErrEmpty):
		return nil, "an empty body", ""
	case err != nil:
		return nil, "", "the answer is unreadable: " + plain(err)
	default:
		return doc, "", ""
	}
}

// retryAfter is how long a busy endpoint asks to wait, in seconds or until a
// time by its own clock (RFC 9110, section 10.2.3); 0 when it doesn't say.
func (r *response) retryAfter(date time.Time) time.Duration {
	text := strings.TrimSpace(r.header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, token.MaxWait)
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	if date.IsZero() {
		date = time.Now()
	}
	return min(max(at.Sub(date), 0), token.MaxWait)
}
