package endpoint

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/internal/answer"
	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/internal/mask"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// scratch holds buffers that answers are rendered into before they are sent.
var scratch = sync.Pool{New: func() any { return new([2048]byte) }}

// Answer sends the response: the rendered output, the default in its place, or a
// one-line error. room is a buffer to render into; nil takes one from a pool.
func (c *Call) Answer(room []byte) error {
	if c.Outcome == call.Canceled {
		c.W.WriteHeader(call.Canceled.Status())
		return nil
	}
	if room == nil && c.text == nil {
		own := scratch.Get().(*[2048]byte)
		defer scratch.Put(own)
		room = own[:0]
	}
	if c.Outcome.Answered() {
		text, err := c.text, error(nil)
		if text == nil {
			text, err = c.Render(room)
		}
		if err == nil {
			status := http.StatusOK
			if c.Status != 0 {
				status = c.Status
			}
			return c.write(status, c.Route.Style.ContentType(), text)
		}
		c.Status, c.Uncharged = 0, c.Uncharged || c.FromCaller
		c.Fail(outcomeOfFormat(err), err.Error())
	}
	if c.answersError() {
		return c.writeError()
	}
	c.Output, c.text = c.Route.defaults(), nil
	text, err := c.Render(room)
	if err != nil { // impossible: CheckContract has rendered it
		return c.writeError()
	}
	return c.write(http.StatusOK, c.Route.Style.ContentType(), text)
}

// keepFailure adds a failed call to the API's last failures, which operators
// read.
func (c *Call) keepFailure(steps []adminapi.Step) {
	c.Route.State.Failed(adminapi.Trace{
		API: c.Route.Name, Outcome: string(c.Outcome), MS: adminapi.Millis(time.Since(c.started)), CallID: c.ID,
		Time: c.started, Reason: mask.Text(c.Reason), Check: c.check(), Steps: steps,
	})
}

// Finish sends the response, and keeps the trace of a failed call. A dry run that
// reached its end has no response. steps returns the steps before the answer; it
// is only called for a failed call.
func (c *Call) Finish(room []byte, steps func() []adminapi.Step) error {
	if c.Outcome == call.DryRun {
		return nil
	}
	failed := c.Failed()
	c.KeepFailure(steps)
	err := c.Answer(room)
	if !failed && c.Failed() && c.Test == nil { // the answer could not be rendered
		c.keepFailure(append(steps(), c.unwritten()))
	}
	return err
}

// KeepFailure keeps the trace of a failed call, unless the call is a test.
func (c *Call) KeepFailure(steps func() []adminapi.Step) {
	if c.Failed() && c.Test == nil {
		c.keepFailure(steps())
	}
}

// unwritten returns the step for an output that the contract or the format
// refused.
func (c *Call) unwritten() adminapi.Step {
	return adminapi.Step{Step: "contract", Outcome: string(c.Outcome), Note: mask.Text(c.Reason)}
}

// Failed reports whether the call ended without an answer from the API, or without
// a part of it, and not through the caller's fault.
func (c *Call) Failed() bool {
	switch c.Outcome {
	case call.Incomplete, call.Partial: // incomplete may also be a mistake in a program
		return true
	case call.Stale:
		return !c.cached.isHit
	default:
		return !c.Outcome.Answered() && !c.Outcome.CausedByCaller()
	}
}

// StartTime returns when the call began, or the test that the call is part of.
func (c *Call) StartTime() time.Time {
	if c.Test != nil {
		return c.Test.began
	}
	return c.started
}

// Asked reports whether a detached call was to call the API: the cache had no answer,
// or the write had no record.
func (c *Call) Asked() bool {
	return c.once.started != nil || c.cached.forward != "" && c.cached.forward != forwardBypass
}

// answersError reports whether the response is an error rather than the
// contract's defaults.
func (c *Call) answersError() bool {
	return !c.Outcome.Answered() && (c.Outcome == call.BadRequest || c.Outcome == call.Unauthorized || c.Route.OnError)
}

