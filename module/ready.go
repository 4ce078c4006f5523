package switchboard

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(Ready{})
}

// Ready matches if every token source that signs in at start has a valid token,
// e.g. for a load balancer's health check. One that waits for a person's consent isn't
// counted: no other instance could do better.
//
//	@ready {
//		path /ready
//		switchboard_ready
//	}
//	respond @ready 200
//	respond /ready 503
type Ready struct {
	app *App
}

// CaddyModule returns the Caddy module information.
func (Ready) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.matchers.switchboard_ready",
		New: func() caddy.Module { return new(Ready) },
	}
}

// UnmarshalCaddyfile sets up the matcher: `switchboard_ready`, without
// arguments.
func (m *Ready) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	for d.Next() {
		if d.NextArg() {
			return d.ArgErr()
		}
		if d.NextBlock(0) {
			return d.Err("switchboard_ready takes no block")
		}
	}
	return nil
}

// Provision finds the app.
func (m *Ready) Provision(ctx caddy.Context) error {
	app, err := ctx.App("switchboard")
	if err != nil {
		return err
	}
	m.app = app.(*App)
	return nil
}

// MatchWithError reports whether every token source that signs in at start has a
// token.
func (m *Ready) MatchWithError(*http.Request) (bool, error) {
	for _, source := range m.app.sources {
		if source.HasToken() && source.IsWarm() && !source.NeedsConsent() && source.Current() == nil {
			return false, nil
		}
	}
	return true, nil
}

// Interface guards
var (
	_ caddy.Provisioner                 = (*Ready)(nil)
	_ caddyfile.Unmarshaler             = (*Ready)(nil)
	_ caddyhttp.RequestMatcherWithError = (*Ready)(nil)
)
