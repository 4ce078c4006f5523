package transport

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/switchboard-ivr/switchboard/internal/mask"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// shortestHidden is the minimum length of a token that is searched for in an
// answer: a shorter one could match by chance.
const shortestHidden = 4

// hideToken masks the token in an answer's header and trailer. Some APIs repeat
// the URL or the credentials of a request, and the caller must not see them.
func (t *Transport) hideToken(resp *http.Response, access string) {
	t.hideFields(resp.Header, access)
	if len(access) >= shortestHidden && resp.Body != nil && resp.StatusCode != http.StatusSwitchingProtocols && (resp.ContentLength < 0 || len(resp.Trailer) > 0) {
		resp.Body = &echoed{resp.Body, resp, access}
	}
}

// hideEarly masks the token in interim responses (103 Early Hints), which
// reverse_proxy forwards while it waits. A handler that buffers answers drops
// them. The trace belongs to this request only.
func (t *Transport) hideEarly(ctx context.Context, access string) {
	trace := httptrace.ContextClientTrace(ctx)
	if trace == nil || trace.Got1xxResponse == nil || attemptOf(ctx) != nil {
		return
	}
	next := trace.Got1xxResponse
	trace.Got1xxResponse = func(code int, fields textproto.MIMEHeader) error {
		t.hideFields(http.Header(fields), access)
		return next(code, fields)
	}
}

// hideFields masks the token in the fields of an answer.
func (t *Transport) hideFields(fields http.Header, access string) {
	if t.inject.Where == token.InQuery {
		hideParameter(fields, t.inject.Name)
	}
	if len(access) >= shortestHidden {
		hideIn(fields, access)
	}
}

// hideIn masks the token in all values.
func hideIn(fields http.Header, access string) {
	for _, values := range fields {
		for i, value := range values {
			if strings.Contains(value, access) {
				value = strings.ReplaceAll(value, access, mask.Hidden)
				values[i] = value
			}
			if strings.IndexByte(value, '%') >= 0 {
				values[i] = hideEscaped(value, access)
			}
		}
	}
}

// hideEscaped masks the percent-encoded token in a value, or the whole value if
// it is encoded differently than by us.
func hideEscaped(value, access string) string {
	value = strings.ReplaceAll(value, escapeParameter(access), mask.Hidden)
	if plain, err := url.PathUnescape(value); err == nil && strings.Contains(plain, access) || strings.Contains(unescapeKey(value), access) {
		return mask.Hidden
	}
	return value
}

// echoed is the body of an answer that may have a trailer, which is available
// after the end of the body.
type echoed struct {
	io.ReadCloser
	resp   *http.Response
	access string
}

// Read implements io.Reader.
func (e *echoed) Read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	if err != nil && len(e.resp.Trailer) > 0 {
		hideIn(e.resp.Trailer, e.access)
	}
	return n, err
}
