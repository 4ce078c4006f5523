// Package call holds what one call carries through its stages: the params it
// came with and the outcome it ended with.
package call

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// Input is what a phone system sent, checked and decoded. All of it is valid
// UTF-8 without NUL, of the types that jq works with (nil, bool, json.Number,
// string, []any, map[string]any), and read-only: its maps share parts.
type Input struct {
	// Params are query, form and JSON body as one object, the later winning
	// name by name. Blank values (nothing, only blanks, null) are not in it.
	// Values of query and form are strings, or arrays of strings where a name
	// repeats; those of a JSON body are what they are.
	Params map[string]any
	// Query and Form are as sent, blank values included. Query is nil without
	// a query, Form where the body was no form.
	Query, Form map[string]any
	// Body is the decoded JSON body, nil where the body was something else.
	Body any
	// Raw is the body as it was read, nil when it was empty.
	Raw []byte
	// ContentType is the request's header of that name.
	ContentType string
}

// ReadInput reads what r carries, in the query, in a body (a form, a multipart
// form without files, a JSON object), or in both. Everything in the query of a
// POST is as good as a GET with a body.
//
// Every error is a *InputError. Reading ends when r's context does; see
// [AbortReads] for a body that stalls.
func ReadInput(r *http.Request, l Limits) (*Input, error) {
	l = l.orDefaults()
	if err := checkText("path", r.URL.Path); err != nil {
		return nil, err
	}
	if len(r.URL.RawQuery) > l.Query {
		return nil, refuse(http.StatusRequestURITooLong, "query: more than %d bytes", l.Query)
	}
	if err := l.reserve(jsonval.ForRequest, len(r.URL.RawQuery)); err != nil {
		return nil, err
	}
	query, err := parsePairs("query", r.URL.RawQuery, l)
	if err != nil {
		return nil, err
	}
	in := &Input{Query: query.values, Params: query.given(), ContentType: r.Header.Get("Content-Type")}
	if r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0 {
		if err := in.readBody(r, l); err != nil {
			return nil, err
		}
	}
	if in.Params == nil {
		in.Params = map[string]any{}
	}
	return in, nil
}

