package usertables

import (
	"context"
	"sync"
)

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
