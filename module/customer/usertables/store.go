package usertables

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

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

// isDown notes that the database can't be reached, and tells whether that is so
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

// Interface guard
var _ customer.Store = (*store)(nil)
