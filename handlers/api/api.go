// Package api is the handler `api`: it calls one API for a phone flow, and turns
// the API's answer into one that the flow can use.
package api

import (
	"encoding/json"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/pool"
	"github.com/switchboard-ivr/switchboard/module/span"
	"github.com/switchboard-ivr/switchboard/module/token/source"
)

func init() {
	caddy.RegisterModule(API{})
}

// API calls an external API for a phone flow and answers in the flow's terms.
//
// It merges what the phone system sent (query, form and JSON body) into params,
// builds the API's request from them with jq programs, sends it through its own
// chain of handlers (a `reverse_proxy` with the transport `switchboard`, which
// signs in), judges the answer, shapes it with `output`, applies the contract,
// and writes one line of JSON. If there is no answer in time, the response is the
// default, so that a flow always gets its keys.
//
// A `to` with a path makes an API call: nothing of the incoming request is
// forwarded except what the programs and `pass` say. A `to` without a path makes
// a sidecar: the whole request is forwarded, with the token injected, and both
// directions stream.
//
// Every answer has the headers `Proxy-Status` (RFC 9209), with the outcome as its
// details, `Cache-Status` (RFC 9211) and `Server-Timing`. The outcomes are `ok`,
// `stale`, `not_found`, `partial`, `incomplete`, `timeout`, `unreachable`, `failed`,
// `rejected`, `bad_answer`, `too_large`, `no_token`, `token_refused`,
// `breaker_open`, `held`, and of a write that happens once `unknown` and
// `not_sent`; a refused caller gets `bad_request` or
// `unauthorized`.
//
// Placeholders set, for logs and handlers that run later:
//
// Placeholder | Description
// ------------|------------
// `{http.api.name}` | The API's name
// `{http.api.outcome}` | How the call ended
// `{http.api.call_id}` | The call id, also sent upstream as X-Request-Id
type API struct {
	// Name of the API in logs, metrics and commands. Required. Two APIs of the
	// same name must have the same settings.
	Name string `json:"name,omitempty"`

	// What the API is for, in one sentence, for the console and the admin API.
	Description string `json:"describe,omitempty"`

	// The params that a caller sends, for the console and the admin API.
	Params []Param `json:"params,omitempty"`

	// What a caller must send. Otherwise the call ends as `incomplete`, and the
	// API is not called.
	Require *Require `json:"require,omitempty"`

	// Answers of other APIs that this one's programs can use: a chain. At most
	// three, each in a variable.
	With []With `json:"with,omitempty"`

	// URL of the API. With a path it is an API call, without one a sidecar. It
	// sets Host, and its percent-encoding is preserved. It must not have a query:
	// use `query`. A leading `{token.NAME}` stands for a base URL that was kept
	// with the token. If it is missing, the API only puts the answers of `with`
	// together.
	To string `json:"to,omitempty"`

	// Method of the API's request. Default: the method of the incoming request.
	Method string `json:"method,omitempty"`

	// Name of the token source to sign in with.
	Token string `json:"token,omitempty"`

	// jq: params → array of path segments, appended to `to`. Each is encoded;
	// blank segments, `.` and `..` are refused.
	Path string `json:"path,omitempty"`

	// jq: params → object of query parameters.
	Query string `json:"query,omitempty"`

	// The request body.
	Body *Body `json:"body,omitempty"`

	// jq: params → object of headers; null removes a header. The final URL, query
	// and body are in $url, $query and $body.
	Headers string `json:"headers,omitempty"`

	// Headers by name, with placeholders.
	SetHeaders map[string]string `json:"set_headers,omitempty"`

	// Parts of the incoming request to forward unchanged.
	Pass *Pass `json:"pass,omitempty"`

	// How to read the API's answer. Default: XML and forms by Content-Type, anything
	// else as JSON.
	Answer *Answer `json:"answer,omitempty"`

	// jq predicate on the answer: did the call succeed? Default: the token
	// source's api_success, or else `$status < 400`.
	Success string `json:"success,omitempty"`

	// jq predicate on the answer: did the API find nothing? A predicate that
	// looks for a sign, e.g. `.code == "4004"`, is evaluated first, on any answer
	// below 500. A
	// predicate that is true for null, e.g. `.data | blank`, only sees that there is no
	// data, and is evaluated on a successful answer. Default: an empty answer, or
	// status 404 unless `success` is set. A null output always means not found.
	NotFound string `json:"not_found,omitempty"`

	// When an answer means that the token has expired. Default: the source's
	// rule.
	TokenExpired *source.Expired `json:"token_expired,omitempty"`

	// jq predicate: does the answer show that the API is unhealthy? Then the
	// outcome is `failed`. Default: `$status >= 500 or $status == 429`.
	Unhealthy string `json:"unhealthy,omitempty"`

	// jq: the API's answer → our answer. Default: the API's answer unchanged.
	Output string `json:"output,omitempty"`

	// jq: run once at load, gives the contract: an object whose keys are in every
	// answer, with the values to use where the API has none.
	Default string `json:"default,omitempty"`

	// Whether to repeat the call once, with a new token, when the token has
	// expired. Default: true.
	Replay *bool `json:"replay,omitempty"`

	// Maximum size of the API's answer in bytes, decompressed. Default: 1 MiB.
	MaxSize int64 `json:"max_size,omitempty"`

	// Maximum size of the answer's headers in bytes. Default: 256 KiB, or the
	// setting of the transport in a `reverse_proxy` block.
	MaxHeader int64 `json:"max_header,omitempty"`

	// Whether to keep the API's last answer in memory, masked, as the sample of
	// the playground in `api_console`. Answers are then buffered. Default: false.
	KeepAnswer bool `json:"keep_answer,omitempty"`

	// The settings of all answering handlers. By default, everyone who reaches
	// the listener may call; a failure gives the default, if there is one; the
	// budget, for token, call, replay and programs, is 2s; and the status field
	// of answers with a contract is `_status`.
	endpoint.Settings

	// Makes a write happen once, however often it is repeated. Default: every
	// request is sent.
	Once *endpoint.Once `json:"once,omitempty"`

	// Stops calling an unhealthy API. Default: it is always called.
	Breaker *Breaker `json:"breaker,omitempty"`

	// The handlers that make the call. Default: a reverse_proxy to `to`.
	HandleRaw []json.RawMessage `json:"handle,omitempty" caddy:"namespace=http.handlers inline_key=handler"`

	target   *target
	links    *links // nil without parts
	settings []byte // a digest of what the API's answers depend on
	source   *switchboard.TokenSource
	programs programs
	route    *endpoint.Route
	chain    caddyhttp.Handler
	shaped   bool // the answer is judged or shaped, so it must not be an endless stream
	buffered bool // the answer is read as a whole, so it can't stream
	replay   bool

	breaker     *breaker // nil without a breaker
	heldBreaker *pool.Held[*breaker]
	sampler     *sampler // nil without keep_answer

	asks asks // what the answer depends on, with once

	server *caddyhttp.Server // that the handler belongs to; nil for none
	// The placeholders in the chain and in headers, and those of them that are part
	// of a cache key.
	placeholders, keyed []string
}

