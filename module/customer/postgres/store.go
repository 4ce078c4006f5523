package postgres

import (
	"context"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/customer/dbconn"
	"github.com/switchboard-ivr/switchboard/module/customer/schema"
)

// pageSize is how many customers All reads at a time.
const pageSize = 500

// migrating is the advisory lock of those who create or change the tables.
const migrating = 0x5377_6974_6368 // "Switch"

// store is a directory in tables of Switchboard's own.
type store struct {
	pool   *pgxpool.Pool // nil until open has made it
	dsn    string
	env    customer.Env
	finder *schema.Finder
	clock  schema.Clock
	opener *schema.Opener

	timeout  time.Duration // of a lookup, once there is a connection
	patience time.Duration // with a database that can't be reached
}

// newStore starts nothing: a store is opened while a configuration is checked.
func newStore(dsn string, env customer.Env) *store {
	s := &store{dsn: dsn, env: env, finder: schema.NewFinder(schema.Postgres), timeout: dbconn.LookupTimeout, patience: dbconn.Patience}
	s.opener = schema.NewOpener(s.open, unavailable)
	return s
}

// open makes the pool and the tables.
func (s *store) open(ctx context.Context) error {
	if s.pool == nil {
		config, err := dbconn.Postgres(s.dsn)
		if err != nil {
			return err
		}
		if s.pool, err = pgxpool.NewWithConfig(context.Background(), config); err != nil { // connects to nothing yet
			return dbconn.ErrPostgresDSN
		}
	}
	return s.again(ctx, func() error { return s.migrate(ctx) })
}

// migrate brings the tables to the version of this program. Instances that
// start at once do so one after the other.
func (s *store) migrate(ctx context.Context) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(migrating)); err != nil {
			return err
		}
		return schema.Postgres.Migrate(
			func(text string) error { _, err := tx.Exec(ctx, text); return err },
			func(text string) (version int64, err error) {
				err = tx.QueryRow(ctx, text).Scan(&version)
				return version, err
			})
	})
}

// Find implements [customer.Store].
func (s *store) Find(ctx context.Context, q customer.Query, limit int) ([]*customer.Record, error) {
	text, args := s.finder.Find(q, limit)
	return s.read(ctx, s.timeout, text, args)
}

// unbounded is the timeout of a read that only its context ends.
const unbounded time.Duration = math.MaxInt64

func (s *store) read(ctx context.Context, timeout time.Duration, text string, args []any) (found []*customer.Record, err error) {
	err = s.opener.Do(ctx, "reading", func() error {
		return s.again(ctx, func() error {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			c, err := dbconn.AcquirePostgres(ctx, s.pool)
			if err != nil {
				return err
			}
			defer c.Release()
			rows, _ := c.Query(ctx, text, args...) // CollectRows returns its error
			found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*customer.Record, error) { return schema.Scan(row.Scan) })
			return err
		})
	})
	return found, err
}

// Put implements [customer.Writer].
func (s *store) Put(ctx context.Context, records []*customer.Record, mark *customer.Mark) error {
	return s.write(ctx, func(tx pgx.Tx) error {
		if err := s.upsert(ctx, tx, records); err != nil || mark == nil {
			return err
		}
		text, args := schema.Postgres.Mark(mark)
		_, err := tx.Exec(ctx, text, args...)
		return err
	})
}

// upsert writes all records with one statement, column by column.
func (s *store) upsert(ctx context.Context, tx pgx.Tx, records []*customer.Record) error {
	records = latest(records)
	if len(records) == 0 {
		return nil
	}
	columns := make([][]string, len(schema.Columns)-1)
	for i := range columns {
		columns[i] = make([]string, 0, len(records))
	}
	updated := make([]int64, 0, len(records))
	first := s.clock.Take(len(records))
	texts := make([]string, 0, len(columns))
	for i, record := range records {
		texts = schema.Texts(texts[:0], record, s.env.Region)
		for n, text := range texts {
			columns[n] = append(columns[n], text)
		}
		updated = append(updated, first+int64(i))
	}
	args := make([]any, 0, len(schema.Columns))
	for _, column := range columns {
		args = append(args, column)
	}
	_, err := tx.Exec(ctx, schema.UpsertAll(), append(args, updated)...)
	return err
}

// latest leaves out records that a later one of the same id replaces: one
// statement can't write a row twice.
func latest(records []*customer.Record) []*customer.Record {
	last := make(map[string]*customer.Record, len(records))
	for _, r := range records {
		last[r.ID] = r
	}
	if len(last) == len(records) {
		return records
	}
	return slices.DeleteFunc(slices.Clone(records), func(r *customer.Record) bool {
		if last[r.ID] != r {
			return true
		}
		delete(last, r.ID) // the same record may be there twice
		return false
	})
}

// Delete implements [customer.Writer].
func (s *store) Delete(ctx context.Context, id string) (deleted bool, err error) {
	err = s.write(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, schema.Postgres.Delete(), id)
		deleted = tag.RowsAffected() > 0
		return err
	})
	return deleted && err == nil, err
}

func (s *store) write(ctx context.Context, f func(pgx.Tx) error) error {
	return s.opener.Do(ctx, "writing", func() error { return pgx.BeginFunc(ctx, s.pool, f) })
}

// Marked implements [customer.Writer].
func (s *store) Marked(ctx context.Context, source string) (int64, error) {
	return s.number(ctx, schema.Postgres.Marked(), source)
}

// Count implements [customer.Writer].
func (s *store) Count(ctx context.Context) (int64, error) { return s.number(ctx, schema.Count()) }

func (s *store) number(ctx context.Context, text string, args ...any) (n int64, err error) {
	err = s.opener.Do(ctx, "reading", func() error {
		return s.again(ctx, func() error { return s.pool.QueryRow(ctx, text, args...).Scan(&n) })
	})
	return n, err
}

// All implements [customer.Writer].
func (s *store) All(ctx context.Context) iter.Seq2[*customer.Record, error] {
	return schema.Pages(func(after string) ([]*customer.Record, error) {
		return s.read(ctx, unbounded, schema.Postgres.Page(), []any{after, pageSize})
	})
}

// Close implements [customer.Store].
func (s *store) Close() error {
	if s.pool != nil {
		s.pool.Close()
	}
	return nil
}

// Interface guards
var _ customer.Writer = (*store)(nil)
