package usertables

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/customer/dbconn"
)

var errMySQLDSN = errors.New("the DSN can't be read; write user:password@tcp(host:3306)/database or mysql://user:password@host:3306/database")

// parseMySQL reads a DSN of the driver, or a URL. Its error holds nothing of it.
func parseMySQL(dsn string) (*mysql.Config, error) {
	var u *url.URL
	if strings.HasPrefix(dsn, "mysql://") || strings.HasPrefix(dsn, "mariadb://") {
		var err error
		if u, err = url.Parse(dsn); err != nil || u.Host == "" || u.Fragment != "" {
			return nil, errMySQLDSN
		}
		address := u.Host
		if u.Port() == "" {
			address += ":3306"
		}
		dsn = "tcp(" + address + ")/?" + u.RawQuery
	}
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, errMySQLDSN
	}
	if u != nil { // which may hold what a DSN of the driver has to escape
		config.User = u.User.Username()
		config.Passwd, _ = u.User.Password()
		config.DBName = strings.TrimPrefix(u.Path, "/")
	}
	return config, nil
}

// MySQLLocation is where a DSN leads, without its user and password.
func MySQLLocation(dsn string) (string, error) {
	config, err := parseMySQL(dsn)
	if err != nil {
		return "", err
	}
	return config.Addr + "/" + config.DBName, nil
}

// OpenMySQL returns the store over tables in MySQL or MariaDB. It connects with
// the first lookup.
func OpenMySQL(l *Lookup, dsn string, env customer.Env) (customer.Store, error) {
	config, err := parseMySQL(dsn)
	if err != nil {
		return nil, err
	}
	if config.Timeout == 0 || config.Timeout > dbconn.ConnectTimeout {
		config.Timeout = dbconn.ConnectTimeout
	}
	config.ParseTime, config.InterpolateParams, config.MultiStatements, config.AllowAllFiles = false, false, false, false
	config.Logger = &mysql.NopLogger{} // it would write to stderr
	if config.Params == nil {
		config.Params = make(map[string]string)
	}
	config.Params["time_zone"] = "'+00:00'"
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, errMySQLDSN
	}
	return newStore(l, env, func() (database, error) {
		return &mySQL{sqlPool{openPool(readOnly{connector}), mysqlValue, checkTruncation}}, nil
	}), nil
}

// readOnly makes connections on which nothing can be written.
type readOnly struct{ driver.Connector }

// Connect implements driver.Connector.
func (r readOnly) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := r.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := prepareMySQL(ctx, c); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func prepareMySQL(ctx context.Context, c driver.Conn) error {
	session, ok := c.(driver.ExecerContext)
	if !ok {
		return driver.ErrSkip
	}
	if _, err := session.ExecContext(ctx, "SET SESSION TRANSACTION READ ONLY", nil); err != nil {
		return err
	}
	// The server goes on with a query whose client has left, unless it has a
	// limit: MariaDB knows the one, MySQL the other, old servers neither.
	for _, limit := range []string{
		fmt.Sprintf("SET SESSION max_statement_time = %g", queryTimeout.Seconds()),
		fmt.Sprintf("SET SESSION max_execution_time = %d", queryTimeout.Milliseconds()),
	} {
		_, err := session.ExecContext(ctx, limit, nil)
		if e, ok := errors.AsType[*mysql.MySQLError](err); !ok || e.Number != unknownVariable {
			return err
		}
	}
	return nil
}

// Numbers of MySQL's and MariaDB's errors.
const (
	serverShutdown     = 1053
	unknownVariable    = 1193
	truncatedValue     = 1292
	queryInterrupted   = 1317
	connectionKilled   = 1927
	statementTimeout   = 1969 // MariaDB
	executionTimeout   = 3024 // MySQL
	tooManyConnections = 1040

	mixOfCollations      = 1267
	wrongString          = 1366
	impossibleConversion = 3988
)

// mySQL is a pool of connections to MySQL or MariaDB.
type mySQL struct{ sqlPool }

// errTruncated says that a value was compared as the number that it begins with.
var errTruncated = &fault{reason: "warning 1292: " + otherType, kind: customer.ErrMismatch, unlike: true}

// checkTruncation refuses rows that a truncated value has found: compared with a
// column of numbers, '12 OR 1=1' is 12 to this database.
func checkTruncation(ctx context.Context, c *sql.Conn) error {
	rows, err := c.QueryContext(ctx, "SHOW WARNINGS")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var level, message string
		var number int
		if err := rows.Scan(&level, &number, &message); err != nil {
			return err
		}
		if number == truncatedValue {
			return errTruncated
		}
	}
	return rows.Err()
}

func (m *mySQL) judge(err error) *fault {
	e, ok := errors.AsType[*mysql.MySQLError](err)
	if !ok {
		return &fault{reason: "no connection", lost: true}
	}
	v := &fault{reason: "the database refuses with error " + meaning(e.Number, mysqlNumbers)}
	if !slices.Contains(mysqlTroubles, e.Number) && !errors.Is(err, dbconn.ErrNoConnection) {
		v.kind = customer.ErrMismatch
	}
	switch e.Number {
	case serverShutdown, queryInterrupted, connectionKilled, tooManyConnections:
		v.lost = true
	case wrongString, mixOfCollations, impossibleConversion: // a character that the column can't have
		v.unlike = true
	case statementTimeout, executionTimeout:
		v = errTooSlow
	}
	return v
}

// mysqlValue makes of a column's value what jq knows.
func mysqlValue(v any, declared string) (any, error) {
	switch v := v.(type) {
	case string:
		return mysqlBytes([]byte(v), declared)
	case []byte:
		return mysqlBytes(v, declared)
	default:
		return value(v, false)
	}
}

// mysqlBytes reads what comes as bytes, which is nearly everything.
func mysqlBytes(b []byte, declared string) (any, error) {
	switch declared {
	case "DECIMAL", "UNSIGNED BIGINT":
		return number(string(b)), nil
	case "BIT":
		if len(b) <= 8 {
			var wide [8]byte
			copy(wide[8-len(b):], b)
			return number(strconv.FormatUint(binary.BigEndian.Uint64(wide[:]), 10)), nil
		}
		return bytes(b)
	case "JSON":
		return document(b)
	case "DATE":
		return mysqlTime(string(b), time.DateOnly, day)
	case "DATETIME", "TIMESTAMP":
		return mysqlTime(string(b), time.DateTime, moment)
	case "BINARY", "VARBINARY", "TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB", "GEOMETRY", "VECTOR":
		return bytes(b)
	default: // text of all lengths, ENUM, SET, TIME
		return plain(string(b))
	}
}

// mysqlTime reads a time. The date of zeros, which MySQL can hold, is null.
func mysqlTime(text, layout string, as func(time.Time) any) (any, error) {
	if strings.HasPrefix(text, "0000-00-00") {
		return nil, nil
	}
	t, err := time.Parse(layout, text)
	if err != nil { // as in 2024-00-00
		return plain(text)
	}
	return as(t), nil
}
