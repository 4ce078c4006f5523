package endpoint

import (
	"net/http"
	"strconv"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/call"
)

// proxyErrors are the error types of RFC 9209, section 2.3, for the outcomes
// without an answer.
var proxyErrors = map[call.Outcome]string{
	call.Timeout:      "http_response_timeout",
	call.Unreachable:  "destination_unavailable",
	call.NoToken:      "proxy_internal_response",
	call.TokenRefused: "proxy_internal_error",
	call.Incomplete:   "http_request_error",
	call.BadAnswer:    "http_protocol_error",
	call.TooLarge:     "http_response_body_size",
	call.BreakerOpen:  "destination_unavailable",
	call.Held:         "destination_unavailable",
	call.BadRequest:   "http_request_error",
	call.Unauthorized: "http_request_denied",
}

// Describe writes the headers that tell how the call went: Proxy-Status
// (RFC 9209), Cache-Status (RFC 9211) and Server-Timing (W3C).
func (c *Call) Describe(header http.Header) {
	b := append(make([]byte, 0, 160), "switchboard"...)
	if kind, ok := proxyErrors[c.Outcome]; ok {
		b = append(append(b, "; error="...), kind...)
	}
	if c.Received != 0 {
		b = strconv.AppendInt(append(b, "; received-status="...), int64(c.Received), 10)
	}
	b = append(append(append(b, `; details="`...), c.Outcome...), '"')
	header["Proxy-Status"] = append(header["Proxy-Status"], string(b))

	header["Cache-Status"] = append(header["Cache-Status"], string(c.cached.append(b[:0])))

	b = b[:0]
	for _, step := range [...]struct {
		name string
		took time.Duration
	}{
		{"token", c.Timing.Token},
		{"call", c.Timing.Upstream},
		{"jq", c.Timing.Request + c.Timing.Output},
		{"total", time.Since(c.started)},
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
