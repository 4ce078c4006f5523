// Package api is the handler `api`: one call of one API, from a phone flow's
// request to the answer that the flow can use.
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
// It merges what the phone system sent (query, form and JSON body) into
// params, makes the API's request from them with jq programs, sends it through
// its own chain of handlers (a `reverse_proxy` with the transport
// `switchboard`, which signs in), judges the answer, shapes it with `output`,
// fills in the contract, and writes one line of JSON. When there is no answer
// in time, it gives the default, so that a flow always has its keys.
//
// A `to` with a path makes an API call: nothing of the request goes on except
// what the programs and `pass` say. A `to` without a path makes a sidecar:
// everything goes on, with the token injected, and streams.
//
// Every answer has the headers `Proxy-Status` (RFC 9209), with the outcome as
// its details, `Cache-Status` (RFC 9211) and `Server-Timing`. The outcomes are
// `ok`, `stale`, `not_found`, `incomplete`, `timeout`, `unreachable`, `failed`,
// `rejected`, `bad_answer`, `too_large`, `no_token`, `token_refused`,
// `breaker_open` and `held`; a caller who is refused gets `bad_request` or
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
	// Name of the API in logs, metrics and commands. Required. The same name
	// with other settings is an error.
	Name string `json:"name,omitempty"`

	// What the API is for, in a sentence, for the console and the admin API.
	Description string `json:"describe,omitempty"`

	// The params that a caller gives, for the console and the admin API.
	Params []Param `json:"params,omitempty"`

	// What a caller has to give. Without it the call ends as `incomplete`, and
	// nothing is asked.
	Require *Require `json:"require,omitempty"`

	// URL of the API. With a path it is an API call, without one a sidecar. It
	// sets Host, and its escapes are kept. A query is refused: write `query`.
	// A leading `{token.NAME}` stands for a base URL kept with the token.
	To string `json:"to,omitempty"`

	// Method of the API's request. Default: that of the phone system's.
	Method string `json:"method,omitempty"`

	// Name of the token source to sign in with.
	Token string `json:"token,omitempty"`

	// jq: params → array of path segments, appended to `to`. Each is encoded;
	// blanks, `.` and `..` are refused.
	Path string `json:"path,omitempty"`

	// jq: params → object of query parameters.
	Query string `json:"query,omitempty"`

	// The request body.
	Body *Body `json:"body,omitempty"`

	// jq: params → object of headers; null removes one. It sees the URL, query
	// and body as they will be sent, in $url, $query and $body.
	Headers string `json:"headers,omitempty"`

	// Headers by name, with placeholders.
	SetHeaders map[string]string `json:"set_headers,omitempty"`

	// What of the phone system's request goes on as it is.
	Pass *Pass `json:"pass,omitempty"`

	// jq predicate on the answer: did the API do it? Default: the token
	// source's api_success, else `$status < 400`.
	Success string `json:"success,omitempty"`

	// jq predicate on the answer: does the API know nobody? One that looks for a
	// sign, e.g. `.code == "4004"`, is asked first, of any answer below 500. One
	// that is true of null, e.g. `.data | blank`, only sees that nothing is there,
	// and is asked of a successful answer. Default: an empty answer, or status 404
	// where `success` isn't written either. A null output always means nobody.
	NotFound string `json:"not_found,omitempty"`

	// When an answer means that the token is dead. Default: the source's.
	TokenExpired *source.Expired `json:"token_expired,omitempty"`

	// jq predicate: does the answer show an ailing API? Then the outcome is
	// `failed`. Default: `$status >= 500 or $status == 429`.
	Unhealthy string `json:"unhealthy,omitempty"`

	// jq: the API's answer → ours. Absent: the answer as it is.
	Output string `json:"output,omitempty"`

	// jq: run once at load, gives the contract: an object whose keys are in
	// every answer, and their values where the API has none.
	Default string `json:"default,omitempty"`

	// Whether to call once more, with a new token, when the token was dead.
	// Default: true.
	Replay *bool `json:"replay,omitempty"`

	// Largest answer of the API in bytes, decompressed. Default: 1 MiB.
	MaxSize int64 `json:"max_size,omitempty"`

	// The most bytes of headers that an answer may have. Default: 256 KiB, or what
	// the transport of a `reverse_proxy` block says.
	MaxHeader int64 `json:"max_header,omitempty"`

	// Whether to keep the API's last answer in memory, masked, for the bench of
	// `api_console`. The answer is then looked into. Default: false.
	KeepAnswer bool `json:"keep_answer,omitempty"`

	// What it has in common with the other answering handlers. Auth: anyone who
	// reaches the listener, by default. A failure gives the default where one is
	// written. The budget is for token, call, replay and programs; 2s by default.
	// The status field is `_status` in answers with a contract.
	endpoint.Settings

	// Stops calling an API that is ailing. Default: it is always called.
	Breaker *Breaker `json:"breaker,omitempty"`

	// The handlers that make the call. Default: a reverse_proxy to `to`.
	HandleRaw []json.RawMessage `json:"handle,omitempty" caddy:"namespace=http.handlers inline_key=handler"`

	target   *target
	source   *switchboard.TokenSource
	programs programs
	route    *endpoint.Route
	chain    caddyhttp.Handler
	shaped   bool // the answer is judged or shaped, so a stream is of no use
	buffered bool // the answer is looked into, so it can't stream
	replay   bool

	breaker     *breaker // nil: none is written
	heldBreaker *pool.Held[*breaker]
	last        *sampler // nil: it isn't kept

	server *caddyhttp.Server // that it is written in; nil for none
	// Where answers are cached: the placeholders of the chain and of headers, and
	// those of them that a key holds.
	placeholders, keyed []string
}

// CaddyModule returns the Caddy module information.
func (API) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.api",
		New: func() caddy.Module { return new(API) },
	}
}

// ServeHTTP takes a call through its stages. A stage that ends the call, well
// or badly, has set the outcome; what follows is the answer for it.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	c := a.begin(w, r)
	defer c.end()

	_ = c.call.Authorize() && // who calls?
		c.allowed() && // with a method that is sent?
		c.receive() && // what did the phone system send?
		c.require() && // is it enough to ask with?
		c.call.ServeCached(c) && // is there an answer already, or one on its way?
		c.work()

	return c.answer()
}

// work asks for an answer. It may go on when the phone system has got another one.
func (c *run) work() bool {
	c.worked = true
	defer c.report()
	defer c.recordSteps()
	return c.enterBreaker() && // may the API be asked?
		c.exchange() && // ask it, with a token
		c.handleAnswer() // what does the flow want to know of its answer?
}

// understand reads the API's answer.
func (c *run) handleAnswer() bool {
	_, traced := span.Start(c.call.R.Context(), span.Shape, false)
	defer traced.End()
	if !c.readAnswer() { // what does it mean?
		return false
	}
	c.keepSample()
	return c.shape() // in the flow's terms
}

// Interface guards
var (
	_ caddy.Provisioner           = (*API)(nil)
	_ caddy.CleanerUpper          = (*API)(nil)
	_ caddyhttp.MiddlewareHandler = (*API)(nil)
	_ endpoint.Cacheable          = (*run)(nil)
	_ switchboard.API             = (*API)(nil)
)
