package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/connerr"
	"github.com/switchboard-ivr/switchboard/module/span"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// maxWait is how long a request without a deadline waits for a token. A request
// to the token endpoint may take as long.
const maxWait = 10 * time.Second

// RoundTrip sends a request with the token in it, and once more with a new token
// if the answer says that the token has expired. The request itself is not
// changed. Errors are those of the http transport, unchanged; a fault of the
// caller gets a 4xx response instead.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	own := Attempt{Reader: t.reader}
	a := attemptOf(req.Context())
	if a == nil {
		a = &own
	}
	a.Err, a.Refused, a.Cause, a.RuleErr, a.Expired, a.Raw, a.Doc = nil, 0, nil, nil, false, nil, nil
	if t.Token != "" && unsigned(req.Method) {
		return refuseMethod(req, a)
	}
	resp, err := t.exchange(a.outgoing(req), a)
	if resp != nil {
		resp.Request = req // not the copy, which contains the token
	}
	return resp, err
}

// exchange makes one or two attempts.
func (t *Transport) exchange(req *http.Request, a *Attempt) (*http.Response, error) {
	tok := a.Token
	if t.source == nil || tok == nil && t.inject.Where == token.InNone {
		return t.timed(req, a)
	}
	if tok == nil {
		var err error
		if tok, err = t.token(req.Context(), a); err != nil {
			closeBody(req)
			return t.noToken(req, a, err, 0)
		}
	}
	out := outgoing{req: req, body: req.Body, trailer: req.Trailer}
	if err := t.prepare(&out, a); err != nil {
		return refuse(req, a, err)
	}
	defer out.settle()

	resp, err := t.send(&out, tok, a)
	if err != nil || !a.Expired || !t.replays(a) || !out.repeatable() {
		return resp, err
	}
	return t.replay(&out, resp, tok, a)
}

// replay makes the second attempt, and returns its answer in place of the first
// one, which said that the token has expired. If there can be no second attempt,
// the first answer stands.
func (t *Transport) replay(out *outgoing, first *http.Response, old *token.Token, a *Attempt) (*http.Response, error) {
	fresh, err := t.token(out.req.Context(), a)
	if err != nil {
		discard(first)
		return t.noToken(out.req, a, err, first.StatusCode)
	}
	if fresh.Generation == old.Generation || out.rewind() != nil {
		return first, nil
	}
	// headers, cookies and body of the first answer are discarded, so that the
	// caller gets only one answer
	discard(first)
	a.Replayed = true
	if a.Token != nil {
		a.Token = fresh // for a retry by reverse_proxy
	}
	if entry := t.logger.Check(zapcore.DebugLevel, "replaying with a new token"); entry != nil {
		entry.Write(
			zap.String("token", t.Token),
			zap.Int("status", first.StatusCode),
			zap.String("was", old.Fingerprint()),
			zap.String("now", fresh.Fingerprint()),
		)
	}
	return t.send(out, fresh, a)
}

// send makes one attempt: it sends a copy of the request with the token in it,
// and checks the answer.
func (t *Transport) send(out *outgoing, tok *token.Token, a *Attempt) (*http.Response, error) {
	try, err := t.sign(out, tok)
	if err != nil {
		return refuse(out.req, a, err)
	}
	a.Used, a.Expired = tok, false
	t.hideEarly(try.Context(), tok.Access)
	resp, err := t.timed(try, a)
	if err != nil {
		return nil, err
	}
	if a.Err != nil {
		return resp, nil
	}
	t.hideToken(resp, tok.Access)
	reason, err := t.expired(resp, a)
	if err != nil {
		return nil, err
	}
	if reason != "" {
		a.Expired = true
		t.source.Invalidate(tok.Generation, out.number(a), reason)
	} else if resp.StatusCode < http.StatusBadRequest {
		tok.Accept()
	}
	return resp, nil
}

// token returns a token to send. A request without a deadline waits maxWait,
// because its client won't wait longer.
func (t *Transport) token(ctx context.Context, a *Attempt) (*token.Token, error) {
	if tok := t.source.Current(); tok != nil {
		return tok, nil
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, maxWait)
		defer cancel()
	}
	ctx, traced := span.Start(ctx, span.Token, false)
	start := time.Now()
	tok, err := t.source.Token(ctx)
	a.TokenWait += time.Since(start)
	if err != nil {
		traced.Fail("no_token")
	}
	traced.End()
	return tok, err
}

func (t *Transport) timed(req *http.Request, a *Attempt) (*http.Response, error) {
	_, traced := span.Start(req.Context(), span.Upstream, true)
	start := time.Now()
	if a.Once {
		req = sentOnce(req)
	}
	resp, err := t.next.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusBadRequest && req.URL.Scheme == "http" {
		err = tlsPort(resp)
	}
	a.Upstream += time.Since(start)
	if err != nil {
		traced.Fail("no answer") // the error may contain an address
		traced.End()
		a.Cause = err
		return a.blame(req, err)
	}
	traced.Number("http.response.status_code", int64(resp.StatusCode))
	traced.End()
	a.Cause = nil
	return resp, nil
}

