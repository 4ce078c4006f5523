package owntables

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"modernc.org/sqlite"

	"github.com/switchboard-ivr/switchboard/module/customer"
)

// OpenSQLite returns the store over tables in a SQLite file. It opens the file
// with the first lookup, and never makes one.
func OpenSQLite(l *Lookup, file string, env customer.Env) (customer.Store, error) {
	absolute, err := filepath.Abs(file)
	if err != nil {
		return nil, errors.New("the file's path can't be made absolute")
	}
	u := url.URL{Scheme: "file", Path: absolute, RawQuery: fmt.Sprintf("mode=ro&_pragma=busy_timeout(%d)", (queryTimeout / 2).Milliseconds())}
	d := new(sqlite.Driver)
	d.RegisterConnectionHook(lockDown)
	return newStore(l, env, func() (database, error) { return &sqLite{openPool(opener{d, u.String()})}, nil }), nil
}

// opener is a driver and what it opens.
type opener struct {
	driver driver.Driver
	dsn    string
}

// Connect implements driver.Connector.
func (o opener) Connect(context.Context) (driver.Conn, error) { return o.driver.Open(o.dsn) }

// Driver implements driver.Connector.
func (o opener) Driver() driver.Driver { return o.driver }

// lockDown leaves a connection nothing but reading: a file that is opened to
// read only still lets ATTACH open others.
func lockDown(c sqlite.ExecQuerierContext, _ string) error {
	if _, err := c.ExecContext(context.Background(), "PRAGMA query_only = on", nil); err != nil {
		return err
	}
	authorizer, ok := c.(sqlite.AuthorizerRegisterer)
	if !ok {
		return errors.New("the driver knows no authorizer")
	}
	return authorizer.RegisterAuthorizer(func(action sqlite.AuthorizerActionCode, _, function, _, _ string) sqlite.AuthorizerReturnCode {
		switch action {
		case sqlite.AuthSelect, sqlite.AuthRead, sqlite.AuthRecursive:
			return sqlite.AuthorizerOK
		case sqlite.AuthFunction:
			if function != "load_extension" {
				return sqlite.AuthorizerOK
			}
			return sqlite.AuthorizerDeny
		default:
			return sqlite.AuthorizerDeny
		}
	})
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
