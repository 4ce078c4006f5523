package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
)

// dsn names a file to the driver, whatever signs are in its path.
func dsn(path string, params url.Values) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: params.Encode()}).String()
}

// connector opens connections with a driver of its own, which is not in
// database/sql's list.
type connector struct {
	driver *sqlite.Driver
	dsn    string
}

// Connect implements [driver.Connector].
func (c connector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }

// Driver implements [driver.Connector].
func (c connector) Driver() driver.Driver { return c.driver }

// OpenReader returns a pool of connections to an existing file that can do
// nothing but read it. It is opened with its first use. A statement can neither
// write nor reach another file, whatever it says.
func OpenReader(path string, connections int) *sql.DB {
	d := new(sqlite.Driver)
	d.RegisterConnectionHook(func(c sqlite.ExecQuerierContext, _ string) error {
		registerer, ok := c.(sqlite.AuthorizerRegisterer)
		if !ok {
			return errors.New("the driver has no authorizer")
		}
		return registerer.RegisterAuthorizer(onlyReads)
	})
	db := sql.OpenDB(connector{d, dsn(path, url.Values{
		"mode": {"ro"}, "_query_only": {"1"}, "_busy_timeout": {"1000"},
	})})
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db
}

// onlyReads decides what a statement of a reader may do.
func onlyReads(action sqlite.AuthorizerActionCode, name, function, _, _ string) sqlite.AuthorizerReturnCode {
	allowed := false
	switch action {
	case sqlite.AuthSelect, sqlite.AuthRead, sqlite.AuthRecursive, sqlite.AuthTransaction:
		allowed = true
	case sqlite.AuthFunction:
		allowed = function != "load_extension"
	case sqlite.AuthPragma:
		allowed = name == "query_only" || name == "busy_timeout" // the driver's own, as the connection opens
	default: // all that writes, or reaches another file
	}
	if !allowed {
		return sqlite.AuthorizerDeny
	}
	return sqlite.AuthorizerOK
}

// openWriter returns the one connection that writes. It waits 5 s for another
// process that does.
func openWriter(path string) *sql.DB {
	db := sql.OpenDB(connector{new(sqlite.Driver), dsn(path, url.Values{
		"mode": {"rw"}, "_txlock": {"immediate"}, "_busy_timeout": {"5000"},
		"_journal_mode": {"WAL"}, "_synchronous": {"NORMAL"},
	})})
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