// Render writes the output under the contract, in the route's format.
func (c *Call) Render(room []byte) ([]byte, error) {
	v, err := c.fit()
	if err != nil {
		return nil, err
	}
	return c.Route.Style.Append(room, v)
}

// fit applies the contract to the output: every key is present, and so is the
// status field, where the route has one. A null output and a text have no place
// for a status field.
func (c *Call) fit() (v any, err error) {
	r := c.Route
	v = c.Output
	if r.Contract != nil {
		if v, err = r.Contract.Apply(r.named(v), r.Style.Format); err != nil {
			return nil, err
		}
	}
	object, ok := v.(map[string]any)
	if r.StatusField == "" || r.Style.Format == answer.Text || !ok || object == nil {
		return v, nil
	}
	c.mark(object, r.StatusField)
	return object, nil
}

// mark adds the outcome to an answer, and the age of a stale one.
func (c *Call) mark(object map[string]any, statusField string) {
	object[statusField] = string(c.Outcome)
	delete(object, "_age") // reserved for stale answers
	if c.Outcome == call.Stale {
		object["_age"] = int(c.age / time.Second)
	}
}

// named wraps a single value in an object, so that a contract with one key
// applies to it. Only the text format has such outputs.
func (r *Route) named(v any) any {
	if _, isObject := v.(map[string]any); isObject || v == nil || r.Style.Format != answer.Text {
		return v
	}
	if keys := r.Contract.Keys(); len(keys) == 1 {
		return map[string]any{keys[0]: v}
	}
	return v
}

// CheckContract renders the defaults with the longest outcome, because they must
// never fail to render: they are what remains when everything else has failed. It
// also warns of a contract that leaves little room for values.
func (r *Route) CheckContract() error {
	contract := r.Contract
	if object, ok := r.defaults().(map[string]any); ok && contract == nil {
		contract = answer.NewContract(object) // a lookup's fields are a contract, too
	}
	if contract != nil {
		if err := fits(&r.Style, contract, r.StatusField); err != nil {
			return err
		}
		if tight := r.Style.Warn(contract, r.StatusField); tight != "" {
			r.Logger.Warn(tight, zap.String("api", r.Name))
		}
	}
	probe := Call{Route: r, Result: Result{Outcome: call.BreakerOpen}, Output: r.defaults()}
	if _, err := probe.Render(nil); err != nil {
		return errors.New("default can't be written as " + r.Style.Format.String() + ": " + err.Error())
	}
	return nil
}

func fits(style *answer.Style, contract *answer.Contract, statusField string) error {
	if statusField != "" && slices.Contains(contract.Keys(), statusField) {
		return fmt.Errorf("default has the key %s, which holds the outcome; give the key another name, or write `status_field NAME`", statusField)
	}
	if err := style.Fits(contract, statusField); err != nil {
		return fmt.Errorf("default can't be written as %s: %w", style.Format, err)
	}
	return nil
}

func (r *Route) defaults() any {
	if r.Defaults == nil {
		return nil
	}
	return r.Defaults()
}

func outcomeOfFormat(err error) call.Outcome {
	if errors.Is(err, jsonval.ErrTooLarge) {
		return call.TooLarge
	}
	return call.BadAnswer
}

func (c *Call) write(status int, contentType string, text []byte) error {
	header := c.W.Header()
	header["Content-Type"] = []string{contentType}
	header["Content-Length"] = []string{strconv.Itoa(len(text))}
	header["Cache-Control"] = []string{"no-store"}
	c.Describe(header)
	c.W.WriteHeader(status)
	_, err := c.W.Write(text)
	return err
}

// messages are the outcomes in words, behind the subject.
var messages = map[call.Outcome]string{
	call.Timeout:      " did not answer in time",
	call.Unreachable:  " could not be reached",
	call.Rejected:     " refused the request",
	call.Failed:       " is failing",
	call.TokenRefused: " does not accept our token",
	call.BadAnswer:    "'s answer could not be used",
	call.TooLarge:     "'s answer is too large",
	call.BreakerOpen:  " failed too often and is not called for a while",
	call.Held:         " is on hold",
}

