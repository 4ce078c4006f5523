package sqlite

import (
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/switchboard-ivr/switchboard/module/customer/dbconn"
)

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
