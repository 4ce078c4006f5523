// Package handlers registers the directives of Switchboard's HTTP handlers, in
// the one list of their order.
package handlers

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/switchboard-ivr/switchboard/handlers/api"
)

// Directives that answer stand after `route`, so that a site's `respond` or
// `handle` can go before them where it is more specific. Directives that pass
// a request on stand before `invoke`.
func init() {
	httpcaddyfile.RegisterDirective("api", api.Parse)
	httpcaddyfile.RegisterDirectiveOrder("api", httpcaddyfile.After, "route")
}
