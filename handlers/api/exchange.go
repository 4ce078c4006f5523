package api

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/connerr"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/module/transport"
)

// errPanicked replaces the panic of a handler, except http.ErrAbortHandler.
var errPanicked = errors.New("a handler in the chain panicked")

// exchange calls the API. If the request was computed from the token and the API
// says that the token has expired, the request is built again and sent once more.
// In all other cases the transport replays it.
func (c *run) exchange() bool {
	a := c.api
	if a.target.none {
		return true
	}
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
		if req = c.call.BeforeSend(req); req == nil {
			return false
		}
		c.response.reset(c.call.W, a.MaxSize, &c.call.Room)
		c.response.owner = c
		err := c.send(req)
		if c.trace.again && c.attempt.Expired && c.call.Ctx.Err() == nil && !c.response.passing {
			c.trace.again = false
			c.trace.first = c.attempt.Used
			c.attempt = transport.Attempt{
				Replayed: true, Params: c.attempt.Params, Request: c.attempt.Request, Reader: c.attempt.Reader, Room: &c.call.Room,
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

// provisionChain loads the handlers and chains them together.
func (a *API) provisionChain(ctx caddy.Context) error {
	if a.target.none {
		return nil
	}
	if len(a.HandleRaw) == 0 {
		proxy, err := a.proxy(nil)
		if err != nil {
			return err
		}
		a.HandleRaw = []json.RawMessage{proxy}
	}
	if a.Token != "" && !a.injects() {
		return fmt.Errorf("token %s is named, but no reverse_proxy in handle has `\"transport\": {\"protocol\": \"switchboard\", \"token\": %q}`", a.Token, a.Token)
	}
	a.placeholders = a.findPlaceholders() // loading empties HandleRaw
	a.keyed = slices.DeleteFunc(slices.Clone(a.placeholders), changesEachCall)
	guests, err := ctx.LoadModule(a, "HandleRaw")
	if err != nil {
		return fmt.Errorf("loading handle: %w", err)
	}
	var next caddyhttp.Handler = caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	for _, guest := range slices.Backward(guests.([]any)) {
		handler, after := guest.(caddyhttp.MiddlewareHandler), next
		next = caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
			return handler.ServeHTTP(w, r, after)
		})
	}
	a.chain = next
	return nil
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
	c.response.endless = stream && (c.api.shaped || c.isPart)
	return !c.buffers() || (stream && !c.response.endless)
}

// buffers reports whether the answer is read as a whole: because of the settings, or
// because another API uses it.
func (c *run) buffers() bool { return c.api.buffered || c.isPart }

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
	case status >= http.StatusMultipleChoices && status < http.StatusBadRequest && !c.api.target.sidecar:
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
			c.breakOff()
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

// breakOff ends a call whose answer broke off while it was passed through.
func (c *run) breakOff() {
	c.response.broken = true
	if c.call.R.Context().Err() != nil {
		c.call.Fail(call.Canceled, "the phone system hung up")
		return
	}
	c.call.Fail(call.BadAnswer, "the answer broke off while it was passed through")
	if !c.call.Uncharged {
		c.call.Route.Metrics.Unhealthy()
	}
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

// responseBuffer stands between the chain and the phone system. It buffers an
// answer until the call has been judged, or passes it through as it arrives.
//
// It has no Unwrap, and its flush has no effect while it buffers: reverse_proxy
// flushes before it panics on a truncated answer, and nothing must be sent then.
type responseBuffer struct {
	w       http.ResponseWriter
	header  http.Header
	status  int
	body    *bytes.Buffer
	limit   int64
	passing bool // the answer is passed through; it can't be changed any more
	overrun bool // the answer is larger than the limit
	noRoom  bool // no memory became available in time
	endless bool // the answer is a stream, which can't be buffered
	broken  bool // the answer broke off while it was passed through

	room     *jsonval.Room // where the body's memory is reserved
	reserved int64         // bytes

	decoded *decoded // set by text
	owner   passThrough
}

// decoded is a body without its Content-Encoding.
type decoded struct {
	body []byte
	err  error
}

// passThrough decides, once the status and headers are known, whether an answer
// is passed through. startPassing is called before that happens.
type passThrough interface {
	passesThrough(status int, header http.Header) bool
	startPassing()
}

var errEndless = errors.New("the answer is a stream, which can be neither judged nor shaped")

var errOverrun = errors.New("the answer is larger than max_size")

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPooled keeps the pool from holding large buffers, whose memory isn't
// reserved.
const maxPooled = 32 << 10

// reset prepares the buffer for an attempt.
func (rec *responseBuffer) reset(w http.ResponseWriter, limit int64, room *jsonval.Room) {
	if rec.body == nil {
		rec.body = buffers.Get().(*bytes.Buffer)
	}
	rec.body.Reset()
	rec.w, rec.limit, rec.room, rec.status = w, limit, room, 0
	rec.overrun, rec.noRoom, rec.endless = false, false, false
	rec.decoded = nil
	rec.header = w.Header().Clone()
	if rec.header == nil {
		rec.header = make(http.Header)
	}
}

// scratch returns memory to render our answer into, once the API's answer is
// decoded; nil if there is none. It is valid until free.
func (rec *responseBuffer) scratch() []byte {
	if rec.body == nil {
		return nil
	}
	rec.body.Reset()
	return rec.body.AvailableBuffer()
}

// text returns the answer without its Content-Encoding.
func (rec *responseBuffer) text() ([]byte, error) {
	encoding := rec.header.Get("Content-Encoding")
	if encoding == "" {
		return rec.body.Bytes(), nil
	}
	if rec.decoded == nil {
		body, err := transport.Decompress(rec.body.Bytes(), encoding, rec.limit, rec.room)
		rec.decoded = &decoded{body, err}
	}
	return rec.decoded.body, rec.decoded.err
}

func (rec *responseBuffer) free() {
	if rec.body != nil && rec.body.Cap() <= maxPooled {
		buffers.Put(rec.body)
	}
	rec.body = nil
}

// Header implements http.ResponseWriter: a map of our own, until the answer is
// passed through.
func (rec *responseBuffer) Header() http.Header {
	if rec.passing {
		return rec.w.Header()
	}
	return rec.header
}

// WriteHeader implements http.ResponseWriter.
func (rec *responseBuffer) WriteHeader(status int) {
	if rec.passing {
		rec.w.WriteHeader(status)
		return
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		return // a phone system has no use for early hints
	}
	if rec.status != 0 {
		return
	}
	rec.status = status
	if !rec.owner.passesThrough(status, rec.header) {
		return
	}
	rec.owner.startPassing()
	own := rec.w.Header()
	clear(own)
	maps.Copy(own, rec.header)
	rec.passing = true
	rec.w.WriteHeader(status)
}

// Write implements http.ResponseWriter. While it buffers, it refuses what exceeds
// the limit, which aborts the API's answer.
func (rec *responseBuffer) Write(p []byte) (int, error) {
	if rec.status == 0 {
		rec.WriteHeader(http.StatusOK)
	}
	if rec.passing {
		return rec.w.Write(p)
	}
	if rec.endless {
		return 0, errEndless
	}
	if int64(rec.body.Len())+int64(len(p)) > rec.limit {
		rec.overrun = true
		return 0, errOverrun
	}
	if rec.body.Available() < len(p) {
		if err := rec.grow(len(p)); err != nil {
			return 0, err
		}
	}
	return rec.body.Write(p)
}

// grow reserves memory for n more bytes of the answer, or for all that are
// announced. It waits until the memory is available.
func (rec *responseBuffer) grow(n int) error {
	announced, _ := strconv.ParseInt(rec.header.Get("Content-Length"), 10, 64)
	size := max(int64(rec.body.Len()+n), min(announced, rec.limit), 2*int64(rec.body.Cap()))
	switch err := rec.room.Reserve(jsonval.ForText, size); {
	case errors.Is(err, jsonval.ErrNoRoom):
		rec.noRoom = true
		return err
	case err != nil:
		rec.overrun = true
		return err
	}
	rec.body.Grow(int(size) - rec.body.Len())
	rec.room.Return(jsonval.ForText, rec.reserved)
	rec.reserved = size
	return nil
}

// FlushError flushes an answer that is passed through.
func (rec *responseBuffer) FlushError() error {
	if !rec.passing {
		return nil
	}
	return http.NewResponseController(rec.w).Flush()
}

// Hijack hands over the connection after a protocol switch.
func (rec *responseBuffer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if !rec.passing {
		return nil, nil, http.ErrNotSupported
	}
	return http.NewResponseController(rec.w).Hijack()
}

// isStream reports whether an answer must never be buffered: server-sent events,
// upgrades, gRPC, JSON lines.
func isStream(status int, header http.Header) bool {
	if status == http.StatusSwitchingProtocols {
		return true
	}
	announced := header.Get("Content-Type")
	if strings.HasPrefix(announced, "application/json") {
		return false // fast: the usual type
	}
	kind, _, err := mime.ParseMediaType(announced)
	return err == nil && transport.IsStream(kind)
}
