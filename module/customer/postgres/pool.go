package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/customer/dbconn"
)

// newPool connects to nothing yet.
func newPool(dsn string) (*pgxpool.Pool, error) {
	config, err := dbconn.Postgres(dsn)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, dbconn.ErrPostgresDSN
	}
	return pool, nil
}

// again runs a read, and, when its connection turns out to be lost, runs it
// anew on others, as long as the context and the store's patience allow: a
// database that restarts costs time, but no answer, and one that stays away
// keeps nobody waiting, a command without a deadline neither.
func (s *store) again(ctx context.Context, read func() error) error {
	begin := time.Now()
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		err := read()
		if err == nil || !lost(err) || ctx.Err() != nil || time.Since(begin) > s.patience {
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
		return dbconn.PostgresLost(refused.Code)
	}
	if errors.Is(err, dbconn.ErrNoConnection) {
		return true
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
	case errors.Is(err, dbconn.ErrNoConnection):
		err = dbconn.ErrNoConnection
	case errors.Is(err, errRow), errors.Is(err, errSchema), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	default:
		err = errors.New("no connection")
	}
	return fmt.Errorf("%w: %s: %w", customer.ErrUnavailable, doing, err)
}
