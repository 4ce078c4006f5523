package sqlite

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/switchboard-ivr/switchboard/module/customer/usertables"
)

// UnmarshalCaddyfile sets up the store:
//
//	customers sqlite [<path>] {
//		find   <param> <sql>
//		record <jq>
//	}
func (s *SQLite) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume store name
	if d.NextArg() {
		s.Path = d.Val()
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	for d.NextBlock(0) {
		ok, err := s.UnmarshalLine(d, usertables.SQLite)
		if err != nil {
			return err
		}
		if !ok {
			return d.Errf("unrecognized subdirective '%s' of customers sqlite; known are find and record, for tables of your own", d.Val())
		}
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*SQLite)(nil)
