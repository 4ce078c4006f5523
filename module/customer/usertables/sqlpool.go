package usertables

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/switchboard-ivr/switchboard/module/customer/dbconn"
)

// sqlPool is a pool of connections of database/sql.
type sqlPool struct {
	*sql.DB
	// convert makes of a column what jq knows. The declared type is as the driver
	// says it, in capitals.
	convert func(v any, declared string) (any, error)
	// check is run after a query that found something, on the same connection.
	check func(context.Context, *sql.Conn) error
}

// openPool makes a pool; it connects to nothing.
func openPool(c driver.Connector) *sql.DB {
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(dbconn.MaxConns)
	db.SetMaxIdleConns(dbconn.MaxConns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	db.SetConnMaxLifetime(time.Hour)
	return db
}

func (p *sqlPool) query(ctx context.Context, text string, args []any, limit int) ([]map[string]any, bool, error) {
	c, err := p.Conn(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", dbconn.ErrNoConnection, err)
	}
	defer c.Close()
	found, more, err := p.read(ctx, c, text, args, limit)
	if err == nil && len(found) > 0 && !more && p.check != nil {
		err = p.check(ctx, c)
	}
	return found, more, err
}

func (p *sqlPool) read(ctx context.Context, c *sql.Conn, text string, args []any, limit int) (found []map[string]any, more bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rows, err := c.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	columns, err := rows.ColumnTypes()
	if err != nil {
		return nil, false, err
	}
	cells, targets := make([]any, len(columns)), make([]any, len(columns))
	for i := range cells {
		targets[i] = &cells[i]
	}
	for rows.Next() {
		if len(found) == limit {
			cancel() // else closing would read all that is left
			return found, true, nil
		}
		if err := rows.Scan(targets...); err != nil {
			return nil, false, err
		}
		row := make(map[string]any, len(columns))
		for i, column := range columns {
			if row[column.Name()], err = p.convert(cells[i], column.DatabaseTypeName()); err != nil {
				return nil, false, ofColumn(column.Name(), err)
			}
		}
		found = append(found, row)
	}
	return found, false, rows.Err()
}

// renew does nothing: database/sql looks at a connection before it uses it.
func (p *sqlPool) renew() {}