// message returns the outcome in words, for the caller. A reason that may hold
// details goes to the log, not to the caller.
func (c *Call) message() string {
	switch c.Outcome {
	case call.Incomplete, call.BadRequest:
		return c.Reason
	case call.Unauthorized:
		return "authentication required"
	case call.NoToken:
		return "no token for " + c.Route.Subject
	case call.Unknown:
		return "the result of the write is unknown"
	case call.NotSent:
		return "the write was not sent"
	default:
		if text, ok := messages[c.Outcome]; ok {
			return c.Route.Subject + text
		}
		return ""
	}
}

func (c *Call) writeError() error {
	status := c.Status
	if status == 0 {
		status = c.Outcome.Status()
	}
	if c.Outcome == call.Unauthorized && c.Route.Gate.Challenge() != "" {
		c.W.Header().Set("Www-Authenticate", c.Route.Gate.Challenge())
	}
	if c.RetryAfter > 0 {
		seconds := (c.RetryAfter + time.Second - 1) / time.Second
		c.W.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	return c.write(status, c.Route.errors.ContentType(), c.errorText())
}

// errorText returns a one-line error document. Where the phone system's limit is
// too small for it, the message is left out, and then the whole document: the
// HTTP status remains.
func (c *Call) errorText() []byte {
	details := map[string]any{"outcome": string(c.Outcome), "message": c.message()}
	text, err := c.Route.errors.Append(nil, map[string]any{"error": details})
	if err == nil {
		return text
	}
	delete(details, "message")
	text, _ = c.Route.errors.Append(nil, map[string]any{"error": details})
	return text
}

// proxyErrors maps outcomes without an answer to the error types of RFC 9209,
// section 2.3.
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
	call.Unknown:      "http_response_timeout",
	call.NotSent:      "proxy_internal_error",
	call.BadRequest:   "http_request_error",
	call.Unauthorized: "http_request_denied",
}

// noCacheStatus is the Cache-Status of a route without a cache.
const noCacheStatus = "switchboard; fwd=bypass"

// Describe sets the headers that describe the call: Proxy-Status (RFC 9209),
// Cache-Status (RFC 9211) and Server-Timing (W3C).
func (c *Call) Describe(header http.Header) {
	b := append(make([]byte, 0, 160), "switchboard"...)
	if kind, ok := proxyErrors[c.Outcome]; ok && (c.Outcome != call.Unknown || c.Received == 0) {
		b = append(append(b, "; error="...), kind...)
	}
	if c.Received != 0 {
		b = strconv.AppendInt(append(b, "; received-status="...), int64(c.Received), 10)
	}
	b = append(append(append(b, `; details="`...), c.Outcome...), '"')
	header["Proxy-Status"] = append(header["Proxy-Status"], string(b))

	cacheStatus := noCacheStatus
	if c.Route.cache != nil {
		cacheStatus = string(c.cached.append(b[:0]))
	}
	header["Cache-Status"] = append(header["Cache-Status"], cacheStatus)

	b = b[:0]
	for _, step := range [...]struct {
		name string
		took time.Duration
	}{
		{"chain", c.Timing.Chain},
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

// Preview renders v as the output of a call, under the route's contract, for the
// phone system in the settings or for another one. It returns the style even when
// v can't be rendered in it.
func (r *Route) Preview(s *Settings, system string, outcome call.Outcome, v any) (text []byte, style answer.Style, err error) {
	as := *r
	if system != s.For {
		other := Settings{For: system}
		found, err := other.system(r.app)
		if err != nil {
			return nil, style, err
		}
		as.Style = found.Style()
	}
	c := Call{Route: &as, Result: Result{Outcome: outcome}, Output: v}
	text, err = c.Render(nil)
	return text, as.Style, err
}
