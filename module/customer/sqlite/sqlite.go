// Package sqlite keeps the customer directory in a file, with SQLite. It needs
// no server, and is the default.
package sqlite

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/customer/usertables"
)

func init() {
	caddy.RegisterModule(SQLite{})
}

// SQLite keeps customers in a file of its own. The file is created with the
// first use, with its folder, and only its owner may read it. Several processes
// on one machine may use one file; a network file system is no place for it.
type SQLite struct {
	// The file. A placeholder such as `{env.HOME}` is resolved at load. Default:
	// `switchboard/customers.db` in Caddy's data directory.
	Path string `json:"path,omitempty"`

	// With `find` the file is one of your own: it is required, has to exist, and is
	// only read.
	usertables.Tables

	path   string             // absolute
	lookup *usertables.Lookup // nil for a file of ours
}

// CaddyModule returns the Caddy module information.
func (SQLite) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "switchboard.customers.sqlite",
		New: func() caddy.Module { return new(SQLite) },
	}
}

// Provision finds out which file it is, and doesn't touch it.
func (s *SQLite) Provision(ctx caddy.Context) error {
	if err := s.provisionTables(ctx); err != nil {
		return err
	}
	path, err := caddy.NewReplacer().ReplaceOrErr(s.Path, true, true)
	switch {
	case s.Path == "":
		path = filepath.Join(caddy.AppDataDir(), "switchboard", "customers.db")
	case err != nil:
		return fmt.Errorf("path: %w", err)
	case path == ":memory:":
		return fmt.Errorf("path: the customers have to be in a file, as in /var/lib/switchboard/customers.db")
	}
	if s.path, err = filepath.Abs(path); err != nil {
		return fmt.Errorf("path: %w", err)
	}
	return nil
}

func (s *SQLite) provisionTables(ctx caddy.Context) (err error) {
	switch {
	case !s.Written() && s.Record != "":
		return errors.New("record is for tables of your own, and there is no find")
	case !s.Written():
		return nil
	case s.Path == "":
		return errors.New("find needs the file with your tables; write customers sqlite /path/to/file.db")
	}
	s.lookup, err = s.Compile(usertables.SQLite, ctx.Logger())
	return err
}

// Open implements [customer.Guest].
func (s *SQLite) Open(env customer.Env) (customer.Store, error) {
	if s.lookup != nil {
		return usertables.OpenSQLite(s.lookup, s.path, env)
	}
	return newStore(s.path, env), nil
}

// Identity implements [customer.Guest].
func (s *SQLite) Identity() string {
	sum := sha256.Sum256([]byte("sqlite\x00" + s.path + "\x00" + s.Digest()))
	return hex.EncodeToString(sum[:])
}

// Location implements [customer.Guest].
func (s *SQLite) Location() string { return "sqlite " + s.path }

// Interface guards
var (
	_ caddy.Provisioner = (*SQLite)(nil)
	_ customer.Guest    = (*SQLite)(nil)
)
