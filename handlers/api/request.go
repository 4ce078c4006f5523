package api

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/jqhttp"
	"github.com/switchboard-ivr/switchboard/module/span"
	"github.com/switchboard-ivr/switchboard/module/token"
	"github.com/switchboard-ivr/switchboard/module/token/source"
	"github.com/switchboard-ivr/switchboard/module/transport"
)

// Body configures the request's body.
type Body struct {
	// jq: params → the body.
	Program string `json:"program,omitempty"`

	// json (default), form (the program gives an object) or text (a string).
	Encoding string `json:"encoding,omitempty"`
}

func (b *Body) kind() jq.Kind {
	switch b.Encoding {
	case "form":
		return jq.Object
	case "text":
		return jq.String
	default:
		return jq.Any
	}
}

func (b *Body) contentType() string {
	switch b.Encoding {
	case "form":
		return "application/x-www-form-urlencoded"
	case "text":
		return "text/plain; charset=utf-8"
	default:
		return "application/json"
	}
}

// Pass says which parts of the incoming request to forward unchanged.
type Pass struct {
	Query   bool     `json:"query,omitempty"`
	Body    bool     `json:"body,omitempty"`
	Headers []string `json:"headers,omitempty"`
}

// prepare builds the API's request. It returns nil if that ended the call.
func (c *run) prepare() *http.Request {
	begin, waited := time.Now(), c.attempt.TokenWait
	defer func() { c.call.Timing.Request += time.Since(begin) - (c.attempt.TokenWait - waited) }()
	a := c.api
	req := c.call.R.WithContext(transport.WithAttempt(c.call.Ctx, &c.attempt))
	req.Method = a.method(c.call.R.Method)
	// a cached call only reads, and a write with a key in a header may be repeated
	c.attempt.Read = a.Cache != nil || a.Once != nil && a.Once.Header != ""
	c.attempt.Once = a.Once != nil && a.Once.Header == ""

	vars, ok := c.variables()
	if !ok {
		return nil
	}
	to := a.target
	if to.keep != "" {
		resolved, err := to.fromToken(c.attempt.Token.Keep, a.source.KeepHosts())
		if err != nil {
			c.call.Fail(call.NoToken, err.Error())
			return nil
		}
		to = resolved
		c.upstream = to.dial
	}
	req.Host = to.host
	if !c.address(req, to, vars) || !c.fill(req, vars) || !c.addHeaders(req, vars) {
		return nil
	}
	return req
}

// method returns the method of the API's request. If the answer is buffered, HEAD
// becomes GET: the phone system gets the headers of the answer to a GET.
func (a *API) method(of string) string {
	switch {
	case a.Method != "":
		return a.Method
	case of == http.MethodHead && a.buffered:
		return http.MethodGet
	default:
		return of
	}
}

// token returns the token for the programs.
func (c *run) token() (*token.Token, error) {
	if held := c.api.source.Current(); held != nil {
		return held, nil
	}
	ctx, traced := span.Start(c.call.Ctx, span.Token, false)
	defer traced.End()
	begin := time.Now()
	held, err := c.api.source.Token(ctx)
	c.attempt.TokenWait += time.Since(begin)
	if err != nil {
		traced.Fail(string(call.NoToken))
	}
	return held, err
}

// variables returns the values of a request program's variables. The token is
// only obtained if a program or the URL depends on it.
func (c *run) variables() ([]any, bool) {
	a := c.api
	vars := make([]any, 0, len(requestVars)+len(a.programs.credentials)+len(a.With)+len(headerVars))
	vars = append(vars, c.call.Request, nil, nil, nil)
	if a.source == nil {
		return c.withParts(vars), true
	}
	if c.dependsOnToken() {
		held, err := c.token()
		if err != nil {
			if c.call.R.Context().Err() != nil {
				return nil, c.call.Expire("")
			}
			c.attempt.Err = err // as the transport does: it says when to retry
			return nil, c.call.Fail(call.NoToken, err.Error())
		}
		c.attempt.Token = held
		vars[1] = held.Access
	}
	if a.programs.signs {
		vars[2], vars[3] = a.source.Stamp(time.Now()), source.Nonce()
	}
	return c.withParts(append(vars, a.programs.credentials...)), true
}

// withParts appends the answers of the parts, where there are any.
func (c *run) withParts(vars []any) []any {
	if c.parts == nil {
		return vars
	}
	return append(vars, c.parts.values...)
}

// dependsOnToken reports whether the request can only be built with the token.
// Otherwise the transport obtains it.
func (c *run) dependsOnToken() bool {
	a := c.api
	return (a.programs.signs || a.target.keep != "") && a.source != nil && a.source.HasToken()
}

// address sets the request's URL.
func (c *run) address(req *http.Request, to *target, vars []any) bool {
	a := c.api
	u := &url.URL{Scheme: c.call.R.URL.Scheme, Host: c.call.R.URL.Host, Path: to.path, RawPath: to.raw}
	if to.sidecar {
		if jqhttp.Climbs(c.call.R.URL.EscapedPath()) {
			return c.call.Refuse(http.StatusBadRequest, call.BadRequest, "the path has a dot segment")
		}
		u.Path, u.RawPath, u.RawQuery = c.call.R.URL.Path, c.call.R.URL.RawPath, c.call.R.URL.RawQuery
	}
	if a.programs.path != nil {
		segments, err := a.programs.path.Run(c.call.Ctx, c.call.Input.Params, vars...)
		if err != nil {
			return c.failed("path", err)
		}
		u.Path, u.RawPath, err = to.join(segments.([]any))
		if err != nil {
			return c.failed("path", err)
		}
	}
	if a.Pass != nil && a.Pass.Query {
		u.RawQuery = c.call.R.URL.RawQuery
	}
	if a.programs.query != nil {
		object, err := a.programs.query.Run(c.call.Ctx, c.call.Input.Params, vars...)
		if err != nil {
			return c.failed("query", err)
		}
		query, err := jqhttp.Query(object.(map[string]any))
		if err != nil {
			return c.failed("query", err)
		}
		u.RawQuery = expand(u.RawQuery, object.(map[string]any), query)
	}
	req.URL = u
	return true
}

