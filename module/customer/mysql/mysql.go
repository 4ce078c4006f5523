// Package mysql is the customer directory over tables in MySQL or MariaDB.
package mysql

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"

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
	sum := sha256.Sum256([]byte(m.dsn + "\x00" + m.Digest()))
	return "mysql " + hex.EncodeToString(sum[:])
}

// Location is the server and its database.
func (m *MySQL) Location() string { return "mysql " + m.location }

// Interface guards
var (
	_ caddy.Provisioner = (*MySQL)(nil)
	_ customer.Guest    = (*MySQL)(nil)
)
