package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/switchboard-ivr/switchboard/module/customer"
)

// Bounds of what is asked of the database.
const (
	lookupTimeout  = time.Second     // of one lookup whose context has more time
	connectTimeout = 2 * time.Second // of one connection
	maxConns       = 16              // at once, unless the DSN says otherwise
)

// newPool connects to nothing yet.
func newPool(dsn string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil { // which may quote the DSN
		return nil, errors.New("the DSN can't be read")
	}
	if !strings.Contains(dsn, "pool_max_conns") {
		config.MaxConns = maxConns
	}
	if config.ConnConfig.ConnectTimeout == 0 || config.ConnConfig.ConnectTimeout > connectTimeout {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "switchboard"
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, errors.New("the DSN can't be used")
	}
	return pool, nil
}

// again runs a read, and, when its connection turns out to be lost, runs it
// anew on others, as long as the context allows: a database that restarts costs
// time, but no answer.
func (s *store) again(ctx context.Context, read func() error) error {
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		err := read()
		if err == nil || !lost(err) || ctx.Err() != nil {
			return err
		}
		s.pool.Reset()
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}

// lost tells whether an error is about the connection, not about what was asked.
func lost(err error) bool {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch refused.Code {
		case "57P01", "57P02", "57P03": // it shuts down, has crashed, starts
			return true
		}
		return strings.HasPrefix(refused.Code, "08")
	}
	return !errors.Is(err, errRow) && !errors.Is(err, errSchema) && !errors.Is(err, pgx.ErrNoRows) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

var (
	errRow    = errors.New("a row is not as this program writes them")
	errSchema = errors.New("the tables are not those of this program")
)

// unavailable says why a directory could not be asked. What PostgreSQL says may
// hold values; its code holds none.
func unavailable(doing string, err error) error {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case ok:
		err = errors.New("PostgreSQL refuses with SQLSTATE " + refused.Code)
	case errors.Is(err, errRow), errors.Is(err, errSchema), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	default:
		err = errors.New("no connection")
	}
	return fmt.Errorf("%w: %s: %w", customer.ErrUnavailable, doing, err)
}