// expand replaces parameters of a raw query with those of the same name. encoded
// is the encoded query of the object by.
func expand(raw string, by map[string]any, encoded string) string {
	if raw == "" {
		return encoded
	}
	var pairs []string
	for pair := range strings.SplitSeq(raw, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		if _, replaced := by[name]; pair != "" && !replaced {
			pairs = append(pairs, pair)
		}
	}
	if encoded != "" {
		pairs = append(pairs, encoded)
	}
	return strings.Join(pairs, "&")
}

// fill sets the request's body: the output of the body program, the incoming
// body, or, in a sidecar, the incoming stream.
func (c *run) fill(req *http.Request, vars []any) bool {
	a := c.api
	sidecar := a.target.sidecar
	if sidecar {
		req.Header = c.call.R.Header.Clone()
	} else {
		req.Header = make(http.Header, 8)
	}
	switch {
	case a.programs.body != nil:
		text, err := a.Body.encode(c, vars)
		if err != nil {
			return c.failed("body", err)
		}
		setBody(req, text)
		req.Header.Set("Content-Type", a.Body.contentType())
	case c.call.Input == nil: // a sidecar's, which the transport copies while it is sent
		c.attempt.Progress = c.call.Ctx.Restart
	case sidecar, a.Pass != nil && a.Pass.Body:
		setBody(req, c.call.Input.Raw)
		if kind := c.call.R.Header.Get("Content-Type"); kind != "" {
			req.Header.Set("Content-Type", kind)
		}
	default:
		setBody(req, nil)
	}
	return true
}

func (b *Body) encode(c *run, vars []any) ([]byte, error) {
	v, err := c.api.programs.body.Run(c.call.Ctx, c.call.Input.Params, vars...)
	if err != nil {
		return nil, err
	}
	switch b.Encoding {
	case "form":
		form, err := jqhttp.Values(v.(map[string]any))
		return []byte(form), err
	case "text":
		return []byte(v.(string)), nil
	default:
		return jqhttp.JSON(v)
	}
}

func setBody(req *http.Request, text []byte) {
	req.Header.Del("Content-Length")
	req.Trailer, req.TransferEncoding = nil, nil
	req.ContentLength = int64(len(text))
	if len(text) == 0 {
		req.Body, req.GetBody = http.NoBody, nil
		return
	}
	req.Body = io.NopCloser(bytes.NewReader(text))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
}

func validHeaderName(name string) bool { return httpguts.ValidHeaderFieldName(name) }

// addHeaders sets the request's headers. An API call has only our own headers. A
// sidecar has those of the incoming request, without the credential that
// [endpoint.Gate] has accepted.
func (c *run) addHeaders(req *http.Request, vars []any) bool {
	a := c.api
	if !a.target.sidecar {
		// present and empty: reverse_proxy leaves them out
		req.Header["X-Forwarded-For"] = nil
		req.Header["X-Forwarded-Host"] = nil
		req.Header["X-Forwarded-Proto"] = nil
		req.Header["User-Agent"] = []string{"switchboard"}
		req.Header["Accept"] = []string{a.Answer.accept()}
	}
	if c.buffers() {
		// what is buffered must be complete and readable
		for _, name := range []string{"Accept-Encoding", "Range", "If-Range", "If-None-Match", "If-Modified-Since"} {
			delete(req.Header, name)
		}
	}
	req.Header["X-Request-Id"] = []string{c.call.ID}
	span.Pass(c.call.R.Context(), req.Header)
	if a.Pass != nil {
		for _, name := range a.Pass.Headers {
			if v := c.call.R.Header.Values(name); len(v) > 0 {
				req.Header[http.CanonicalHeaderKey(name)] = v
			}
		}
	}
	for name, value := range a.SetHeaders {
		value, _, err := jqhttp.Header(name, c.call.Repl.ReplaceAll(value, ""))
		if err != nil {
			return c.failed("header "+name, err)
		}
		req.Header.Set(name, value)
	}
	if a.programs.headers == nil {
		return true
	}
	return c.computeHeaders(req, vars)
}

func (c *run) computeHeaders(req *http.Request, vars []any) bool {
	program := c.api.programs.headers
	body := ""
	if req.GetBody != nil && program.Uses("body") {
		r, _ := req.GetBody()
		text, _ := io.ReadAll(r)
		body = string(text)
	}
	address := url.URL{Scheme: c.api.target.scheme, Host: req.Host, Path: req.URL.Path, RawPath: req.URL.RawPath, RawQuery: req.URL.RawQuery}
	vars = append(vars, address.String(), req.URL.RawQuery, body)
	object, err := program.Run(c.call.Ctx, c.call.Input.Params, vars...)
	if err != nil {
		return c.failed("headers", err)
	}
	for name, v := range object.(map[string]any) {
		value, keep, err := jqhttp.Header(name, v)
		switch {
		case err != nil:
			return c.failed("headers", err)
		case !keep:
			req.Header.Del(name)
		case http.CanonicalHeaderKey(name) == "Host":
			req.Host = value
		default:
			req.Header.Set(name, value)
		}
	}
	return true
}
