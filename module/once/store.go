package once

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/module/storage"
)

// Store holds the records of one API. It is safe for concurrent use.
type Store struct {
	backend storage.Storage
	api     string
	folder  string
	sealer  *storage.Sealer
	logger  *zap.Logger

	recent recent
	swept  atomic.Int64 // when it was swept last, in Unix ns
	tested atomic.Bool  // the storage's lock
}

// storagePause is how long a storage that hung is left alone. Writes aren't sent in
// that time, so it is short.
const storagePause = 5 * time.Second

// NewStore returns the store of an API. key seals its records.
func NewStore(backend certmagic.Storage, api string, key [32]byte, logger *zap.Logger) *Store {
	return &Store{
		backend: storage.Storage{Backend: backend, Health: &storage.Health{Pause: storagePause, MaxHanging: 16, MaxAbandoned: 64}},
		api:     api,
		folder:  folder(api),
		sealer:  storage.NewSealer(key),
		logger:  logger,
	}
}

// Load returns the record of a write, nil if there is none or it has expired. It must
// not be changed. An error that wraps ErrUnreadable says that there is one.
func (s *Store) Load(ctx context.Context, key string) (*Record, error) {
	if r := s.recent.get(key, time.Now()); r != nil {
		return r, nil
	}
	r, err := s.load(ctx, key)
	if r != nil {
		s.recent.put(r, time.Now())
	}
	return r, err
}

// load is Load from the storage.
func (s *Store) load(ctx context.Context, key string) (*Record, error) {
	name := s.nameOf(key)
	b, err := s.backend.Load(ctx, name, maxRecord)
	switch {
	case errors.Is(err, storage.ErrDamaged): // larger than any of ours
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	case b == nil || err != nil:
		return nil, err
	}
	return s.open(b, name, time.Now())
}

// Claim stores the first record of a write, under the storage's lock, unless there is
// one that replaceable refuses to replace. That one is returned, or the error that it
// can't be read. After any other error the write must not be sent: what was stored
// nevertheless, or will be, is deleted before the lock is freed. It takes no longer than
// limit.
func (s *Store) Claim(ctx context.Context, r *Record, limit time.Duration, replaceable func(*Record, error) bool) (*Record, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	lease := s.backend.Lock(s.lockOf(r.Key))
	if found, err := s.waitFor(ctx, lease, r.Key, replaceable); found != nil || err != nil {
		return found, err
	}
	type result struct {
		found *Record
		err   error
	}
	done := make(chan result, 1)
	var settled atomic.Bool // by the one of both sides that comes first
	go func() {
		defer func() { _ = lease.Release() }()
		ctx := context.WithoutCancel(ctx) // an operation that was begun is waited for
		found, stored, err := s.claim(ctx, r, replaceable)
		done <- result{found, err}
		if gone := !settled.CompareAndSwap(false, true); stored && (gone || err != nil) {
			_ = s.drop(ctx, r)
		}
	}()
	select {
	case it := <-done:
		return it.found, it.err
	case <-ctx.Done():
		if settled.CompareAndSwap(false, true) {
			return nil, fmt.Errorf("storing the record: %w", ctx.Err())
		}
		it := <-done
		return it.found, it.err
	}
}

// lookEvery is how often a claim that waits for the lock looks for a record: whoever has
// the lock stores one, and some storages take a second to give the lock to the next.
const lookEvery = 100 * time.Millisecond

// waitFor waits for the lock of a write, or for the record of another claim, which it
// returns.
func (s *Store) waitFor(ctx context.Context, lease *storage.Lease, key string, replaceable func(*Record, error) bool) (*Record, error) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case err := <-lease.Got():
			if err != nil {
				return nil, fmt.Errorf("locking the record: %w", err)
			}
			return nil, nil
		case <-look.C:
			if found, err := s.load(ctx, key); found != nil && !replaceable(found, err) {
				lease.Abandon()
				return found, nil
			}
		case <-ctx.Done():
			lease.Abandon()
			return nil, fmt.Errorf("locking the record: %w", ctx.Err())
		}
	}
}

// claim does the work of Claim under the lock. stored reports that r may have been
// stored, even if there is an error.
func (s *Store) claim(ctx context.Context, r *Record, replaceable func(*Record, error) bool) (found *Record, stored bool, err error) {
	found, err = s.load(ctx, r.Key)
	if (found != nil || errors.Is(err, ErrUnreadable)) && !replaceable(found, err) {
		return found, false, err
	}
	if err != nil && !errors.Is(err, ErrUnreadable) {
		return nil, false, err
	}
	return nil, true, s.Save(ctx, r)
}

// lockOf is the name of a write's lock.
func (s *Store) lockOf(key string) string { return s.nameOf("lock\x00" + key) }

// locked runs f under a write's lock.
func (s *Store) locked(ctx context.Context, key string, f func() error) error {
	lease := s.backend.Lock(s.lockOf(key))
	if err := lease.Wait(ctx, storage.Limit); err != nil {
		return fmt.Errorf("locking the record: %w", err)
	}
	defer func() {
		// the storage may be slow to unlock, and nobody has to wait for it
		go func() { _ = lease.Release() }()
	}()
	return f()
}

// ErrExpired is the error of Save for a record that no longer counts.
var ErrExpired = errors.New("the record has expired")

// Save stores a record in place of the one before. It doesn't store one that has
// expired: it could replace that of a later write.
func (s *Store) Save(ctx context.Context, r *Record) error {
	if !time.Now().Before(r.Expires) {
		return ErrExpired
	}
	name := s.nameOf(r.Key)
	b, err := s.seal(r, name)
	if err != nil {
		return err
	}
	return s.backend.Store(ctx, name, b)
}

