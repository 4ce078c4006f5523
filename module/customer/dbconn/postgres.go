package dbconn

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

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

// PostgresLost tells whether an error code (appendix A of PostgreSQL's manual)
// is about the connection, not about what was asked.
func PostgresLost(code string) bool {
	switch code {
	case "57P01", "57P02", "57P03": // it shuts down, has crashed, starts
		return true
	}
	return strings.HasPrefix(code, "08")
}
