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
	// convert converts a column to what jq knows. The declared type is as the driver
	// names it, in capitals.
	convert func(v any, declared string) (any, error)
	// check, if any, runs after a query that found something, on the same connection.
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

func (p *sqlPool) query(ctx context.Context, text string, args []any, limit int) ([]map[string]any, error) {
	c, err := p.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", dbconn.ErrNoConnection, err)
	}
	defer c.Close()
	found, err := p.read(ctx, c, text, args, limit)
	if err == nil && len(found) > 0 && len(found) < limit && p.check != nil {
		err = p.check(ctx, c)
	}
	return found, err
}

func (p *sqlPool) read(ctx context.Context, c *sql.Conn, text string, args []any, limit int) (found []map[string]any, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rows, err := c.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	cells, targets := make([]any, len(columns)), make([]any, len(columns))
	for i := range cells {
		targets[i] = &cells[i]
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		row := make(map[string]any, len(columns))
		for i, column := range columns {
			if row[column.Name()], err = p.convert(cells[i], column.DatabaseTypeName()); err != nil {
				return nil, ofColumn(column.Name(), err)
			}
		}
		if found = append(found, row); len(found) == limit {
			cancel() // else closing would read all that is left
			return found, nil
		}
	}
	return found, rows.Err()
}

// renew does nothing: database/sql looks at a connection before it uses it.
func (p *sqlPool) renew() {}
