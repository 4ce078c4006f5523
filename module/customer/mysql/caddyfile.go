package mysql

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/switchboard-ivr/switchboard/module/customer/usertables"
)

// UnmarshalCaddyfile sets up the store from its lines:
//
//	mysql <dsn> {
//		find   <param> <sql>
//		record <jq>
//	}
func (m *MySQL) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume name
	if !d.AllArgs(&m.DSN) {
		return d.Err("customers mysql takes one DSN; write customers mysql {env.CRM_DSN}")
	}
	for d.NextBlock(0) {
		ok, err := m.UnmarshalLine(d, usertables.MySQL)
		if err != nil {
			return err
		}
		if !ok {
			return d.Errf("unrecognized subdirective '%s' of customers mysql; known are find and record", d.Val())
		}
	}
	if !m.Written() {
		return d.Err("customers mysql has no find: Switchboard keeps no customers in MySQL, it reads tables of your own; " +
			"write find tel `SELECT … WHERE phone IN (:variants)`")
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*MySQL)(nil)
