package owntables

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"modernc.org/sqlite"

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
	if columnError(err) {
		return verdict{reason: err.Error()}
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return verdict{reason: fmt.Sprintf("SQLite refuses with code %d", e.Code())}
	}
	return verdict{reason: "the file can't be read"}
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
