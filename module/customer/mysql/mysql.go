// Package mysql is the customer directory over tables in MySQL or MariaDB.
package mysql

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/customer/usertables"
)

func init() {
	caddy.RegisterModule(MySQL{})
}

// MySQL finds customers in tables of your own, in MySQL or MariaDB. It only
// reads.
type MySQL struct {
	// Where the database is: `user:password@tcp(host:3306)/database`, or
	// `mysql://user:password@host:3306/database`. Required. Write it as a
	// placeholder: `{env.CRM_DSN}` or `{file./run/secrets/crm}`, resolved at load.
	DSN string `json:"dsn,omitempty"`

	usertables.Tables

	dsn      string
	location string
	lookup   *usertables.Lookup
}

// CaddyModule returns the Caddy module information.
func (MySQL) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "switchboard.customers.mysql",
		New: func() caddy.Module { return new(MySQL) },
	}
}

// Provision checks the settings; it connects to nothing.
func (m *MySQL) Provision(ctx caddy.Context) error {
	if m.DSN == "" {
		return errors.New("customers mysql needs a DSN; write customers mysql {env.CRM_DSN}")
	}
	var err error
	if m.dsn, err = caddy.NewReplacer().ReplaceOrErr(m.DSN, true, true); err != nil {
		return fmt.Errorf("customers mysql: DSN: %w", err)
	}
	if m.location, err = usertables.MySQLLocation(m.dsn); err != nil {
		return fmt.Errorf("customers mysql: %w", err)
	}
	if m.lookup, err = m.Compile(usertables.MySQL, ctx.Logger()); err != nil {
		return fmt.Errorf("customers mysql: %w", err)
	}
	return nil
}

// Open returns the store, which connects with the first lookup.
func (m *MySQL) Open(env customer.Env) (customer.Store, error) {
	return usertables.OpenMySQL(m.lookup, m.dsn, env)
}

// Identity is a digest of all settings.
func (m *MySQL) Identity() string {
	return fmt.Sprintf("mysql %x", sha256.Sum256([]byte(m.dsn+"\x00"+m.Digest())))
}

// Location is the server and its database.
func (m *MySQL) Location() string { return "mysql " + m.location }

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
	if err := m.UnmarshalBlock(d, usertables.MySQL); err != nil {
		return err
	}
	if !m.Written() {
		return d.Err("customers mysql has no find: Switchboard keeps no customers in MySQL, it reads tables of your own; " +
			"write find tel `SELECT … WHERE phone IN (:variants)`")
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner     = (*MySQL)(nil)
	_ customer.Guest        = (*MySQL)(nil)
	_ caddyfile.Unmarshaler = (*MySQL)(nil)
)
