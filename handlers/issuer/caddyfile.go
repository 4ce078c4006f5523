package issuer

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// ParseDirective sets up the directive:
//
//	token_issuer [<matcher>] <issuer>
func ParseDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // consume directive name
	matchers, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, err
	}
	t := new(TokenIssuer)
	if err := t.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return h.NewRoute(matchers, t), nil
}

// UnmarshalCaddyfile sets up the handler; see ParseDirective for the syntax.
func (t *TokenIssuer) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	if !d.AllArgs(&t.Issuer) || t.Issuer == "" {
		return d.Err("token_issuer takes the name of an issuer: token_issuer [MATCHER] NAME")
	}
	if d.NextBlock(0) {
		return d.Err("token_issuer takes no block; the issuer is set up in the global option switchboard")
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*TokenIssuer)(nil)
