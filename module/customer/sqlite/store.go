package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"runtime"
	"strings"

	"go.uber.org/zap"
	"modernc.org/sqlite"

	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/customer/dbconn"
	"github.com/switchboard-ivr/switchboard/module/customer/schema"
)

// pageSize is how many customers All reads at a time.
const pageSize = 500

// store is a directory in a file.
type store struct {
	path   string
	env    customer.Env
	finder *schema.Finder
	clock  schema.Clock
	opener *schema.Opener
	reader *sql.DB // of [reader]
	writer *sql.DB
}

func newStore(path string, env customer.Env) *store {
	if env.Logger == nil {
		env.Logger = zap.NewNop()
	}
	s := &store{
		path: path, env: env, finder: schema.NewFinder(schema.SQLite),
		reader: openReader(path, max(4, 2*runtime.GOMAXPROCS(0))), writer: openWriter(path),
	}
	s.opener = schema.NewOpener(s.open, unavailable)
	return s
}

// open makes the file and its tables.
func (s *store) open(ctx context.Context) error {
	open, err := create(s.path)
	if err != nil {
		return err
	}
	if open {
		s.env.Logger.Warn("others may read the file of customers, and its mode could not be changed; make it 0600")
	}
	if s.isCurrent(ctx) {
		return nil
	}
	return s.migrate(ctx)
}

// isCurrent reports whether there is nothing to migrate. It only reads, so it
// waits for nobody who writes.
func (s *store) isCurrent(ctx context.Context) bool {
	var version int64
	err := s.reader.QueryRowContext(ctx, schema.ReadVersion()).Scan(&version)
	return err == nil && version == schema.Version()
}

func (s *store) migrate(ctx context.Context) error {
	return s.inTx(ctx, func(tx *sql.Tx) error { // immediate: others wait
		return schema.SQLite.Migrate(
			func(text string) error { _, err := tx.ExecContext(ctx, text); return err },
			func(text string) (version int64, err error) {
				err = tx.QueryRowContext(ctx, text).Scan(&version)
				return version, err
			})
	})
}

func (s *store) inTx(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // says so when it is committed
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// Find implements [customer.Store].
func (s *store) Find(ctx context.Context, q customer.Query, limit int) ([]*customer.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, dbconn.LookupTimeout)
	defer cancel()
	text, args := s.finder.Newest(q)
	rows, err := s.read(ctx, text, args, 1)
	if err != nil {
		return nil, err
	}
	newest, several, err := schema.UnpackNewest(strings.Join(rows, ""))
	switch {
	case err != nil:
		return nil, unavailable("reading", err)
	case newest == nil || limit < 1:
		return nil, nil
	case limit == 1 || !several:
		return []*customer.Record{newest}, nil
	}
	text, args = s.finder.Find(q, limit)
	return s.records(ctx, text, args, limit)
}

func (s *store) records(ctx context.Context, text string, args []any, limit int) ([]*customer.Record, error) {
	rows, err := s.read(ctx, text, args, limit)
	if err != nil {
		return nil, err
	}
	found := make([]*customer.Record, len(rows))
	for i, row := range rows {
		if found[i], err = schema.Unpack(row); err != nil {
			return nil, unavailable("reading", err)
		}
	}
	return found, nil
}

func (s *store) read(ctx context.Context, text string, args []any, limit int) (rows []string, err error) {
	err = s.opener.Do(ctx, "reading", func() error {
		c, err := s.reader.Conn(ctx)
		if err != nil {
			return err
		}
		defer c.Close() // gives it back
		return c.Raw(func(c any) error {
			rows, err = c.(*reader).read(ctx, text, args, limit)
			return err
		})
	})
	return rows, err
}

// Put implements [customer.Writer].
func (s *store) Put(ctx context.Context, records []*customer.Record, mark *customer.Mark) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		if err := s.upsert(ctx, tx, records); err != nil || mark == nil {
			return err
		}
		text, args := schema.SQLite.Mark(mark)
		_, err := tx.ExecContext(ctx, text, args...)
		return err
	})
}

// atOnce is how many customers a statement writes: enough that what a statement
// costs by itself doesn't count.
const atOnce = 16

// upsert writes records, atOnce with a statement, and the rest one by one. A
// statement is too short to be interrupted, which would take a goroutine for each.
func (s *store) upsert(ctx context.Context, tx *sql.Tx, records []*customer.Record) error {
	updated := s.clock.Take(len(records))
	for _, n := range []int{atOnce, 1} {
		if len(records) < n {
			continue
		}
		statement, err := tx.PrepareContext(ctx, schema.Upsert(n))
		if err != nil {
			return err
		}
		defer statement.Close() // nothing is left to be said
		texts := make([]string, 0, len(schema.Columns))
		args := make([]any, 0, n*len(schema.Columns))
		for ; len(records) >= n; records = records[n:] {
			if err := ctx.Err(); err != nil {
				return err
			}
			args = args[:0]
			for _, record := range records[:n] {
				texts = schema.Texts(texts[:0], record, s.env.Region)
				for _, text := range texts {
					args = append(args, text)
				}
				args = append(args, updated)
				updated++
			}
			if _, err := statement.ExecContext(context.WithoutCancel(ctx), args...); err != nil {
				return err
			}
		}
	}
	return nil
}

