// Package dbconn is how databases of customers are connected to, whoever's
// tables they hold: bounds of time and number, and connections that only read.
package dbconn

import (
	"errors"
	"time"
)

// Bounds of every store.
const (
	LookupTimeout  = time.Second     // of one lookup whose context has more time
	ConnectTimeout = 2 * time.Second // of one connection
	Patience       = 3 * time.Second // with a database that can't be reached
	MaxConns       = 16              // at once, unless the DSN says otherwise
)

// ErrNoConnection says that a database was not asked, because there was no
// connection to it in time.
var ErrNoConnection = errors.New("no connection")