func (in *Input) readBody(r *http.Request, l Limits) error {
	kind, err := bodyKind(r.Header)
	if err != nil && r.ContentLength > 0 {
		return err // before anything of it is read
	}
	raw, readErr := readAll(r, l)
	if readErr != nil {
		return readErr
	}
	if len(raw) > 0 {
		in.Raw = raw
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if kind.media == mediaJSON {
		doc, err := decodeObject(raw, l)
		if err != nil {
			return err
		}
		in.Body = doc
		in.merge(Given(doc))
		return nil
	}
	if err := l.reserve(jsonval.ForRequest, 2*len(raw)); err != nil {
		return err
	}
	var form pairs
	if kind.media == mediaMultipart {
		form, err = parseMultipart(raw, kind.boundary, l)
	} else {
		form, err = parseForm(raw, l)
	}
	if err != nil {
		return err
	}
	in.Form = form.values
	in.merge(form.given())
	return nil
}

// merge puts later parameters over the ones there are.
func (in *Input) merge(later map[string]any) {
	if len(in.Params) == 0 {
		in.Params = later
		return
	}
	if len(later) > 0 {
		in.Params = maps.Clone(in.Params)
		maps.Copy(in.Params, later)
	}
}

// Limits bound what a phone system may send. Zero fields take the defaults,
// which no phone system comes near.
type Limits struct {
	Query  int   // bytes of the query string; default 64 KiB
	Body   int64 // bytes of the body; default 1 MiB
	Params int   // parameters of query, form and JSON body, each; default 1000
	Depth  int   // of a JSON body; default 100

	// Room is what the memory of large bodies is reserved in. Default: none.
	Room *jsonval.Room
}

func (l Limits) orDefaults() Limits {
	return Limits{
		Query:  cmp.Or(l.Query, 64<<10),
		Body:   cmp.Or(l.Body, 1<<20),
		Params: cmp.Or(l.Params, 1000),
		Depth:  cmp.Or(l.Depth, 100),
		Room:   l.Room,
	}
}

// InputError is a request that is refused before anything is done for it; its
// outcome is [BadRequest].
type InputError struct {
	// Status is what the phone system gets: 400, 408, 413, 414, 415, 431 or 503.
	Status int
	// Message is one line that says what is wrong. It holds nothing of what
	// was sent.
	Message string
}

func (e *InputError) Error() string { return e.Message }

func refuse(status int, format string, args ...any) *InputError {
	return &InputError{Status: status, Message: fmt.Sprintf(format, args...)}
}

// reserve reserves memory for what was sent.
func (l Limits) reserve(purpose jsonval.Purpose, n int) error {
	return refuseMemory(l.Room.Reserve(purpose, int64(n)))
}

func refuseMemory(err error) error {
	switch {
	case errors.Is(err, jsonval.ErrNoRoom):
		return refuse(http.StatusServiceUnavailable, "too many large requests at once")
	case errors.Is(err, jsonval.ErrTooMuch):
		return refuse(http.StatusRequestEntityTooLarge, "body: takes too much memory")
	default:
		return err
	}
}

// Request is the $request of jq programs:
//
//	{
//		"method":  "POST",
//		"path":    "/ivr/order",              decoded
//		"query":   {"tel": "138…"},           as sent, {} without one
//		"form":    {"tag": ["a", "b"]},       as sent, {} without one
//		"body":    {"tel": "138…"},           a JSON body, null without one
//		"headers": {"user-agent": "…"},       names in lower case, with host
//		"ip":      "192.0.2.1"
//	}
//
// A header that comes more than once is an array. NUL and bytes that are not
// UTF-8 become U+FFFD in headers, where old clients still send Latin-1. The
// result shares parts with in and is read-only.
func (in *Input) Request(r *http.Request, ip string) map[string]any {
	return map[string]any{
		"method":  r.Method,
		"path":    r.URL.Path,
		"query":   orEmpty(in.Query),
		"form":    orEmpty(in.Form),
		"body":    in.Body,
		"headers": headers(r),
		"ip":      ip,
	}
}

func orEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

func headers(r *http.Request) map[string]any {
	m := make(map[string]any, len(r.Header)+1)
	m["host"] = text(r.Host)
	for name, values := range r.Header {
		name = strings.ToLower(text(name))
		switch len(values) {
		case 0:
		case 1:
			m[name] = text(values[0])
		default:
			list := make([]any, len(values))
			for i, v := range values {
				list[i] = text(v)
			}
			m[name] = list
		}
	}
	return m
}

func text(s string) string {
	const replacement = "\uFFFD"
	return strings.ReplaceAll(strings.ToValidUTF8(s, replacement), "\x00", replacement)
}

// AbortReads ends a pending read of the request's body when ctx ends, so that
// a phone system that stalls half-way gets its answer in time. Call stop once
// the body is read. Without it a stalled body blocks [ReadInput], and even the
// refusal: net/http looks for the rest of the body before it answers.
//
// When ctx has ended first, stop closes the connection behind the answer: its
// reads fail for good, and net/http would cancel every later request on it.
func AbortReads(ctx context.Context, w http.ResponseWriter) (stop func()) {
	inTime := context.AfterFunc(ctx, func() {
		// A writer that can't do it leaves the server's own time-outs.
		_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
	})
	return func() {
		if !inTime() {
			w.Header().Set("Connection", "close")
		}
	}
}

// Outcome tells in one word how a call ended. The word is the same in the
// answer's _status, in logs, metrics, traces and headers.
type Outcome string

// The outcomes of a call. OK, Stale, NotFound, Ambiguous and Partial are answers;
// the others are reasons why there is none.
const (
	OK          Outcome = "ok"
	Stale       Outcome = "stale"        // an older answer
	NotFound    Outcome = "not_found"    // the API knows nobody: a success
	Ambiguous   Outcome = "ambiguous"    // several customers
	Partial     Outcome = "partial"      // an optional part of a chain has its defaults
	Timeout     Outcome = "timeout"      // the budget ended first
	Unreachable Outcome = "unreachable"  // no connection to the API
	Rejected    Outcome = "rejected"     // the API said no
	Failed      Outcome = "failed"       // the API is ailing: `unhealthy` is true
	NoToken     Outcome = "no_token"     // nothing to sign in with
	BadAnswer   Outcome = "bad_answer"   // not what was announced: not JSON, truncated, a program failed
	TooLarge    Outcome = "too_large"    // over max_size, or over the phone system's limit
	BreakerOpen Outcome = "breaker_open" // too many unhealthy answers before
	Held        Outcome = "held"         // an operator stopped the API

	// TokenRefused is an API that takes no token of ours, not even a fresh one.
	TokenRefused Outcome = "token_refused"

	// Incomplete is a caller who gave too little to ask with: `require` failed, or
	// a request program failed on the params. The API is not called.
	Incomplete Outcome = "incomplete"

	// Unknown is a write that was sent and whose fate isn't known. It is not sent
	// again by itself.
	Unknown Outcome = "unknown"

	// NotSent is a write that was not sent, because the record that keeps it from
	// happening twice could not be kept.
	NotSent Outcome = "not_sent"

	// BadRequest and Unauthorized are refusals of the caller: the API is not
	// called, and the answer is a 4xx.
	BadRequest   Outcome = "bad_request"
	Unauthorized Outcome = "unauthorized"

	// DryRun is a test that was to stop before the API is called.
	DryRun Outcome = "dry_run"

	// Canceled is a call whose phone system hung up: nobody reads the answer.
	Canceled Outcome = "canceled"
)

// Answered reports whether there is an answer, of now or earlier.
func (o Outcome) Answered() bool { return o.Own() || o == Stale || o == Partial }

// Own reports whether the answer is the API's own, of now: nothing in it is older,
// and nothing of it is missing.
func (o Outcome) Own() bool { return o == OK || o == NotFound || o == Ambiguous }

// Knows reports whether the answer is one about somebody or something.
func (o Outcome) Knows() bool { return o == OK || o == Stale }

// CausedByCaller reports whether the outcome says nothing about the API, because
// the caller, or a test, ended the call.
func (o Outcome) CausedByCaller() bool {
	switch o {
	case Incomplete, BadRequest, Unauthorized, Canceled, DryRun:
		return true
	default:
		return false
	}
}

// Status is the HTTP status of a call that ends with an error instead of a
// default: RFC 9110, sections 15.5 and 15.6.
func (o Outcome) Status() int {
	switch o {
	case OK, Stale, NotFound, Ambiguous, Partial:
		return 200
	case Timeout, Unknown:
		return 504
	case NoToken, TokenRefused, BreakerOpen, Held, NotSent:
		return 503
	case BadRequest, Incomplete:
		return 400
	case Unauthorized:
		return 401
	case Canceled:
		return 499 // as Caddy logs it
	default:
		return 502
	}
}