// noToken responds in place of the API, which wasn't called or, if received is a
// status, has refused the last token. If the request's time has run out, no
// client is waiting for a response.
func (t *Transport) noToken(req *http.Request, a *Attempt, err error, received int) (*http.Response, error) {
	a.Err, a.Refused = err, received
	if ctxErr := req.Context().Err(); ctxErr != nil {
		return nil, ctxErr
	}
	// RFC 9209, section 2.3: the first one says that the API wasn't called
	proxyStatus := "switchboard; error=proxy_internal_response"
	if received != 0 {
		proxyStatus = "switchboard; error=proxy_internal_error; received-status=" + strconv.Itoa(received)
	}
	resp := made(req, call.NoToken.Status(), call.NoToken, "no token from "+t.Token, proxyStatus)
	after := time.Second
	if lack, ok := errors.AsType[*token.NoTokenError](err); ok {
		after = max(after, lack.RetryAfter)
	}
	seconds := int64((after + time.Second - 1) / time.Second)
	resp.Header["Retry-After"] = []string{strconv.FormatInt(seconds, 10)}
	return resp, nil
}

// refuse responds to a request that can't be sent because of its content. It
// returns other errors.
func refuse(req *http.Request, a *Attempt, err error) (*http.Response, error) {
	bad, ok := errors.AsType[*RequestError](err)
	if !ok {
		return nil, err
	}
	a.Err = err
	return made(req, bad.Status, call.BadRequest, bad.Reason, "switchboard; error=http_request_error"), nil
}

// unsigned reports whether no token must be sent with a method: the answer to
// TRACE repeats the request, with the token, and CONNECT opens a tunnel.
func unsigned(method string) bool {
	return strings.EqualFold(method, "TRACE") || strings.EqualFold(method, "TRACK") || strings.EqualFold(method, "CONNECT")
}

// refuseMethod responds to a request whose method is never sent.
func refuseMethod(req *http.Request, a *Attempt) (*http.Response, error) {
	closeBody(req)
	resp, err := refuse(req, a, &RequestError{http.StatusMethodNotAllowed, "the method " + strings.ToUpper(req.Method) + " is never sent"})
	resp.Header["Allow"] = []string{"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"}
	return resp, err
}

// made returns a response of our own: one line of JSON.
func made(req *http.Request, status int, outcome call.Outcome, message, proxyStatus string) *http.Response {
	text, _ := json.Marshal(map[string]map[string]string{ // strings always encode
		"error": {"outcome": string(outcome), "message": message},
	})
	resp := &http.Response{
		Status:     strconv.Itoa(status) + " " + http.StatusText(status),
		StatusCode: status,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header: http.Header{
			"Content-Type":   {"application/json"},
			"Content-Length": {strconv.Itoa(len(text))},
			"Cache-Control":  {"no-store"},
			"Proxy-Status":   {proxyStatus},
		},
		ContentLength: int64(len(text)),
		Body:          http.NoBody,
		Request:       req,
	}
	if req.Method != http.MethodHead {
		resp.Body = io.NopCloser(bytes.NewReader(text))
	}
	return resp
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

const (
	// maxDiscard is how much of a discarded answer is read so that its connection
	// can be reused; a longer answer closes the connection.
	maxDiscard = 64 << 10
	// discardWait is how long reading it may take. Most bodies have arrived with
	// the headers.
	discardWait = 20 * time.Millisecond
)

// discard discards an answer. It does not wait for one that doesn't end.
func discard(resp *http.Response) {
	if resp.ContentLength == 0 || resp.ContentLength > maxDiscard {
		_ = resp.Body.Close()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.CopyN(io.Discard, resp.Body, maxDiscard)
		_ = resp.Body.Close()
	}()
	late := time.NewTimer(discardWait)
	defer late.Stop()
	select {
	case <-done:
	case <-late.C:
		_ = resp.Body.Close() // ends the read
	}
}

// maxTLSWords is the maximum length of an answer that says that the port speaks
// TLS.
const maxTLSWords = 2 << 10

// tlsPort returns [connerr.ErrTLSPort] if the answer to a plain HTTP request,
// with status 400, says that the port speaks TLS. Any other answer is put back.
func tlsPort(resp *http.Response) error {
	if resp.ContentLength > maxTLSWords || resp.ContentLength == 0 || resp.ContentLength < 0 && !resp.Close {
		return nil
	}
	begin, _ := io.ReadAll(io.LimitReader(resp.Body, maxTLSWords))
	if connerr.SaysTLSPort(begin) {
		_ = resp.Body.Close()
		return connerr.ErrTLSPort
	}
	putBack(resp, begin)
	return nil
}

// putBack puts back the beginning of an answer's body. An error that has ended the
// read comes again: net/http's bodies repeat theirs.
func putBack(resp *http.Response, begin []byte) {
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(begin), resp.Body), resp.Body}
}

// outgoing returns req, or a copy of it whose body is observed while it is sent,
// or that net/http may send twice.
func (a *Attempt) outgoing(req *http.Request) *http.Request {
	a.upload = nil
	streams := req.Body != nil && req.Body != http.NoBody && req.ContentLength != 0 && req.GetBody == nil
	marks := a.Read && req.Method != http.MethodGet && req.Method != http.MethodHead
	if !streams && !marks {
		return req
	}
	req = req.WithContext(req.Context())
	if streams {
		a.upload = &upload{ReadCloser: req.Body, progress: a.Progress}
		req.Body = a.upload
	}
	if marks {
		req.Header = copyOf(req.Header)
		req.Header["X-Idempotency-Key"] = nil // a signal to net/http; it is not sent
	}
	return req
}

// sentOnce returns a request that net/http doesn't send once more when a reused
// connection breaks: it does so with a GET, and with a request that has an
// Idempotency-Key, unless there is a body that it can't read again. An empty body of
// unknown length is not sent.
func sentOnce(req *http.Request) *http.Request {
	req = req.WithContext(req.Context())
	req.GetBody = nil
	if req.Body == nil || req.Body == http.NoBody {
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader("")), -1
	}
	return req
}
