// Package postgres keeps the customer directory in PostgreSQL, or in what speaks
// its protocol, or finds customers in tables of the user's own there.
package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/customer/dbconn"
	"github.com/switchboard-ivr/switchboard/module/customer/schema"
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
	if p.lookup, err = p.CompileWritten(usertables.Postgres, ctx.Logger()); err != nil {
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
	return fmt.Sprintf("postgres %x", sha256.Sum256([]byte(p.dsn+"\x00"+p.Digest())))
}

// Location implements [customer.Guest].
func (p *Postgres) Location() string { return "postgres " + p.location }

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
	return p.UnmarshalBlock(d, usertables.Postgres)
}

// again runs a read, and, when its connection turns out to be lost, runs it
// anew on others, as long as the context and the store's patience allow: a
// database that restarts costs time, but no answer, and one that stays away
// keeps nobody waiting, a command without a deadline neither.
func (s *store) again(ctx context.Context, read func() error) error {
	begin := time.Now()
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		err := read()
		if err == nil || !lost(err) || ctx.Err() != nil || time.Since(begin) > s.patience {
			return err
		}
		s.pool.Reset()
		if !dbconn.Pause(ctx, wait) {
			return err
		}
	}
}

// lost reports whether an error is about the connection, not about what was asked.
func lost(err error) bool {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return dbconn.PostgresLost(refused.Code)
	}
	if errors.Is(err, dbconn.ErrNoConnection) {
		return true
	}
	return !errors.Is(err, schema.ErrForeign) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// unavailable says why a directory could not be asked. What PostgreSQL says may
// hold values; its code holds none.
func unavailable(doing string, err error) error {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case ok:
		err = errors.New("PostgreSQL refuses with SQLSTATE " + refused.Code)
	case errors.Is(err, dbconn.ErrNoConnection):
		err = dbconn.ErrNoConnection
	case errors.Is(err, schema.ErrForeign), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	default:
		err = errors.New("no connection")
	}
	return fmt.Errorf("%w: %s: %w", customer.ErrUnavailable, doing, err)
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Postgres)(nil)
	_ customer.Guest        = (*Postgres)(nil)
	_ caddyfile.Unmarshaler = (*Postgres)(nil)
)