// Delete implements [customer.Writer].
func (s *store) Delete(ctx context.Context, id string) (bool, error) {
	var deleted int64
	err := s.write(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, schema.SQLite.Delete(), id)
		if err != nil {
			return err
		}
		deleted, err = result.RowsAffected()
		return err
	})
	return deleted > 0, err
}

func (s *store) write(ctx context.Context, f func(*sql.Tx) error) error {
	return s.opener.Do(ctx, "writing", func() error { return s.inTx(ctx, f) })
}

// Marked implements [customer.Writer].
func (s *store) Marked(ctx context.Context, source string) (int64, error) {
	return s.number(ctx, schema.SQLite.Marked(), source)
}

// Count implements [customer.Writer].
func (s *store) Count(ctx context.Context) (int64, error) {
	return s.number(ctx, schema.Count())
}

func (s *store) number(ctx context.Context, text string, args ...any) (n int64, err error) {
	err = s.opener.Do(ctx, "reading", func() error { return s.reader.QueryRowContext(ctx, text, args...).Scan(&n) })
	return n, err
}

// All implements [customer.Writer].
func (s *store) All(ctx context.Context) iter.Seq2[*customer.Record, error] {
	return schema.Pages(func(after string) ([]*customer.Record, error) {
		return s.records(ctx, schema.SQLite.Page(), []any{after, int64(pageSize)}, pageSize)
	})
}

// Close implements [customer.Store].
func (s *store) Close() error { return errors.Join(s.reader.Close(), s.writer.Close()) }

// unavailable says why a directory could not be asked, without what SQLite says
// about values.
func unavailable(doing string, err error) error {
	var path *os.PathError
	var failed *sqlite.Error
	switch {
	case errors.As(err, &failed):
		err = errors.New(sqlite.ErrorCodeString[failed.Code()&0xff])
	case errors.As(err, &path):
		err = path.Err
	case errors.Is(err, schema.ErrForeign), errors.Is(err, sql.ErrConnDone),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	default:
		err = errors.New("failed")
	}
	return fmt.Errorf("%w: %s: %w", customer.ErrUnavailable, doing, err)
}

// readers opens connections that remember what was prepared on them.
type readers struct{ driver.Connector }

// Connect implements [driver.Connector].
func (r readers) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := r.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &reader{Conn: c, prepared: make(map[string]driver.StmtQueryContext)}, nil
}

// reader is a connection of database/sql's pool that a lookup uses directly: a
// point read takes less time than what database/sql does around it.
type reader struct {
	driver.Conn
	prepared map[string]driver.StmtQueryContext // there are few texts
}

// read runs a statement that yields one text a row, and gives limit of them at most.
// It ends with ctx.
func (r *reader) read(ctx context.Context, text string, args []any, limit int) (texts []string, err error) {
	statement, err := r.statement(text)
	if err != nil {
		return nil, err
	}
	values := make([]driver.NamedValue, len(args))
	for i, arg := range args {
		values[i] = driver.NamedValue{Ordinal: i + 1, Value: arg}
	}
	rows, err := statement.QueryContext(ctx, values)
	if err != nil {
		return nil, err
	}
	defer rows.Close() // Next tells
	for cell := make([]driver.Value, 1); len(texts) < limit; {
		if err := rows.Next(cell); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		row, _ := cell[0].(string)
		texts = append(texts, row)
	}
	return texts, nil
}

func (r *reader) statement(text string) (driver.StmtQueryContext, error) {
	if known, ok := r.prepared[text]; ok {
		return known, nil
	}
	prepared, err := r.Prepare(text)
	if err != nil {
		return nil, err
	}
	statement, ok := prepared.(driver.StmtQueryContext)
	if !ok { // another driver
		_ = prepared.Close()
		return nil, driver.ErrSkip
	}
	r.prepared[text] = statement
	return statement, nil
}

// IsValid implements [driver.Validator]: a statement that was interrupted spoils
// its connection.
func (r *reader) IsValid() bool {
	v, ok := r.Conn.(driver.Validator)
	return !ok || v.IsValid()
}

// Close implements [driver.Conn].
func (r *reader) Close() error {
	for _, statement := range r.prepared {
		_ = statement.(driver.Stmt).Close() // the connection's Close tells
	}
	return r.Conn.Close()
}

// Interface guards
var (
	_ customer.Writer  = (*store)(nil)
	_ driver.Connector = readers{}
	_ driver.Validator = (*reader)(nil)
)
