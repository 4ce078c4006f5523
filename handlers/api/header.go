package api

import (
	"net/http"
	"strconv"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/switchboard-ivr/switchboard/internal/call"
)

func validHeaderName(name string) bool { return httpguts.ValidHeaderFieldName(name) }

// proxyErrors are the error types of RFC 9209, section 2.3, for the outcomes
// without an answer.
var proxyErrors = map[call.Outcome]string{
	call.Timeout:      "http_response_timeout",
	call.Unreachable:  "destination_unavailable",
	call.NoToken:      "proxy_internal_response",
	call.BadAnswer:    "http_protocol_error",
	call.TooLarge:     "http_response_body_size",
	call.BreakerOpen:  "destination_unavailable",
	call.Held:         "destination_unavailable",
	call.BadRequest:   "http_request_error",
	call.Unauthorized: "http_request_denied",
}

// describe writes the headers that tell how the call went: Proxy-Status
// (RFC 9209) and Server-Timing (W3C).
func (c *run) describe(header http.Header) {
	b := append(make([]byte, 0, 160), "switchboard"...)
	if kind, ok := proxyErrors[c.outcome]; ok {
		b = append(append(b, "; error="...), kind...)
	}
	if c.recorder.status != 0 {
		b = strconv.AppendInt(append(b, "; received-status="...), int64(c.recorder.status), 10)
	}
	b = append(append(append(b, `; details="`...), c.outcome...), '"')
	header["Proxy-Status"] = append(header["Proxy-Status"], string(b))

	b = b[:0]
	for _, step := range [...]struct {
		name string
		took time.Duration
	}{
		{"token", c.attempt.TokenWait},
		{"call", c.attempt.Upstream},
		{"jq", c.timing.request + c.timing.output},
		{"total", time.Since(c.start)},
	} {
		if step.took <= 0 {
			continue
		}
		if len(b) > 0 {
			b = append(b, ", "...)
		}
		b = strconv.AppendFloat(append(append(b, step.name...), ";dur="...), float64(step.took)/1e6, 'f', 1, 64)
	}
	header["Server-Timing"] = append(header["Server-Timing"], string(b))
}
