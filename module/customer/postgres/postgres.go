// Package postgres keeps the customer directory in PostgreSQL, or in what speaks
// its protocol, or finds customers in tables of the user's own there.
package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/customer/dbconn"
	"github.com/switchboard-ivr/switchboard/module/customer/usertables"
)

func init() {
	caddy.RegisterModule(Postgres{})
}

// Postgres keeps customers in tables of Switchboard's own, which it creates with
// the first use; several instances may share them. With `find` it reads tables
// of yours instead, and only reads.
//
// It connects when it is first asked. A database that is down keeps no
// configuration from loading, and a lookup that meets a restart is asked again.
type Postgres struct {
	// Where the database is: `postgres://user:password@host:5432/database`, or
	// keywords as psql takes them. Required. Write it as a placeholder:
	// `{env.CRM_DSN}` or `{file./run/secrets/crm}`, resolved at load.
	DSN string `json:"dsn,omitempty"`

	usertables.Tables

	dsn      string
	location string
	lookup   *usertables.Lookup // over tables of the user's own
}

// CaddyModule returns the Caddy module information.
func (Postgres) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "switchboard.customers.postgres",
		New: func() caddy.Module { return new(Postgres) },
	}
}

// Provision checks the settings; it connects to nothing.
func (p *Postgres) Provision(ctx caddy.Context) error {
	if p.DSN == "" {
		return errors.New("customers postgres needs a DSN; write `customers postgres {env.CRM_DSN}`")
	}
	var err error
	if p.dsn, err = caddy.NewReplacer().ReplaceOrErr(p.DSN, true, true); err != nil {
		return fmt.Errorf("customers postgres: DSN: %w", err)
	}
	config, err := dbconn.Postgres(p.dsn)
	if err != nil {
		return fmt.Errorf("customers postgres: %w", err)
	}
	p.location = fmt.Sprintf("%s:%d/%s", config.ConnConfig.Host, config.ConnConfig.Port, config.ConnConfig.Database)
	if !p.Written() {
		if p.Record != "" {
			return errors.New("customers postgres: record makes customers of the rows that find finds; write a find, too")
		}
		return nil
	}
	if p.lookup, err = p.Compile(usertables.Postgres, ctx.Logger()); err != nil {
		return fmt.Errorf("customers postgres: %w", err)
	}
	return nil
}

// Open implements [customer.Guest].
func (p *Postgres) Open(env customer.Env) (customer.Store, error) {
	if p.lookup != nil {
		return usertables.OpenPostgres(p.lookup, p.dsn, env)
	}
	return newStore(p.dsn, env), nil
}

// Identity implements [customer.Guest].
func (p *Postgres) Identity() string {
	sum := sha256.Sum256([]byte(p.dsn + "\x00" + p.Digest()))
	return "postgres " + hex.EncodeToString(sum[:])
}

// Location implements [customer.Guest].
func (p *Postgres) Location() string { return "postgres " + p.location }

// Interface guards
var (
	_ caddy.Provisioner = (*Postgres)(nil)
	_ customer.Guest    = (*Postgres)(nil)
)
