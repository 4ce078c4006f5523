package usertables

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/internal/phone"
	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/customer/dbconn"
)

// Bounds of a lookup, beside those of dbconn.
const (
	queryTimeout = dbconn.LookupTimeout // of each of its queries
	maxRows      = 200                  // of one query
)

// database runs queries, read-only.
type database interface {
	// query returns at most limit rows, and whether there were more.
	query(ctx context.Context, sql string, args []any, limit int) (rows []map[string]any, more bool, err error)
	// judge tells what an error of query means.
	judge(err error) verdict
	// renew forgets connections that may be dead.
	renew()
	Close() error
}

// store is the user's own tables as a [customer.Store].
type store struct {
	lookup *Lookup
	db     database
	region phone.Region

	timeout  time.Duration // of a query
	patience time.Duration // with a database that can't be reached

	downSince atomic.Int64 // Unix ns; 0 while the database can be reached
}

func newStore(l *Lookup, env customer.Env, open func() (database, error)) *store {
	return &store{lookup: l, db: &lazy{open: open}, region: env.Region, timeout: queryTimeout, patience: dbconn.Patience}
}

// Find runs the query of each condition. Customers that all of them find, by
// id, are the answer, in the order of the first. Rows of one id are one
// customer, by the first of them.
func (s *store) Find(ctx context.Context, q customer.Query, limit int) ([]*customer.Record, error) {
	if q.Nobody() || limit <= 0 {
		return nil, nil
	}
	for _, c := range q {
		if s.lookup.find[c.Param] == nil {
			return nil, nil
		}
	}
	var found []*customer.Record
	for i, c := range q {
		records, more, failed := s.matches(ctx, c)
		if failed == nil && more && len(q) > 1 {
			failed = &fault{customer.ErrMismatch, fmt.Sprintf("more than %d rows, which is too many to compare with those of another parameter", maxRows)}
		}
		if failed != nil {
			return nil, failed.during(c.Param)
		}
		if i == 0 {
			found = records
		} else {
			found = intersect(found, records)
		}
		if len(found) == 0 {
			return nil, nil
		}
	}
	return found[:min(limit, len(found))], nil
}

// Close closes all connections.
func (s *store) Close() error { return s.db.Close() }

// matches are the customers that one condition finds.
func (s *store) matches(ctx context.Context, c customer.Condition) (records []*customer.Record, more bool, failed *fault) {
	statement := s.lookup.find[c.Param]
	binds := values(c, s.region)
	if binds == nil {
		return nil, false, nil
	}
	sql, args := statement.render(binds)
	rows, more, v := s.ask(ctx, sql, args)
	switch {
	case v == nil:
	case v.unlike && statement.uses(bindRaw):
		return nil, false, nil // a text can't be in a column of numbers
	default:
		return nil, false, v.fault()
	}
	seen := make(map[string]bool, len(rows))
	for _, row := range rows {
		r, err := s.lookup.recordOf(ctx, row)
		if err != nil {
			return nil, false, &fault{customer.ErrMismatch, err.Error()}
		}
		if !seen[r.ID] {
			seen[r.ID] = true
			records = append(records, r)
		}
	}
	return records, more, nil
}

// intersect keeps those of found that are also in others.
func intersect(found, others []*customer.Record) []*customer.Record {
	ids := make(map[string]bool, len(others))
	for _, r := range others {
		ids[r.ID] = true
	}
	kept := found[:0]
	for _, r := range found {
		if ids[r.ID] {
			kept = append(kept, r)
		}
	}
	return kept
}

// ask runs a query, again on a new connection when the one that it had is lost,
// or there was none: a database that restarts costs time, but no answer. One that
// stays away is asked once a lookup.
func (s *store) ask(ctx context.Context, sql string, args []any) (rows []map[string]any, more bool, failed *verdict) {
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		attempt, cancel := context.WithTimeout(ctx, s.timeout)
		rows, more, err := s.db.query(attempt, sql, args, maxRows)
		tooLate := attempt.Err() != nil
		cancel()
		if err == nil {
			s.downSince.Store(0)
			return rows, more, nil
		}
		v := s.db.judge(err)
		if tooLate && !errors.Is(err, dbconn.ErrNoConnection) {
			v = verdict{reason: "no answer in time"}
		}
		if !v.lost {
			return nil, false, &v
		}
		s.db.renew()
		if s.isDown() || !pause(ctx, wait) {
			return nil, false, &v
		}
	}
}

