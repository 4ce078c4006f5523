package usertables

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/switchboard-ivr/switchboard/module/customer"
)

// fault is why a query or a lookup has no answer.
type fault struct {
	kind   error  // customer.ErrMismatch or customer.ErrTooLarge; nil is customer.ErrUnavailable
	reason string // without data
	lost   bool   // there is no connection, or it broke: worth another try
	unlike bool   // a value is none of the column's type
}

var errTooSlow = &fault{reason: "no answer in time"}

func (f *fault) Error() string { return f.reason }

// during names the statement that failed.
func (f *fault) during(param customer.Param) error {
	return fmt.Errorf("%w: find %s: %w", cmp.Or(f.kind, customer.ErrUnavailable), param, f)
}

// ofColumn returns the fault of a column that can't be read. It names the column,
// which the statement has named.
func ofColumn(name string, err error) *fault {
	kind := customer.ErrMismatch
	if errors.Is(err, errColumnTooLarge) {
		kind = customer.ErrTooLarge
	}
	return &fault{kind: kind, reason: "column " + name + " " + err.Error()}
}

// meaning adds to a code what it means, where that is known.
func meaning[C comparable](code C, meanings map[C]string) string {
	if m := meanings[code]; m != "" {
		return fmt.Sprintf("%v: %s", code, m)
	}
	return fmt.Sprint(code)
}

// What the most frequent codes mean, for people who don't know them by heart.
const (
	noTable     = "a table doesn't exist"
	noColumn    = "a column doesn't exist"
	noFunction  = "a function or an operator for these types doesn't exist; cast a column of numbers to text, or compare it with :digits"
	otherType   = "a text was compared with a column of another type; cast the column to text, or compare a column of numbers with :digits"
	syntax      = "the statement has a syntax error"
	notAllowed  = "the user of the DSN may not read that"
	wouldWrite  = "the statement would write"
	wrongUser   = "the user or the password in the DSN is wrong, or may not log in from here"
	noDatabase  = "the database in the DSN doesn't exist"
	allInUse    = "too many connections"
	noSchema    = "a schema doesn't exist"
	tooManyRows = "a subquery yields more than one row"
)

var sqlStates = map[string]string{
	"42P01": noTable, "42703": noColumn, "42883": noFunction, "42601": syntax, "42501": notAllowed, "25006": wouldWrite, "3F000": noSchema,
	"22P02": otherType, "22003": otherType, "22007": otherType, "22008": otherType, "21000": tooManyRows,
	"28P01": wrongUser, "28000": wrongUser, "3D000": noDatabase, "53300": allInUse,
}

// refusedClasses are the classes of PostgreSQL's codes (appendix A of its manual)
// that are about the statement, and would come again with every lookup.
var refusedClasses = []string{"0A", "20", "21", "22", "23", "24", "25", "26", "2F", "38", "39", "3F", "42", "44", "P0"}

var mysqlNumbers = map[uint16]string{
	1146: noTable, 1054: noColumn, 1305: noFunction, 1630: noFunction, 1064: syntax, 1142: notAllowed, 1143: notAllowed, 1370: notAllowed,
	1792: wouldWrite, 1242: tooManyRows, 1045: wrongUser, 1698: wrongUser, 1049: noDatabase, 1044: notAllowed, 1040: allInUse, 1203: allInUse,
}

// mysqlTroubles are numbers that are about the server, not about the statement.
var mysqlTroubles = []uint16{
	1021, 1030, 1034, 1035, 1037, 1038, 1041, 1194, 1195, 1203, 1205, 1206, 1213, 1226, 1290, 1836, // full, damaged, overloaded, read-only
	tooManyConnections, serverShutdown, queryInterrupted, connectionKilled,
}

// sqliteTexts are the beginnings of messages that quote nothing but the statement,
// in which values are never written. Others may quote a value.
var sqliteTexts = []string{
	"no such table: ", "no such column: ", "no such function: ", "no such collation sequence: ", "no such module: ", "near ", "ambiguous column name: ",
	"wrong number of arguments to function ", "misuse of ", "incomplete input", "unrecognized token: ", "access to ", "not authorized", "unable to use function ",
}

// sqliteText is what SQLite says about a statement, or "" for what may quote a
// value. The driver puts the code's meaning before it and its number behind.
func sqliteText(message string) string {
	for _, text := range sqliteTexts {
		if i := strings.Index(message, text); i == 0 || i > 1 && message[i-2:i] == ": " {
			text := message[i:]
			if end := strings.LastIndex(text, " ("); end > 0 {
				text = text[:end]
			}
			return text
		}
	}
	return ""
}
