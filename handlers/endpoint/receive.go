package endpoint

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/jqhttp"
)

// Authorize refuses the call if its caller is not authorized.
func (c *Call) Authorize() bool {
	principal, ok := c.Route.Gate.Admits(c.R, c.Repl)
	if !ok {
		return c.Refuse(http.StatusUnauthorized, call.Unauthorized, "the caller could not be authenticated")
	}
	c.Principal = principal
	return true
}

// Receive reads the phone system's request. It builds $request, if a program of
// the handler or call_id uses it.
func (c *Call) Receive(asksRequest bool) bool {
	input, err := c.readInput()
	if err != nil {
		c.Identify()
		bad, ok := errors.AsType[*call.InputError](err)
		if c.Ctx.Spent() { // aborting the read has ended the request's context, too
			if !ok || bad.Status != http.StatusServiceUnavailable {
				return c.Refuse(http.StatusRequestTimeout, call.BadRequest, "body: took too long to arrive")
			}
		} else if c.R.Context().Err() != nil {
			return c.Expire("")
		}
		if ok {
			if bad.Status == http.StatusServiceUnavailable {
				c.RetryAfter = time.Second
			}
			return c.Refuse(bad.Status, call.BadRequest, bad.Message)
		}
		return c.Expire("the request could not be read")
	}
	c.Input = input
	if asksRequest || c.Route.asksRequest() {
		ip, _ := caddyhttp.GetVar(c.R.Context(), caddyhttp.ClientIPVarKey).(string)
		c.Request = input.Request(c.R, ip)
	}
	return true
}

// asksRequest reports whether a program of the route itself uses $request.
func (r *Route) asksRequest() bool {
	return (r.CallID != nil && r.CallID.Uses("request")) ||
		(r.cache != nil && r.cache.key != nil && r.cache.key.Uses("request"))
}

// readInput reads the body within the budget: a stalled body is refused in time.
func (c *Call) readInput() (*call.Input, error) {
	if c.R.Body != nil && c.R.Body != http.NoBody {
		stop := call.AbortReads(c.Ctx, c.W)
		defer stop()
	}
	return call.ReadInput(c.R, call.Limits{Body: c.Route.MaxBody, Room: &c.Room})
}

// callIDs are the params that hold the phone call's id, by phone system: Twilio,
// Amazon Connect, Asterisk, others.
var callIDs = []string{"CallSid", "ContactId", "uniqueid", "call_id"}

// Identify finds the phone call's id, or generates one.
func (c *Call) Identify() {
	id := ""
	if p := c.Route.CallID; p != nil && c.Input != nil {
		if v, err := p.Run(c.Ctx, c.Input.Params, c.Request); err == nil {
			id, _ = jqhttp.Scalar(v)
		}
	} else {
		id = c.knownID()
	}
	if id = strings.Map(printable, id); len(id) > 128 {
		id = id[:128]
	}
	if id == "" {
		id = newID()
	}
	c.ID = id
}

// newID generates a call id of 32 hex digits. It identifies the call and need not
// be secret.
func newID() string {
	var id [16]byte
	binary.NativeEndian.PutUint64(id[:8], rand.Uint64()) //nolint:gosec // an identifier, not a secret
	binary.NativeEndian.PutUint64(id[8:], rand.Uint64()) //nolint:gosec // an identifier, not a secret
	return hex.EncodeToString(id[:])
}

func (c *Call) knownID() string {
	if c.Input != nil {
		for _, name := range callIDs {
			if id, err := jqhttp.Scalar(c.Input.Params[name]); err == nil && id != "" {
				return id
			}
		}
	}
	if id := c.R.Header.Get("X-Request-Id"); id != "" {
		return id
	}
	// W3C trace context: version-traceid-parentid-flags
	if parts := strings.Split(c.R.Header.Get("Traceparent"), "-"); len(parts) == 4 {
		return parts[1]
	}
	return ""
}

func printable(r rune) rune {
	if r <= ' ' || r > '~' {
		return -1
	}
	return r
}
