// Package usertables finds customers in tables of the user's own, in PostgreSQL,
// MySQL, MariaDB or SQLite. It only reads.
package usertables

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/phone"
	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/customer/dbconn"
)

// The binds that a statement can have, without their colon.
const (
	bindRaw      = "raw"      // the value as it came
	bindE164     = "e164"     // +8613800138000
	bindNational = "national" // 13800138000
	bindDigits   = "digits"   // 8613800138000
	bindVariants = "variants" // a list of all usual spellings
)

var binds = []string{bindRaw, bindE164, bindNational, bindDigits, bindVariants}

// statement is a `find`: one SELECT with binds.
type statement struct {
	kind   Kind
	pieces []piece
	tail   string // behind the last bind
}

// piece is text and the bind that follows it.
type piece struct{ text, bind string }

// writes are words of statements that do more than read. Those that are missing
// here are refused by the connection.
var writes = []string{"insert", "update", "delete", "merge", "into"}

// patterns are operators for which % and the like mean more than themselves.
var patterns = []string{"like", "ilike", "similar", "regexp", "rlike", "glob", "match"}

// parse reads the statement of a parameter's `find`.
func parse(kind Kind, param customer.Param, sql string) (*statement, error) {
	if strings.IndexByte(sql, 0) >= 0 {
		return nil, errors.New("the statement holds a NUL byte")
	}
	s := &statement{kind: kind}
	l := &lexer{kind: kind, sql: sql}
	first, ended, from, end := true, false, 0, len(sql)
	for {
		t, ok, err := l.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		text := sql[t.start:t.end]
		if t.class != comment && t.class != semicolon && ended {
			return nil, errors.New("there is a second statement behind the semicolon; write one SELECT")
		}
		if first && t.class != comment {
			first = false
			if t.class != word || !oneOf(text, "select", "with") {
				return nil, errors.New("it is no query; write one SELECT, or WITH … SELECT")
			}
		}
		switch t.class {
		case semicolon:
			if !ended {
				ended, end = true, t.start
			}
		case word:
			if oneOf(text, writes...) {
				return nil, fmt.Errorf("%s is for statements that write; write one SELECT (and put a column of that name into quotes)", strings.ToUpper(text))
			}
		case placeholder:
			return nil, fmt.Errorf("%s is no bind; write %s", text, known(param))
		case bind:
			if err := checkBind(param, text[1:]); err != nil {
				return nil, err
			}
			s.pieces = append(s.pieces, piece{sql[from:t.start], text[1:]})
			from = t.end
		case other, comment:
		}
	}
	if first {
		return nil, errors.New("the statement is empty; write one SELECT")
	}
	if len(s.pieces) == 0 {
		return nil, fmt.Errorf("without a bind it would find the same customers for every caller; write %s where the value belongs", known(param))
	}
	s.tail = sql[from:end]
	return s, nil
}

func checkBind(param customer.Param, name string) error {
	if !slices.Contains(binds, name) {
		return fmt.Errorf(":%s is no bind; known are %s (of a column, write the colon with a blank behind it)", name, known(param))
	}
	if param != customer.ByTel && name != bindRaw {
		return fmt.Errorf(":%s is for telephone numbers; %s has :raw", name, param)
	}
	return nil
}

// known are the binds of a parameter, for messages.
func known(param customer.Param) string {
	if param != customer.ByTel {
		return ":raw"
	}
	return ":raw, :e164, :national, :digits and :variants"
}

func oneOf(text string, words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(text, w) })
}

// uses reports whether the statement has the bind.
func (s *statement) uses(name string) bool {
	return slices.ContainsFunc(s.pieces, func(p piece) bool { return p.bind == name })
}

// searches reports whether a caller's value is compared as a pattern, perhaps.
func (s *statement) searches() bool {
	if !s.uses(bindRaw) {
		return false
	}
	for _, p := range s.pieces {
		l := &lexer{kind: s.kind, sql: p.text}
		for {
			t, ok, err := l.next()
			if !ok || err != nil {
				break
			}
			if t.class == word && oneOf(p.text[t.start:t.end], patterns...) {
				return true
			}
		}
	}
	return false
}

