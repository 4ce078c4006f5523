package sqlite

import "github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

// UnmarshalCaddyfile sets up the store:
//
//	customers sqlite [<path>]
func (s *SQLite) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume store name
	if d.NextArg() {
		s.Path = d.Val()
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	if d.NextBlock(0) {
		return d.Errf("unrecognized subdirective '%s' of customers sqlite; it takes a path and no block", d.Val())
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*SQLite)(nil)
