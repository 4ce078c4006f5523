package tokenauth

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
)

// ParseDirective sets up the directive:
//
//	token_auth [<matcher>] <issuer>
//
// It is Caddy's `authentication` handler with the provider `switchboard_token`.
func ParseDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // consume directive name
	matchers, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, err
	}
	h.Next() // consume it again: a matcher rewinds
	var p Provider
	if !h.AllArgs(&p.Issuer) || p.Issuer == "" {
		return nil, h.Err("token_auth takes the name of an issuer: token_auth [MATCHER] NAME")
	}
	if h.NextBlock(0) {
		return nil, h.Err("token_auth takes no block; the issuer is set up in the global option switchboard")
	}
	return h.NewRoute(matchers, caddyauth.Authentication{
		ProvidersRaw: caddy.ModuleMap{"switchboard_token": caddyconfig.JSON(p, nil)},
	}), nil
}