// CaddyModule returns the Caddy module information.
func (API) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.api",
		New: func() caddy.Module { return new(API) },
	}
}

// ServeHTTP takes a call through its stages. A stage that ends the call sets the
// outcome and returns false; the answer depends on the outcome.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	c := a.begin(w, r)
	defer c.end()

	_ = c.call.Authorize() && // who calls?
		c.allowed() && // with an allowed method?
		c.receive() && // what did the phone system send?
		c.require() && // is anything missing?
		c.call.ServeCached(c) && // is there an answer, or a call that will have it?
		c.call.ServeOnce(c) && // is it a write that was sent before?
		c.work()

	return c.answer()
}

// work calls the API. A detached call may still run it after its callers got
// another answer.
func (c *run) work() bool {
	c.worked = true
	defer c.report()
	defer c.recordSteps()
	return c.enterBreaker() && // may the API be called?
		(c.parts == nil || c.callParts()) && // what do the other APIs of its chain answer?
		c.exchange() && // call it, with a token
		c.handleAnswer() // what does its answer mean for the flow?
}

// handleAnswer interprets and shapes the API's answer.
func (c *run) handleAnswer() bool {
	_, traced := span.Start(c.call.R.Context(), span.Shape, false)
	defer traced.End()
	if !c.readAnswer() { // what does it mean?
		return false
	}
	c.keepSample()
	if !c.shape() { // for the flow
		return false
	}
	if c.parts != nil {
		c.complete() // does it lack a part?
	}
	return true
}

// Interface guards
var (
	_ caddy.Provisioner           = (*API)(nil)
	_ caddy.CleanerUpper          = (*API)(nil)
	_ caddyhttp.MiddlewareHandler = (*API)(nil)
	_ endpoint.Cacheable          = (*run)(nil)
	_ endpoint.Writer             = (*run)(nil)
	_ switchboard.API             = (*API)(nil)
)