// Drop deletes the record of an attempt. A record of another attempt stays.
func (s *Store) Drop(ctx context.Context, r *Record) error {
	return s.locked(ctx, r.Key, func() error { return s.drop(ctx, r) })
}

func (s *Store) drop(ctx context.Context, r *Record) error {
	found, err := s.load(ctx, r.Key)
	if err != nil || found == nil || found.Attempt != r.Attempt {
		return err
	}
	return s.backend.Delete(ctx, s.nameOf(r.Key))
}

// ErrUnderWay is the error of Forget for a write that is being sent.
var ErrUnderWay = errors.New("the write is under way")

// Forget deletes the record of a write, so that a repeat is sent again. It reports
// whether there was one.
func (s *Store) Forget(ctx context.Context, key string) (existed bool, err error) {
	err = s.locked(ctx, key, func() error {
		found, err := s.load(ctx, key)
		switch {
		case err != nil && !errors.Is(err, ErrUnreadable), found == nil && err == nil:
			return err
		case found != nil && found.UnderWay(time.Now()):
			return ErrUnderWay
		}
		existed = true
		s.recent.drop(key)
		return s.backend.Delete(ctx, s.nameOf(key))
	})
	return existed, err
}

// maxListed bounds the records that List reads.
const maxListed = 10_000

// List returns up to limit records without their answers, the newest first, and how
// many can't be read. more reports that there are others.
func (s *Store) List(ctx context.Context, limit int) (records []*Record, unreadable int, more bool, err error) {
	names, err := s.backend.List(ctx, s.folder, true)
	if err != nil {
		return nil, 0, false, err
	}
	more = len(names) > maxListed
	for _, name := range names[:min(len(names), maxListed)] {
		b, err := s.backend.Load(ctx, name, maxRecord)
		if ctx.Err() != nil {
			return nil, 0, false, ctx.Err()
		}
		if b == nil && err == nil {
			continue // a folder, or it was deleted just now
		}
		if err == nil {
			var r *Record
			if r, err = s.open(b, name, time.Now()); r != nil {
				r.Answer = nil
				records = append(records, r)
			}
		}
		if err != nil && isRecordName(name) {
			unreadable++
		}
	}
	slices.SortFunc(records, func(a, b *Record) int { return cmp.Or(b.Sent.Compare(a.Sent), cmp.Compare(a.Key, b.Key)) })
	if len(records) > limit {
		records, more = records[:limit], true
	}
	return records, unreadable, more, nil
}

// TestLock warns, once, of a storage whose lock excludes nobody. It is called before
// the first write.
func (s *Store) TestLock() {
	if !s.tested.CompareAndSwap(false, true) {
		return
	}
	go func() {
		err := s.backend.TestLock(context.Background(), s.lockOf)
		if errors.Is(err, storage.ErrNoExclusion) {
			s.logger.Warn("the lock of Caddy's storage excludes nobody; with several instances a write can be sent twice", zap.String("api", s.api))
		}
	}()
}

const (
	sweepEvery = time.Minute
	sweepLimit = 30 * time.Second
	// maxSwept bounds the records that one sweep reads.
	maxSwept = 5000
)

// Sweep deletes expired records of one folder in 256, at most once a minute, in the
// background. The folder may be that of another API, which may no longer be
// configured.
func (s *Store) Sweep() {
	last, now := s.swept.Load(), time.Now()
	if now.UnixNano()-last < int64(sweepEvery) || !s.swept.CompareAndSwap(last, now.UnixNano()) {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), sweepLimit)
		defer cancel()
		apis, err := s.backend.List(ctx, prefix, false)
		if err == nil && len(apis) > 0 {
			bucket := fmt.Sprintf("/%02x", rand.IntN(256))             //nolint:gosec // any folder will do
			err = s.sweep(ctx, apis[rand.IntN(len(apis))]+bucket, now) //nolint:gosec // any folder will do
		}
		if err != nil {
			s.logger.Warn("sweeping expired records of writes failed", zap.Error(err))
		}
	}()
}

// sweep deletes the records in a folder that no longer count.
func (s *Store) sweep(ctx context.Context, folder string, now time.Time) error {
	names, err := s.backend.List(ctx, folder, true)
	if err != nil {
		return err
	}
	for _, name := range names[:min(len(names), maxSwept)] {
		b, err := s.backend.Load(ctx, name, maxRecord)
		if b == nil && err == nil || !isRecordName(name) || err != nil && !errors.Is(err, storage.ErrDamaged) {
			continue
		}
		if !s.counts(ctx, b, name, now) {
			err = s.backend.Delete(ctx, name)
		}
		if ctx.Err() != nil || err != nil && !errors.Is(err, storage.ErrDamaged) {
			return err
		}
	}
	return nil
}

// counts reports whether a record may still count. One that can't be read may, because
// its write may have been sent, until it is older than any record.
func (s *Store) counts(ctx context.Context, b []byte, name string, now time.Time) bool {
	r, err := s.open(b, name, now)
	if err == nil {
		return r != nil
	}
	modified, err := s.backend.Modified(ctx, name)
	return err != nil || modified.IsZero() || now.Sub(modified) < MaxTTL
}

// isRecordName reports whether a name in the storage is that of a record, and not of
// a folder.
func isRecordName(name string) bool { return len(name) == len(prefix)+1+16+1+2+1+48 }