// render gives the statement as the database wants it, and the values of its
// placeholders in their order. Each place has one of its own: PostgreSQL would
// refuse one that stands for two types.
func (s *statement) render(values map[string][]string) (sql string, args []any) {
	var b strings.Builder
	for _, p := range s.pieces {
		b.WriteString(p.text)
		if n := len(p.text); n > 0 && (startsName(p.text[n-1]) || isDigit(p.text[n-1]) || p.text[n-1] == '$') {
			b.WriteByte(' ') // else $1 would be part of the name
		}
		for i, v := range values[p.bind] {
			if i > 0 {
				b.WriteString(", ")
			}
			args = append(args, v)
			if s.kind == Postgres {
				b.WriteString("$" + strconv.Itoa(len(args)))
			} else {
				b.WriteByte('?')
			}
		}
	}
	b.WriteString(s.tail)
	return b.String(), args
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

// convert makes of a column what jq knows. The declared type is as the driver
// says it, in capitals.
type convert func(v any, declared string) (any, error)

// readRows reads at most limit rows, and reports whether there were more.
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

// lazy is a database whose pool is made with the first query: until then there
// is no goroutine, because a store is opened while a configuration is checked.
type lazy struct {
	open func() (database, error) // its error holds no data

	mu  sync.Mutex
	db  database // nil until the first query, and when open failed
	err error
}

// database makes the pool, once.
func (l *lazy) database() (database, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.db == nil && l.err == nil {
		l.db, l.err = l.open()
	}
	return l.db, l.err
}

func (l *lazy) query(ctx context.Context, sql string, args []any, limit int) ([]map[string]any, bool, error) {
	db, err := l.database()
	if err != nil {
		return nil, false, err
	}
	return db.query(ctx, sql, args, limit)
}

func (l *lazy) judge(err error) verdict {
	db, wrong := l.database()
	if wrong != nil {
		return verdict{reason: wrong.Error()}
	}
	return db.judge(err)
}

func (l *lazy) renew() {
	if db, err := l.database(); err == nil {
		db.renew()
	}
}

// Close closes the pool, if there is one.
func (l *lazy) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.db == nil {
		return nil
	}
	return l.db.Close()
}

// Tables say how customers are found in tables of your own, and what of a row
// is what of a customer. They are part of the settings of a store.
type Tables struct {
	// The query of each parameter: `id`, `tel`, `email` and `thirdAccountId`. A
	// parameter without one finds nobody.
	//
	// A query is one SELECT with binds. `:raw` is the value as it came. Telephone
	// numbers have `:e164` (+8613800138000), `:national` (13800138000),
	// `:digits` (8613800138000), and `:variants`, a list of all usual spellings
	// for `IN (:variants)`.
	Find map[customer.Param]string `json:"find,omitempty"`

	// A jq program that makes a customer of a row, an object of its columns. It
	// yields an object of the protocol's fields; other names are custom fields.
	// `id` is required. Default: `.`
	Record string `json:"record,omitempty"`
}

// Written reports whether lookups run over tables of the user's own.
func (t *Tables) Written() bool { return len(t.Find) > 0 }

// Digest stands for the settings in the identity of a store.
func (t *Tables) Digest() string {
	text, _ := json.Marshal(t) // strings always can be
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Lookup is Tables at work.
type Lookup struct {
	kind   Kind
	find   map[customer.Param]*statement
	record *jq.Program
}

// Compile checks the settings. It logs a warning for what works, but hardly as
// it is meant. The errors say what to write instead.
func (t *Tables) Compile(kind Kind, logger *zap.Logger) (*Lookup, error) {
	if !t.Written() {
		return nil, errors.New("there is no find; write, for example, find tel `SELECT * FROM contacts WHERE phone IN (:variants)`")
	}
	l := &Lookup{kind: kind, find: make(map[customer.Param]*statement, len(t.Find))}
	for param, sql := range t.Find {
		if !slices.Contains(customer.Params, param) {
			return nil, unknownParam(param)
		}
		s, err := parse(kind, param, sql)
		if err != nil {
			return nil, fmt.Errorf("find %s: %w", param, err)
		}
		l.find[param] = s
	}
	var err error
	if l.record, err = compileRecord(t.Record, ""); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	l.warn(logger)
	return l, nil
}

func compileRecord(text, define string) (*jq.Program, error) {
	if text == "" {
		text = "."
	}
	return jq.Compile(text, jq.Spec{Want: jq.Object, Define: define})
}

func unknownParam(param customer.Param) error {
	return fmt.Errorf("%q is nothing that customers are found by; write id, tel, email or thirdAccountId", param)
}

func (l *Lookup) warn(logger *zap.Logger) {
	var missing []string
	for _, param := range customer.Params {
		s := l.find[param]
		if s == nil {
			missing = append(missing, string(param))
			continue
		}
		if s.searches() {
			logger.Warn("find compares :raw as a pattern: callers can search with signs like % and _, where they should name one customer; compare with =",
				zap.String("param", string(param)))
		}
	}
	if len(missing) > 0 {
		logger.Warn("lookups with a parameter that has no find will find nobody", zap.String("params", strings.Join(missing, " ")))
	}
}

// values are what the binds of a condition's statement stand for.
func values(c customer.Condition, region phone.Region) map[string][]string {
	v := map[string][]string{bindRaw: {c.Raw}}
	if c.Param != customer.ByTel {
		return v
	}
	s, ok := region.Spell(c.Key)
	if !ok {
		return nil
	}
	v[bindE164], v[bindNational], v[bindDigits], v[bindVariants] = []string{s.E164}, []string{s.National}, []string{s.Digits}, s.Variants
	return v
}
