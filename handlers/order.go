// Package handlers registers the directives of Switchboard's HTTP handlers, in
// the one list of their order.
package handlers

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/switchboard-ivr/switchboard/handlers/api"
	"github.com/switchboard-ivr/switchboard/handlers/console"
	"github.com/switchboard-ivr/switchboard/handlers/issuer"
	"github.com/switchboard-ivr/switchboard/handlers/lookup"
	"github.com/switchboard-ivr/switchboard/handlers/tokenauth"
)

// Directives that answer come after `route`, so that the more specific `respond` and
// `handle` of a site can come before them. Directives that pass a request on come
// before `invoke`.
func init() {
	for _, directive := range []struct {
		name     string
		parse    httpcaddyfile.UnmarshalFunc
		position httpcaddyfile.Positional
		other    string
	}{
		{"api", api.Parse, httpcaddyfile.After, "route"},
		{"customer_lookup", lookup.Parse, httpcaddyfile.After, "route"},
		{"token_issuer", issuer.ParseDirective, httpcaddyfile.After, "route"},
		{"api_console", console.Parse, httpcaddyfile.After, "route"},
		{"token_auth", tokenauth.ParseDirective, httpcaddyfile.Before, "invoke"},
	} {
		httpcaddyfile.RegisterDirective(directive.name, directive.parse)
		httpcaddyfile.RegisterDirectiveOrder(directive.name, directive.position, directive.other)
	}
}