// isDown notes that the database can't be reached, and reports whether that is so
// for long.
func (s *store) isDown() bool {
	now := time.Now().UnixNano()
	s.downSince.CompareAndSwap(0, now)
	since := s.downSince.Load()
	return since != 0 && now-since > int64(s.patience)
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// recordOf makes a customer of a row. Its errors hold nothing of the row.
func (l *Lookup) recordOf(ctx context.Context, row map[string]any) (*customer.Record, error) {
	out, err := l.record.Run(ctx, row)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	object, ok := out.(map[string]any)
	if !ok {
		return nil, errors.New("record gives no object")
	}
	r := new(customer.Record)
	for name, v := range object {
		value, err := text(v)
		if err != nil {
			if customer.FieldOf(name) == nil {
				name = "a custom field"
			}
			return nil, fmt.Errorf("record: %s: %w", name, err)
		}
		if value != "" {
			r.Set(name, value)
		}
	}
	err = r.Normalize()
	switch {
	case errors.Is(err, customer.ErrNoID):
		return nil, errors.New("record gives no id")
	case err != nil:
		return nil, fmt.Errorf("record: %w", err)
	}
	return r, nil
}

// text is a value as a customer's field: null is not known, a list or an object
// is its JSON.
func text(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return strconv.Itoa(v), nil
	case json.Number:
		return v.String(), nil
	case *big.Int:
		return v.String(), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return "", nil
		}
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	default:
		b, err := jsonval.Encode(nil, v, jsonval.Limits{})
		return string(b), err
	}
}

// What columns hold becomes what jq knows: nil, bool, int, float64, json.Number,
// string, []any and map[string]any. Anything else would stop a program.

// Bounds of one column.
const (
	maxColumn = 1 << 20 // bytes
	maxDigits = 64      // of a number; a longer one is text, as it is slow to compute with
)

var (
	errColumnTooLarge = errors.New("holds more than 1 MiB; select only what record needs")
	errColumnType     = errors.New("has a type that can't be read; cast it to text")
)

// number is a number by its digits, so that it stays what it is.
func number(digits string) any {
	switch {
	case len(digits) > maxDigits:
		return digits
	case digits == "" || strings.Trim(digits, "+-.0123456789eE") != "": // NaN, Infinity
		return nil
	}
	return json.Number(digits)
}

// float is a floating-point number; what is none in JSON is null.
func float(f float64, bits int) any {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return nil
	case bits == 32: // as many digits as it has
		return json.Number(strconv.FormatFloat(f, 'g', -1, 32))
	}
	return f
}

// bytes are base64, as in JSON.
func bytes(b []byte) (any, error) {
	if len(b) > maxColumn {
		return nil, errColumnTooLarge
	}
	return base64.StdEncoding.EncodeToString(b), nil
}

func plain(s string) (any, error) {
	if len(s) > maxColumn {
		return nil, errColumnTooLarge
	}
	return strings.ToValidUTF8(s, "\uFFFD"), nil
}

// document is JSON, with the digits of its numbers. What is no JSON, or too
// large for a program, stays text.
func document(data []byte) (any, error) {
	if v, err := jsonval.Decode(data, jsonval.Limits{Bytes: maxColumn}); err == nil {
		return v, nil
	}
	return plain(string(data))
}

// moment is a time in RFC 3339, in UTC. So is one that came without a zone.
func moment(t time.Time) any { return t.UTC().Format(time.RFC3339Nano) }

// day is a date without a time.
func day(t time.Time) any { return t.Format(time.DateOnly) }

// Interface guards
var (
	_ customer.Store = (*store)(nil)
)
