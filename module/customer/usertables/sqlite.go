package usertables

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"time"

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
	return newStore(l, env, func() (database, error) { return &sqLite{openPool(dbconn.SQLiteReader(absolute, queryTimeout/2))}, nil }), nil
}

// sqLite is a pool of connections to a SQLite file.
type sqLite struct{ db *sql.DB }

func (s *sqLite) query(ctx context.Context, text string, args []any, limit int) ([]map[string]any, bool, error) {
	c, err := s.db.Conn(ctx)
	if err != nil {
		return nil, false, err
	}
	defer c.Close()
	return queryRows(ctx, c, text, args, limit, sqliteValue)
}

func (s *sqLite) renew() {}

func (s *sqLite) Close() error { return s.db.Close() }

func (s *sqLite) judge(err error) verdict {
	if v, ok := judgeColumn(err); ok {
		return v
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return verdict{reason: "the file can't be read"}
	}
	v := verdict{reason: fmt.Sprintf("SQLite refuses with code %d: %s", e.Code(), sqlite.ErrorCodeString[e.Code()&0xff])}
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

// sqliteValue makes of a column's value what jq knows.
func sqliteValue(v any, declared string) (any, error) {
	switch v := v.(type) {
	case nil, bool:
		return v, nil
	case int64:
		return int(v), nil
	case float64:
		return float(v, 64), nil
	case string:
		return plain(v)
	case []byte:
		return bytes(v)
	case time.Time: // of a column that is declared as one
		if declared == "DATE" {
			return day(v), nil
		}
		return moment(v), nil
	default:
		return nil, errColumnType
	}
}
