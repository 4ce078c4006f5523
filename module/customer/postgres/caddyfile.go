package postgres

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/switchboard-ivr/switchboard/module/customer/usertables"
)

// UnmarshalCaddyfile sets up the store:
//
//	customers postgres <dsn> {
//		find   <param> <sql>
//		record <jq>
//	}
//
// Without a block, Switchboard keeps the customers in tables of its own.
func (p *Postgres) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume store name
	if !d.AllArgs(&p.DSN) {
		return d.Err("customers postgres takes one DSN; write `customers postgres {env.CRM_DSN}`")
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		known, err := p.UnmarshalLine(d, usertables.Postgres)
		if err != nil {
			return err
		}
		if !known {
			return d.Errf("unrecognized subdirective '%s' of customers postgres; known are find and record", d.Val())
		}
	}
	if p.Record != "" && !p.Written() {
		return d.Err("record makes customers of the rows that find finds; write a find, too")
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Postgres)(nil)
