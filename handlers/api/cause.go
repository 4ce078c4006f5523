package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/connerr"
	"github.com/switchboard-ivr/switchboard/module/transport"
)

// outcomeOf returns what the error of the chain means, and why it happened, as
// the transport has seen it: reverse_proxy hides that. The reason names neither
// an address nor a URL.
func (c *run) outcomeOf(err error) (call.Outcome, string) {
	cause := c.attempt.Cause
	if connerr.HeaderTooLarge(cause) {
		return call.TooLarge, "the answer's header is larger than max_header"
	}
	why := connerr.Reason(cause)
	if _, ok := errors.AsType[reverseproxy.DialError](err); ok {
		return call.Unreachable, cmp.Or(why, "no connection could be made")
	}
	if broken, ok := errors.AsType[*transport.ReadError](err); ok && !broken.Timeout() {
		return call.BadAnswer, "the answer broke off"
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return call.Timeout, "the API took too long"
	}
	if e, ok := errors.AsType[caddyhttp.HandlerError](err); ok {
		switch e.StatusCode {
		case http.StatusGatewayTimeout:
			return call.Timeout, "the API took too long"
		case http.StatusBadGateway, http.StatusServiceUnavailable:
			return call.Unreachable, cmp.Or(why, "the connection broke before an answer")
		}
	}
	return call.BadAnswer, "a handler of the chain failed"
}
