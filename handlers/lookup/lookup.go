// Package lookup is the handler `customer_lookup`: the protocol's query for a
// customer (docs/protocol.md), over the customer directory.
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

// Lookup answers who a caller is, from the customer directory of the app
// `switchboard`.
//
// It takes `id`, `tel`, `email` and `thirdAccountId`, from a GET's query or
// from a POST's form or JSON; blank is not given, and all that are given must
// be true of the same customer. The answer is a flat object of strings: the
// protocol's fields under the protocol's spelling, then custom fields under
// their ids. Without a parameter, or when nobody is found, it is `null`.
//
// Telephone numbers are compared as E.164, emails without case, and
// `thirdAccountId` with all ten account ids. A withheld number, an extension or
// anything else that is no telephone number is nobody's.
//
// Every answer has the headers `Proxy-Status` (RFC 9209), `Cache-Status`
// (RFC 9211) and `Server-Timing`. The outcomes are `ok`, `stale`, `not_found`, `ambiguous`, `timeout` and `unreachable`;
// a caller who is refused gets `bad_request` or `unauthorized`.
//
// Placeholders set, for logs and handlers that run later:
//
// Placeholder | Description
// ------------|------------
// `{http.customer_lookup.outcome}` | How the lookup ended
// `{http.customer_lookup.call_id}` | The phone call's id
type Lookup struct {
	// The fields of an answer, by their names on the wire: of the protocol, or
	// ids of custom fields. Default: all.
	Fields []string `json:"fields,omitempty"`

	// What a field without a value is: `blank` (an empty text), `null`, or
	// `omit` to leave it out. Default: blank, so that the same keys are in every
	// answer.
	Empty string `json:"empty,omitempty"`

	// The answer when nobody is found: `null`, `blank` (all fields, without
	// values) or `404`. Default: null, as the protocol says.
	NotFound string `json:"not_found,omitempty"`

	// What several customers are: `newest` takes the one that was written last,
	// `none` answers as if there were nobody, with the outcome `ambiguous`.
	// Default: newest.
	Multiple string `json:"multiple,omitempty"`

	// Whether to put the answer into {"code":"000000","data":…}.
	Envelope bool `json:"envelope,omitempty"`

	// Whether every lookup is written to the log: who asked, a keyed hash of
	// what for, and how it ended.
	Audit *Audit `json:"audit,omitempty"`

	// What it has in common with the other answering handlers. Auth is
	// required. A failure is an error by default (503; 504 when the budget
	// ends), and with `on_failure default` the answer for nobody. The budget is
	// 1s by default. The status field is off.
	endpoint.Settings

	route     *endpoint.Route
	directory directory
	audit     *auditor
	answers   answers
	asked     int // how many customers: the newest, or as many as shows that there are several

	server *caddyhttp.Server // that it is written in; nil for none
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

// ServeHTTP takes a lookup through its stages. A stage that ends it, well or
// badly, has set the outcome; what follows is the answer for it.
func (l *Lookup) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	c := l.begin(w, r)
	defer c.end()

	_ = c.call.Authorize() && // who asks?
		c.receive() && // for whom?
		c.call.ServeCached(c) && // is that known already, or being asked?
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
