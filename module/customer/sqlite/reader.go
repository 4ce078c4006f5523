package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
)

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
	_ driver.Connector = readers{}
	_ driver.Validator = (*reader)(nil)
)
