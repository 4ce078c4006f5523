// Package sqlite keeps the customer directory in a file, with SQLite. It needs
// no server, and is the default.
package sqlite

import (
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/customer/dbconn"
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
func (s *SQLite) Provision(ctx caddy.Context) (err error) {
	if s.Written() && s.Path == "" {
		return errors.New("find needs the file with your tables; write customers sqlite /path/to/file.db")
	}
	if s.lookup, err = s.CompileWritten(usertables.SQLite, ctx.Logger()); err != nil {
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

// Open implements [customer.Guest].
func (s *SQLite) Open(env customer.Env) (customer.Store, error) {
	if s.lookup != nil {
		return usertables.OpenSQLite(s.lookup, s.path, env)
	}
	return newStore(s.path, env), nil
}

// Identity implements [customer.Guest].
func (s *SQLite) Identity() string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte("sqlite\x00"+s.path+"\x00"+s.Digest())))
}

// Location implements [customer.Guest].
func (s *SQLite) Location() string { return "sqlite " + s.path }

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
	return s.UnmarshalBlock(d, usertables.SQLite)
}

// busy is how long a lookup waits for a file that is locked, which in WAL mode
// is only while somebody recovers it.
const busy = time.Second

// openReader returns the pool that lookups use. A statement of it can neither
// write nor reach another file.
func openReader(path string, connections int) *sql.DB {
	db := sql.OpenDB(readers{dbconn.SQLiteReader(path, busy)})
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db
}

// writing is for imports, in which each customer goes to a dozen places of the
// file: 32 MiB of it stay in memory, and as much is written before it is moved
// from the log into the file. What one statement has done so far, in case it
// fails, needs no file of its own. None of it is about what survives a crash.
var writing = []string{"cache_size(-32768)", "wal_autocheckpoint(8192)", "temp_store(memory)"}

// openWriter returns the one connection that writes. It waits 5 s for another
// process that does.
func openWriter(path string) *sql.DB {
	db := sql.OpenDB(dbconn.SQLite(path, url.Values{
		"mode": {"rw"}, "_txlock": {"immediate"}, "_busy_timeout": {"5000"},
		"_journal_mode": {"WAL"}, "_synchronous": {"NORMAL"},
		"_pragma": writing,
	}))
	db.SetMaxOpenConns(1)
	return db
}

// create makes the file, where there is none, for nobody but its owner. SQLite
// gives what it puts beside the file the same mode. The second result tells
// that an older file was open to others and still is.
func create(path string) (open bool, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return false, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the path is the configuration's
	if err != nil {
		return false, err
	}
	defer file.Close() // nothing was written
	info, err := file.Stat()
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return false, err
	}
	return file.Chmod(0o600) != nil, nil
}

// Interface guards
var (
	_ caddy.Provisioner     = (*SQLite)(nil)
	_ customer.Guest        = (*SQLite)(nil)
	_ caddyfile.Unmarshaler = (*SQLite)(nil)
)
