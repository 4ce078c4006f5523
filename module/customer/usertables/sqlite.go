package usertables

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/customer/dbconn"
)

// OpenSQLite returns the store over tables in a SQLite file. It opens the file
// with the first lookup, and never makes one.
func OpenSQLite(l *Lookup, file string, env customer.Env) (customer.Store, error) {
	absolute, err := filepath.Abs(file)
	if err != nil {
		return nil, errors.New("the file's path can't be made absolute")
	}
	return newStore(l, env, func() (database, error) {
		db := openPool(dbconn.SQLiteReader(absolute, queryTimeout/2))
		return &sqLite{sqlPool{DB: db, convert: func(v any, declared string) (any, error) { return value(v, declared == "DATE") }}}, nil
	}), nil
}

// sqLite is a pool of connections to a SQLite file.
type sqLite struct{ sqlPool }

func (s *sqLite) judge(err error) *fault {
	e, ok := errors.AsType[*sqlite.Error](err)
	switch {
	case !ok && errors.Is(err, context.DeadlineExceeded): // no connection was free
		return errTooSlow
	case !ok:
		return &fault{reason: "the file can't be read"}
	}
	v := &fault{reason: fmt.Sprintf("SQLite refuses with code %d: %s", e.Code(), sqlite.ErrorCodeString[e.Code()&0xff])}
	if text := sqliteText(e.Error()); text != "" {
		v.reason = "SQLite refuses: " + text
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_ERROR, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE, sqlite3.SQLITE_READONLY:
		v.kind = customer.ErrMismatch
	case sqlite3.SQLITE_TOOBIG:
		v.kind = customer.ErrTooLarge
	}
	return v
}
