package api

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
	"github.com/switchboard-ivr/switchboard/internal/jq"
)

// receive reads what the phone system sent. A sidecar's request is left
// unread, unless a program wants to see it.
func (c *run) receive() bool {
	begin := time.Now()
	defer func() { c.timing.receive = time.Since(begin) }()
	a := c.api
	if a.readsInput() {
		input, err := c.readInput()
		if err != nil {
			c.identify()
			// a body that stalls ends the request's context, too
			bad, ok := errors.AsType[*call.InputError](err)
			if c.r.Context().Err() != nil && (!ok || bad.Status != http.StatusRequestTimeout) {
				return c.ended("")
			}
			if ok {
				return c.refuse(bad.Status, call.BadRequest, bad.Message)
			}
			return c.ended("the request could not be read")
		}
		c.input = input
		if !c.reserve(len(input.Raw)) {
			return c.refuse(http.StatusServiceUnavailable, call.BadRequest, "too many large requests at once")
		}
		c.attempt.Params = input.Params
		if a.programs.request || a.asksRequest() {
			ip, _ := caddyhttp.GetVar(c.r.Context(), caddyhttp.ClientIPVarKey).(string)
			c.request = input.Request(c.r, ip)
			c.attempt.Request = c.request
		}
	}
	c.identify()
	return true
}

// readInput reads a body inside the budget: one that stalls half-way is refused
// in time.
func (c *run) readInput() (*call.Input, error) {
	if c.r.Body != nil && c.r.Body != http.NoBody {
		stop := call.AbortReads(c.clock, c.w)
		defer stop()
	}
	return call.ReadInput(c.r, call.Limits{})
}

// reserve claims the memory that n bytes of JSON take once decoded, until the
// call ends (reliability J9).
func (c *run) reserve(n int) bool {
	release, ok := jq.Reserve(n)
	if ok {
		c.reserved = append(c.reserved, release)
	}
	return ok
}

// readsInput tells whether params are needed. An API call always has some; a
// sidecar's body streams on unread where no program looks at it.
func (a *API) readsInput() bool {
	return !a.target.sidecar() || a.programs.makesRequest() || a.buffered
}

// asksRequest tells whether the token source's rule looks at $request.
func (a *API) asksRequest() bool {
	if a.source == nil {
		return false
	}
	_, rule := a.source.ExpiredRule()
	return rule != nil && rule.Uses("request")
}

// callIDs are the params that hold a phone call's id, by phone system:
// Twilio, Amazon Connect, Asterisk, others.
var callIDs = []string{"CallSid", "ContactId", "uniqueid", "call_id"}

// identify finds the phone call's id, and makes one where there is none.
func (c *run) identify() {
	id := ""
	if p := c.api.programs.callID; p != nil && c.input != nil {
		if v, err := p.Run(c.clock, c.input.Params, c.request); err == nil {
			id, _ = scalar(v)
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
	c.id = id
}

// newID makes a call id: 32 hex digits. It is a name, not a secret.
func newID() string {
	var id [16]byte
	binary.NativeEndian.PutUint64(id[:8], rand.Uint64()) //nolint:gosec // a name, no secret
	binary.NativeEndian.PutUint64(id[8:], rand.Uint64()) //nolint:gosec // a name, no secret
	return hex.EncodeToString(id[:])
}

func (c *run) knownID() string {
	if c.input != nil {
		for _, name := range callIDs {
			if id, ok := scalar(c.input.Params[name]); ok && id != "" {
				return id
			}
		}
	}
	if id := c.r.Header.Get("X-Request-Id"); id != "" {
		return id
	}
	// W3C trace context: version-traceid-parentid-flags
	if parts := strings.Split(c.r.Header.Get("Traceparent"), "-"); len(parts) == 4 {
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

// ended ends a call whose time is over or whose phone system hung up, or, when
// neither is the case, as a bad answer.
func (c *run) ended(reason string) bool {
	switch {
	case c.clock.spent():
		return c.fail(call.Timeout, "the budget ended")
	case c.r.Context().Err() != nil:
		return c.fail(call.Canceled, "the phone system hung up")
	default:
		return c.fail(call.BadAnswer, reason)
	}
}

// failed ends a call because of a program of the request: what came in can't
// be turned into what the API wants.
func (c *run) failed(program string, err error) bool {
	if c.clock.Err() != nil {
		return c.ended("")
	}
	if errors.Is(err, jq.ErrDeadline) || errors.Is(err, jq.ErrTooLarge) {
		return c.refuse(http.StatusRequestEntityTooLarge, call.BadRequest, program+": "+err.Error())
	}
	return c.refuse(http.StatusBadRequest, call.BadRequest, program+": "+err.Error())
}
