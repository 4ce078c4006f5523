package transport

import (
	"context"
	"net/http"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/switchboard-ivr/switchboard/module/span"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// maxWait is how long a request without a deadline waits for a token. It is as
// long as a call of the token endpoint may take (reliability T15).
const maxWait = 10 * time.Second

// RoundTrip sends a request with the token in it, and once more with a new one
// when the answer says that the token is dead. The request itself is not
// changed. Errors are those of the http transport, as they are; what the caller
// is to blame for is answered with a 4xx instead.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	own := Attempt{Part: t.part}
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
		resp.Request = req // the copies hold the token
	}
	return resp, err
}

// exchange makes one try of a request, or two.
func (t *Transport) exchange(req *http.Request, a *Attempt) (*http.Response, error) {
	tok := a.Token
	if t.holder == nil || tok == nil && t.inject.Where == token.InNone {
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

// replay answers with a second try in place of a first answer that said that
// the token is dead. Where there can be none, the first answer stands.
func (t *Transport) replay(out *outgoing, first *http.Response, old *token.Token, a *Attempt) (*http.Response, error) {
	fresh, err := t.token(out.req.Context(), a)
	if err != nil {
		discard(first)
		return t.noToken(out.req, a, err, first.StatusCode)
	}
	if fresh.Generation == old.Generation || out.rewind() != nil {
		return first, nil
	}
	// headers, cookies and body of the first answer end here (reliability T12)
	discard(first)
	a.Replayed = true
	if a.Token != nil {
		a.Token = fresh // for a retry that reverse_proxy may make
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

// send makes one try: a copy of the request with the token in it, and a look at
// the answer.
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
		t.holder.Invalidate(tok.Generation, out.number(a), reason)
	} else if resp.StatusCode < http.StatusBadRequest {
		tok.Accept()
	}
	return resp, nil
}

// token gets a token to send. A request that has all the time in the world
// waits maxWait: its client has less.
func (t *Transport) token(ctx context.Context, a *Attempt) (*token.Token, error) {
	if tok := t.holder.Current(); tok != nil {
		return tok, nil
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, maxWait)
		defer cancel()
	}
	ctx, traced := span.Start(ctx, span.Token, false)
	start := time.Now()
	tok, err := t.holder.Token(ctx)
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
	resp, err := t.next.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusBadRequest && req.URL.Scheme == "http" {
		err = tlsPort(resp)
	}
	a.Upstream += time.Since(start)
	if err != nil {
		traced.Fail("no answer") // the error may hold an address
		traced.End()
		a.Cause = err
		return a.blame(req, err)
	}
	traced.Number("http.response.status_code", int64(resp.StatusCode))
	traced.End()
	a.Cause = nil
	return resp, nil
}
