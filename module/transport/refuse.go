package transport

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// noToken answers in place of the API, which wasn't called or, where received is
// a status, has refused the last token. When it is the request's time that has
// run out, there is nobody to answer.
func (t *Transport) noToken(req *http.Request, a *Attempt, err error, received int) (*http.Response, error) {
	a.Err, a.Refused = err, received
	if ctxErr := req.Context().Err(); ctxErr != nil {
		return nil, ctxErr
	}
	// RFC 9209, section 2.3: the first says that nobody was called
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

// refuse answers a request that can't be sent because of what is in it. Other
// errors pass.
func refuse(req *http.Request, a *Attempt, err error) (*http.Response, error) {
	bad, ok := errors.AsType[*RequestError](err)
	if !ok {
		return nil, err
	}
	a.Err = err
	return made(req, bad.Status, call.BadRequest, bad.Reason, "switchboard; error=http_request_error"), nil
}

// unsigned are the methods that no token is sent with: an API answers TRACE with
// the request that it got, token included, and CONNECT opens a tunnel.
func unsigned(method string) bool {
	switch len(method) {
	case len("TRACE"), len("CONNECT"):
		return strings.EqualFold(method, "TRACE") || strings.EqualFold(method, "TRACK") || strings.EqualFold(method, "CONNECT")
	default:
		return false
	}
}

// refuseMethod answers a request whose method is never sent.
func refuseMethod(req *http.Request, a *Attempt) (*http.Response, error) {
	closeBody(req)
	resp, err := refuse(req, a, &RequestError{http.StatusMethodNotAllowed, "the method " + strings.ToUpper(req.Method) + " is never sent"})
	resp.Header["Allow"] = []string{"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"}
	return resp, err
}

// made makes an answer of our own: one line of JSON.
func made(req *http.Request, status int, outcome call.Outcome, message, proxyStatus string) *http.Response {
	text, err := json.Marshal(map[string]any{
		"error": map[string]string{"outcome": string(outcome), "message": message},
	})
	if err != nil {
		panic(err) // strings always encode
	}
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
		resp.Body = io.NopCloser(strings.NewReader(string(text)))
	}
	return resp
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}
