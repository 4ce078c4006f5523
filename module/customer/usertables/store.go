package usertables

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
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
	// query returns the first rows, at most limit.
	query(ctx context.Context, sql string, args []any, limit int) ([]map[string]any, error)
	// judge returns what an error of the driver means.
	judge(err error) *fault
	// renew forgets connections that may be dead.
	renew()
	Close() error
}

// store is the user's own tables as a [customer.Store].
type store struct {
	lookup *Lookup
	region phone.Region

	open func() (database, error) // its error holds no data
	mu   sync.Mutex
	db   database // nil until the first query

	timeout  time.Duration // of a query
	patience time.Duration // with a database that can't be reached

	downSince atomic.Int64 // Unix ns; 0 while the database can be reached
}

func newStore(l *Lookup, env customer.Env, open func() (database, error)) *store {
	return &store{lookup: l, region: env.Region, open: open, timeout: queryTimeout, patience: dbconn.Patience}
}

// database returns the pool, which is made with the first query: until then there
// is no goroutine, because a store is opened while a configuration is checked.
func (s *store) database() (database, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.db == nil {
		s.db, err = s.open()
	}
	return s.db, err
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
		records, failed := s.matches(ctx, c, len(q) > 1)
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
func (s *store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return nil
	}
	return s.db.Close()
}

// matches returns the customers that one condition finds. If they are compared with
// those of another condition, more than maxRows are an error; else the first are enough.
func (s *store) matches(ctx context.Context, c customer.Condition, compared bool) (records []*customer.Record, failed *fault) {
	statement := s.lookup.find[c.Param]
	binds := values(c, s.region)
	if binds == nil {
		return nil, nil
	}
	sql, args := statement.render(binds)
	rows, failed := s.ask(ctx, sql, args)
	switch {
	case failed != nil && failed.unlike && statement.uses(bindRaw):
		return nil, nil // a text can't be in a column of numbers
	case failed != nil:
		return nil, failed
	case len(rows) > maxRows && compared:
		return nil, &fault{kind: customer.ErrMismatch, reason: fmt.Sprintf("more than %d rows, which is too many to compare with those of another parameter", maxRows)}
	}
	rows = rows[:min(len(rows), maxRows)]
	seen := make(map[string]bool, len(rows))
	for _, row := range rows {
		r, err := s.lookup.recordOf(ctx, row)
		if err != nil {
			return nil, &fault{kind: customer.ErrMismatch, reason: err.Error()}
		}
		if !seen[r.ID] {
			seen[r.ID] = true
			records = append(records, r)
		}
	}
	return records, nil
}

// intersect keeps those of found that are also in others.
func intersect(found, others []*customer.Record) []*customer.Record {
	ids := make(map[string]bool, len(others))
	for _, r := range others {
		ids[r.ID] = true
	}
	return slices.DeleteFunc(found, func(r *customer.Record) bool { return !ids[r.ID] })
}

// ask runs a query, again on a new connection when the one that it had is lost,
// or there was none: a database that restarts costs time, but no answer. One that
// stays away is asked once a lookup.
func (s *store) ask(ctx context.Context, sql string, args []any) (rows []map[string]any, failed *fault) {
	db, err := s.database()
	if err != nil {
		return nil, &fault{reason: err.Error()}
	}
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		attempt, cancel := context.WithTimeout(ctx, s.timeout)
		rows, err := db.query(attempt, sql, args, maxRows+1)
		tooLate := attempt.Err() != nil
		cancel()
		if err == nil {
			s.downSince.Store(0)
			return rows, nil
		}
		failed, judged := errors.AsType[*fault](err)
		switch {
		case tooLate && !errors.Is(err, dbconn.ErrNoConnection):
			failed = errTooSlow
		case !judged:
			failed = db.judge(err)
		}
		if !failed.lost {
			return nil, failed
		}
		db.renew()
		if s.isDown() || !dbconn.Pause(ctx, wait) {
			return nil, failed
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
	if v == nil {
		return "", nil
	}
	if f, ok := v.(float64); ok { // JSON would write an exponent
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return "", nil
		}
		return strconv.FormatFloat(f, 'f', -1, 64), nil
	}
	if s, ok := jsonval.Text(v); ok {
		return s, nil
	}
	b, err := jsonval.Encode(nil, v, jsonval.Limits{})
	return string(b), err
}

// Interface guards
var (
	_ customer.Store = (*store)(nil)
)
