package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"runtime/debug"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/connerr"
	"github.com/switchboard-ivr/switchboard/module/transport"
)

// errPanicked replaces the panic of a handler, except http.ErrAbortHandler.
var errPanicked = errors.New("a handler in the chain panicked")

// exchange calls the API. If the request was computed from the token and the API
// says that the token has expired, the request is built again and sent once more.
// In all other cases the transport replays it.
func (c *run) exchange() bool {
	a := c.api
	c.trace.again = a.replay && c.dependsOnToken()
	for {
		c.trace.stage = atRequest
		req := c.prepare()
		if req == nil {
			return false
		}
		c.trace.stage, c.trace.sent = atCall, req
		if c.call.Test != nil && c.call.Test.DryRun {
			return c.call.Fail(call.DryRun, c.call.Test.DryRunReason)
		}
		c.trace.again = c.trace.again && replayable(req)
		c.attempt.NoReplay = !a.replay || c.dependsOnToken()
		c.response.reset(c.call.W, a.MaxSize, &c.call.Room)
		c.response.owner = c
		err := c.send(req)
		if c.trace.again && c.attempt.Expired && c.call.Ctx.Err() == nil && !c.response.passing {
			c.trace.again = false
			c.trace.first = c.attempt.Used
			c.attempt = transport.Attempt{
				Replayed: true, Params: c.attempt.Params, Request: c.attempt.Request, Part: c.attempt.Part, Room: &c.call.Room,
				TokenWait: c.attempt.TokenWait, Upstream: c.attempt.Upstream, Refused: c.response.status,
			}
			continue
		}
		return c.settle(err)
	}
}

func replayable(req *http.Request) bool {
	return req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
}

// send runs the chain. reverse_proxy panics when the API truncates its answer.
func (c *run) send(req *http.Request) (err error) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			err = http.ErrAbortHandler
		default:
			c.call.Route.Logger.Error("a handler in the chain panicked",
				zap.String("api", c.api.Name), zap.String("call_id", c.call.ID), zap.ByteString("stack", debug.Stack()))
			err = errPanicked
		}
	}()
	if c.attempt.Progress != nil { // the body is streamed, and may stall
		stop := call.AbortReads(c.call.Ctx, c.call.W)
		defer stop()
	}
	return c.api.chain.ServeHTTP(&c.response, req)
}

// passesThrough implements [passThrough]: an answer that is neither judged nor
// shaped is passed through.
func (c *run) passesThrough(status int, header http.Header) bool {
	// when a caller disconnects, reverse_proxy writes a 499 of its own
	if c.attempt.Err != nil || c.call.Ctx.Err() != nil || (c.trace.again && c.attempt.Expired) {
		return false
	}
	stream := isStream(status, header)
	c.response.endless = stream && c.api.shaped
	return !c.api.buffered || (stream && !c.response.endless)
}

// startPassing is called when an answer begins to pass through. The budget ends
// here, and the status alone says whether the API is healthy.
func (c *run) startPassing() {
	c.call.Ctx.Lift()
	switch status := c.response.status; {
	case status >= http.StatusInternalServerError, status == http.StatusTooManyRequests:
		c.call.Fail(call.Failed, "the API is failing: "+c.describeAnswer())
		if !c.call.Uncharged {
			c.call.Route.Metrics.Unhealthy()
		}
	case status >= http.StatusMultipleChoices && status < http.StatusBadRequest && !c.api.target.sidecar():
		c.redirected()
	case status >= http.StatusBadRequest:
		c.call.Fail(call.Rejected, "the API rejected the request: "+c.describeAnswer())
	default:
		c.call.Outcome = call.OK
	}
	c.report()
	c.copyResults()
	c.call.Describe(c.response.header)
}

// settle evaluates the exchange. It returns true if there is an answer to judge.
func (c *run) settle(err error) bool {
	rec := &c.response
	switch {
	case rec.passing:
		if err != nil {
			panic(http.ErrAbortHandler) // so that the phone system sees that the stream broke
		}
		return false
	case c.attempt.Err != nil && !c.callerGone():
		if body, ok := errors.AsType[*transport.RequestError](c.attempt.Err); ok {
			return c.call.Refuse(body.Status, call.BadRequest, body.Error())
		}
		return c.call.Fail(call.NoToken, c.attempt.Err.Error())
	case rec.noRoom:
		return c.call.Overloaded()
	case c.call.Ctx.Err() != nil:
		return c.call.Expire("")
	case rec.endless:
		return c.call.Fail(call.BadAnswer, errEndless.Error())
	case rec.overrun:
		return c.call.Fail(call.TooLarge, errOverrun.Error())
	case errors.Is(err, http.ErrAbortHandler):
		return c.call.Fail(call.BadAnswer, "the answer was cut off")
	case errors.Is(err, errPanicked):
		return c.call.Fail(call.BadAnswer, err.Error())
	case err != nil:
		return c.call.Fail(c.outcomeOf(err))
	case rec.status == 0:
		return c.call.Fail(call.BadAnswer, "no answer was written")
	}
	return true
}

func (c *run) callerGone() bool { return c.call.R.Context().Err() != nil && !c.call.Ctx.Spent() }

// outcomeOf returns the outcome for an error of the chain, and the reason. The
// transport has recorded the cause, which reverse_proxy hides. The reason names
// neither an address nor a URL.
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
		return call.BadAnswer, "the answer was cut off"
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
	return call.BadAnswer, "a handler in the chain failed"
}
