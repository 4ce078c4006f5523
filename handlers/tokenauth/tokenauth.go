// Package tokenauth guards any Caddy handler with the access tokens of an issuer.
// It is the authentication provider `switchboard_token`, with the directive
// `token_auth`.
package tokenauth

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"

	"github.com/switchboard-ivr/switchboard/module/issuer"
)

func init() {
	caddy.RegisterModule(Provider{})
}

// Provider authenticates requests by an issuer's access token, which it reads
// where the issuer's `accept` says. `{http.auth.user.id}` is then the client's
// app_key. Other requests get a 401 with `WWW-Authenticate: Bearer`.
//
// The token is removed from the request, so that no later handler can see it. A
// second provider of the same issuer still admits the request.
type Provider struct {
	// The name of the issuer in the app `switchboard`.
	Issuer string `json:"issuer,omitempty"`

	issuer *issuer.Issuer
}

// CaddyModule returns the Caddy module information.
func (Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.authentication.providers.switchboard_token",
		New: func() caddy.Module { return new(Provider) },
	}
}

// Provision finds the issuer.
func (p *Provider) Provision(ctx caddy.Context) error {
	var err error
	p.issuer, err = issuer.Find(ctx, p.Issuer)
	return err
}

// Authenticate implements caddyauth.Authenticator.
func (p *Provider) Authenticate(w http.ResponseWriter, r *http.Request) (caddyauth.User, bool, error) {
	principal, ok := p.issuer.Admit(r)
	if !ok {
		w.Header().Set("Www-Authenticate", `Bearer realm="`+p.Issuer+`"`) // names have no quotes
		return caddyauth.User{}, false, nil
	}
	return caddyauth.User{ID: principal}, true, nil
}

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

// Interface guards
var (
	_ caddy.Provisioner       = (*Provider)(nil)
	_ caddyauth.Authenticator = (*Provider)(nil)
)
