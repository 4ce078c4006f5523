// Package dbconn is how databases of customers are connected to, whoever's
// tables they hold: bounds of time and number, and connections that only read.
package dbconn

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"modernc.org/sqlite"
)

// Bounds of every store.
const (
	LookupTimeout  = time.Second     // of one lookup whose context has more time
	ConnectTimeout = 2 * time.Second // of one connection
	Patience       = 3 * time.Second // with a database that can't be reached
	MaxConns       = 16              // at once, unless the DSN says otherwise
)

// ErrNoConnection says that a database was not asked, because there was no
// connection to it in time.
var ErrNoConnection = errors.New("no connection")

// ErrPostgresDSN says that a DSN can't be read, and nothing of it.
var ErrPostgresDSN = errors.New("the DSN can't be read; write postgres://user:password@host:5432/database")

// Postgres reads a DSN, a URL or keywords as psql takes them, and bounds what it
// says. pool_max_conns in it is how many connections there are at most.
func Postgres(dsn string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil { // which may quote the DSN
		return nil, ErrPostgresDSN
	}
	if !strings.Contains(dsn, "pool_max_conns") {
		config.MaxConns = MaxConns
	}
	if config.ConnConfig.ConnectTimeout == 0 || config.ConnConfig.ConnectTimeout > ConnectTimeout {
		config.ConnConfig.ConnectTimeout = ConnectTimeout
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "switchboard"
	}
	return config, nil
}

// AcquirePostgres takes a connection out of the pool, or makes one. Its error is
// an [ErrNoConnection], unless the pool is full and every connection in use.
func AcquirePostgres(ctx context.Context, pool *pgxpool.Pool) (*pgxpool.Conn, error) {
	c, err := pool.Acquire(ctx)
	if err == nil {
		return c, nil
	}
	if in := pool.Stat(); in.AcquiredConns() >= in.MaxConns() {
		return nil, err
	}
	return nil, fmt.Errorf("%w: %w", ErrNoConnection, err)
}

// PostgresLost reports whether an error code (appendix A of PostgreSQL's manual)
// is about the connection, not about what was asked.
func PostgresLost(code string) bool {
	switch code {
	case "57P01", "57P02", "57P03": // it shuts down, has crashed, starts
		return true
	}
	return strings.HasPrefix(code, "08")
}

// SQLite opens connections to a file with a driver of its own, which is not in
// database/sql's list. Params are those of the driver.
func SQLite(path string, params url.Values) driver.Connector {
	return opener{new(sqlite.Driver), address(path, params)}
}

// SQLiteReader opens connections to an existing file that can do nothing but
// read it, whatever a statement says: a file that is opened to read only still
// lets ATTACH open others. They wait busy for who writes.
func SQLiteReader(path string, busy time.Duration) driver.Connector {
	d := new(sqlite.Driver)
	d.RegisterConnectionHook(lockDown)
	return opener{d, address(path, url.Values{"mode": {"ro"}, "_pragma": {fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds())}})}
}

// address names a file to the driver, whatever signs are in its path.
func address(path string, params url.Values) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: params.Encode()}).String()
}

// opener is a driver and what it opens.
type opener struct {
	driver *sqlite.Driver
	dsn    string
}

// Connect implements [driver.Connector].
func (o opener) Connect(context.Context) (driver.Conn, error) { return o.driver.Open(o.dsn) }

// Driver implements [driver.Connector].
func (o opener) Driver() driver.Driver { return o.driver }

func lockDown(c sqlite.ExecQuerierContext, _ string) error {
	if _, err := c.ExecContext(context.Background(), "PRAGMA query_only = on", nil); err != nil {
		return err
	}
	authorizer, ok := c.(sqlite.AuthorizerRegisterer)
	if !ok {
		return errors.New("the driver knows no authorizer")
	}
	return authorizer.RegisterAuthorizer(onlyReads)
}

// onlyReads decides what a statement of a reader may do.
func onlyReads(action sqlite.AuthorizerActionCode, _, function, _, _ string) sqlite.AuthorizerReturnCode {
	switch {
	case action == sqlite.AuthSelect, action == sqlite.AuthRead, action == sqlite.AuthRecursive,
		action == sqlite.AuthFunction && function != "load_extension":
		return sqlite.AuthorizerOK
	default: // all that writes, or reaches another file
		return sqlite.AuthorizerDeny
	}
}

// Pause waits, unless the context ends first, and reports whether it did.
func Pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
