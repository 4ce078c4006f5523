package console

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/module/blocks"
)

// Parse sets up the directive:
//
//	api_console [<matcher>] {
//		auth key <key> [header <name>] | user | issuer <name> | none
//	}
func Parse(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	matchers, err := endpoint.Matchers(h)
	if err != nil {
		return nil, err
	}
	p := endpoint.NewParser(h, "api_console")
	if p.NextArg() {
		return nil, p.Errf("unexpected %q; a matcher goes before the block, everything else inside it", p.Val())
	}
	c := new(Console)
	if err := p.Read(blocks.Lines{"auth": func() error { return p.Auth(&c.Auth) }}); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, p.WrapErr(err)
	}
	return h.NewRoute(matchers, c), nil
}
