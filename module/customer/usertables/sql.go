package usertables

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"time"

	"github.com/switchboard-ivr/switchboard/module/customer/dbconn"
)

// openPool makes a pool; it connects to nothing.
func openPool(c driver.Connector) *sql.DB {
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(dbconn.MaxConns)
	db.SetMaxIdleConns(dbconn.MaxConns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	db.SetConnMaxLifetime(time.Hour)
	return db
}

// convert makes of a column what jq knows. The declared type is as the driver
// says it, in capitals.
type convert func(v any, declared string) (any, error)

// readRows reads at most limit rows, and tells whether there were more.
func readRows(rows *sql.Rows, limit int, to convert) (found []map[string]any, more bool, err error) {
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
			return found, true, nil
		}
		if err := rows.Scan(targets...); err != nil {
			return nil, false, err
		}
		row := make(map[string]any, len(columns))
		for i, column := range columns {
			if row[column.Name()], err = to(cells[i], column.DatabaseTypeName()); err != nil {
				return nil, false, ofColumn(column.Name(), err)
			}
		}
		found = append(found, row)
	}
	return found, false, rows.Err()
}

// queryRows runs a query on a connection.
func queryRows(ctx context.Context, c *sql.Conn, text string, args []any, limit int, to convert) (found []map[string]any, more bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rows, err := c.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	found, more, err = readRows(rows, limit, to)
	if more {
		cancel() // else closing would read all that is left
	}
	return found, more, err
}
