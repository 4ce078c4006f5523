// Package lookup is the handler `customer_lookup`: it answers the protocol's
// customer query (docs/protocol.md) from the customer directory.
package lookup

import (
	"context"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/internal/phone"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/customer"
)

func init() {
	caddy.RegisterModule(Lookup{})
}

// Lookup says who a caller is, according to the customer directory of the app
// `switchboard`.
//
// It takes `id`, `tel`, `email` and `thirdAccountId`, from a GET's query or from
// a POST's form or JSON. A blank value counts as not given, and a customer must
// match all the values that are given. The answer is a flat object of strings:
// the protocol's fields under the protocol's names, then custom fields under
// their ids. Without a parameter, or if no customer is found, it is `null`.
//
// Telephone numbers are compared as E.164, emails regardless of case, and
// `thirdAccountId` with all ten account ids. A withheld number, an extension or
// anything else that is not a telephone number matches no customer.
//
// Every answer has the headers `Proxy-Status` (RFC 9209), `Cache-Status` (RFC
// 9211) and `Server-Timing`. The outcomes are `ok`, `stale`, `not_found`,
// `ambiguous`, `timeout` and `unreachable`; a refused caller gets `bad_request`
// or `unauthorized`.
//
// Placeholders set, for logs and handlers that run later:
//
// Placeholder | Description
// ------------|------------
// `{http.customer_lookup.outcome}` | How the lookup ended
// `{http.customer_lookup.call_id}` | The phone call's id
type Lookup struct {
	// The fields of an answer, by their names in the protocol, or ids of custom
	// fields. Default: all.
	Fields []string `json:"fields,omitempty"`

	// What a field without a value is: `blank` (an empty string), `null`, or
	// `omit` to leave it out. Default: blank, so that every answer has the same
	// keys.
	Empty string `json:"empty,omitempty"`

	// The answer if no customer is found: `null`, `blank` (all fields, without
	// values) or `404`. Default: null, as in the protocol.
	NotFound string `json:"not_found,omitempty"`

	// What to do when several customers match: `newest` takes the most recently
	// changed one, `none` answers as if none was found, with the outcome
	// `ambiguous`. Default: newest.
	Multiple string `json:"multiple,omitempty"`

	// Whether to wrap the answer in {"code":"000000","data":…}.
	Envelope bool `json:"envelope,omitempty"`

	// Writes every lookup to the audit log: who asked, a keyed hash of the
	// subject, and the outcome.
	Audit *Audit `json:"audit,omitempty"`

	// The settings of all answering handlers. Auth is required. By default, a
	// failure is an error (503; 504 when the budget ends), and with `on_failure
	// default` the answer is the same as if no customer was found; the budget is
	// 1s; there is no status field.
	endpoint.Settings

	route     *endpoint.Route
	directory directory
	audit     *auditor
	answers   answers
	asked     int // how many customers to ask for: 1, or 2 to notice that several match

	server *caddyhttp.Server // that the handler belongs to; nil for none
}

// directory is what the handler needs of the customer directory.
type directory interface {
	Find(ctx context.Context, q customer.Query, limit int) ([]*customer.Record, error)
	Region() phone.Region
}

// CaddyModule returns the Caddy module information.
func (Lookup) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.customer_lookup",
		New: func() caddy.Module { return new(Lookup) },
	}
}

// ServeHTTP takes a lookup through its stages. A stage that ends the lookup sets
// the outcome and returns false; the answer depends on the outcome.
func (l *Lookup) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	c := l.begin(w, r)
	defer c.end()

	_ = c.call.Authorize() && // who asks?
		c.receive() && // about whom?
		c.call.ServeCached(c) && // is there an answer, or a call that will have it?
		c.find() // who is it?

	return c.answer()
}

func (l *Lookup) begin(w http.ResponseWriter, r *http.Request) *run {
	c := &run{lookup: l}
	c.call.Begin(l.route, w, r)
	c.call.Repl.Map(c.placeholder)
	return c
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Lookup)(nil)
	_ caddyhttp.MiddlewareHandler = (*Lookup)(nil)
	_ endpoint.Cacheable          = (*run)(nil)
	_ switchboard.Tester          = (*Lookup)(nil)
)
