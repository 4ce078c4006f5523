package dbconn

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
)

// SQLite opens connections to a file with a driver of its own, which is not in
// database/sql's list. Params are those of the driver.
func SQLite(path string, params url.Values) driver.Connector {
	return opener{new(sqlite.Driver), address(path, params)}
}

// SQLiteReader opens connections to an existing file that can do nothing but
// read it, whatever a statement says: a file that is opened to read only still
// lets ATTACH open others (reliability §7). They wait busy for who writes.
func SQLiteReader(path string, busy time.Duration) driver.Connector {
	d := new(sqlite.Driver)
	d.RegisterConnectionHook(lockDown)
	return opener{d, address(path, url.Values{"mode": {"ro"}, "_pragma": {fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds())}})}
}

// address names a file to the driver, whatever signs are in its path.
func address(path string, params url.Values) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: params.Encode()}).String()
}

// opener is a driver and what it opens.
type opener struct {
	driver *sqlite.Driver
	dsn    string
}

// Connect implements [driver.Connector].
func (o opener) Connect(context.Context) (driver.Conn, error) { return o.driver.Open(o.dsn) }

// Driver implements [driver.Connector].
func (o opener) Driver() driver.Driver { return o.driver }

func lockDown(c sqlite.ExecQuerierContext, _ string) error {
	if _, err := c.ExecContext(context.Background(), "PRAGMA query_only = on", nil); err != nil {
		return err
	}
	authorizer, ok := c.(sqlite.AuthorizerRegisterer)
	if !ok {
		return errors.New("the driver knows no authorizer")
	}
	return authorizer.RegisterAuthorizer(onlyReads)
}

// onlyReads decides what a statement of a reader may do.
func onlyReads(action sqlite.AuthorizerActionCode, _, function, _, _ string) sqlite.AuthorizerReturnCode {
	switch action {
	case sqlite.AuthSelect, sqlite.AuthRead, sqlite.AuthRecursive:
		return sqlite.AuthorizerOK
	case sqlite.AuthFunction:
		if function != "load_extension" {
			return sqlite.AuthorizerOK
		}
		return sqlite.AuthorizerDeny
	default: // all that writes, or reaches another file
		return sqlite.AuthorizerDeny
	}
}
