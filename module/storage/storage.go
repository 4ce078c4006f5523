// Package storage makes Caddy's storage safe to use for what must go on while the storage
// hangs, panics or loses its locks: operations are bounded in time, records can be
// sealed, and locks are leases that can be abandoned.
package storage

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
)

// Limit bounds one operation of a storage.
const Limit = 5 * time.Second

var (
	// ErrDown says that the storage hung a moment ago, or hangs now.
	ErrDown = errors.New("the storage doesn't answer")
	// ErrDamaged says that a record can't be read.
	ErrDamaged = errors.New("the record is damaged")
	// ErrVersion says that a record was written by a version that isn't known here.
	ErrVersion = errors.New("the record has another version")
)

// Storage is a backend, a storage module of Caddy, made safe for callers that must
// neither hang nor panic with it.
//
// Storage modules are other people's code over a network or a disk: each
// operation runs in a goroutine of its own, bounded and recovered, and a
// storage that hangs is left alone.
type Storage struct {
	Backend certmagic.Storage
	Health  *Health
}

// Health counts what a storage has not finished. It may outlive the Storage: after
// a reload with the same backend, what hung before hangs still.
type Health struct {
	// MaxHanging operations may have outlived their limit before no other is begun,
	// MaxAbandoned waits for locks, and unlocks, before no other lock is tried. It is
	// one at least: each is a goroutine that may never end.
	MaxHanging, MaxAbandoned int32
	// Pause is how long a storage that ran into the limit is left alone.
	Pause time.Duration

	downUntil atomic.Int64 // Unix nanoseconds
	hanging   atomic.Int32
	abandoned atomic.Int32
}

// AbandonedLocks is the number of locks that the storage is still busy with although
// nobody waits for them.
func (h *Health) AbandonedLocks() int { return int(h.abandoned.Load()) }

// Down reports whether the storage is left alone because it hung.
func (h *Health) Down() bool {
	return h.hanging.Load() >= max(1, h.MaxHanging) || time.Now().UnixNano() < h.downUntil.Load()
}

func (h *Health) pause() { h.downUntil.Store(time.Now().Add(h.Pause).UnixNano()) }

// Load returns the record of a key, nil when there is none. An empty one, and one of
// more than maxSize bytes, can't be one of ours: the error is ErrDamaged.
func (s Storage) Load(ctx context.Context, key string, maxSize int) ([]byte, error) {
	if s.Health.Down() {
		return nil, fmt.Errorf("loading the record: %w", ErrDown)
	}
	b, err := bounded(ctx, s.Health, func(ctx context.Context) ([]byte, error) { return s.Backend.Load(ctx, key) })
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("loading the record: %w", err)
	case b == nil:
		return nil, nil // what a no-op storage gives
	case len(b) == 0 || len(b) > maxSize:
		return nil, fmt.Errorf("reading the record: %w", ErrDamaged)
	default:
		return b, nil
	}
}

// Store stores the record of a key.
func (s Storage) Store(ctx context.Context, key string, b []byte) error {
	if s.Health.Down() {
		return fmt.Errorf("storing the record: %w", ErrDown)
	}
	_, err := bounded(ctx, s.Health, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.Backend.Store(ctx, key, b)
	})
	if err != nil {
		return fmt.Errorf("storing the record: %w", err)
	}
	return nil
}

// Delete deletes the record of a key; there may be none.
func (s Storage) Delete(ctx context.Context, key string) error {
	if s.Health.Down() {
		return fmt.Errorf("deleting the record: %w", ErrDown)
	}
	_, err := bounded(ctx, s.Health, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.Backend.Delete(ctx, key)
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("deleting the record: %w", err)
	}
	return nil
}

// Modified returns when the record of a key was stored, the zero time if the storage
// doesn't know.
func (s Storage) Modified(ctx context.Context, key string) (time.Time, error) {
	if s.Health.Down() {
		return time.Time{}, fmt.Errorf("looking at the record: %w", ErrDown)
	}
	info, err := bounded(ctx, s.Health, func(ctx context.Context) (certmagic.KeyInfo, error) { return s.Backend.Stat(ctx, key) })
	if err != nil {
		return time.Time{}, fmt.Errorf("looking at the record: %w", err)
	}
	return info.Modified, nil
}

// List returns the keys below a prefix, with all that is below those if recursive. No
// keys are no error.
func (s Storage) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	if s.Health.Down() {
		return nil, fmt.Errorf("listing the records: %w", ErrDown)
	}
	keys, err := bounded(ctx, s.Health, func(ctx context.Context) ([]string, error) {
		return s.Backend.List(ctx, prefix, recursive)
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing the records: %w", err)
	}
	return keys, nil
}

// bounded runs one operation for at most Limit, whether the backend honours its
// context or not. What outlives that counts as hanging, and in the other counters.
func bounded[T any](ctx context.Context, h *Health, op func(context.Context) (T, error), counters ...*atomic.Int32) (T, error) {
	type result struct {
		value T
		err   error
	}
	count := func(n int32) {
		h.hanging.Add(n)
		for _, c := range counters {
			c.Add(n)
		}
	}
	var none T
	limited, cancel := context.WithTimeout(ctx, Limit)
	defer cancel()

	var settled atomic.Bool // by the one of both sides that comes first
	done := make(chan result, 1)
	go func() {
		var r result
		r.err = Recover(func() (err error) {
			r.value, err = op(limited)
			return err
		})
		done <- r
		if !settled.CompareAndSwap(false, true) {
			count(-1)
		}
	}()

	select {
	case r := <-done:
		if r.err != nil && ctx.Err() == nil && limited.Err() != nil {
			h.pause()
		}
		return r.value, r.err
	case <-limited.Done():
	}
	if ctx.Err() == nil {
		h.pause()
	}
	count(1)
	if !settled.CompareAndSwap(false, true) {
		count(-1) // it ended just now
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	return none, ErrDown
}

// PanicError is a panic of code that is not ours.
type PanicError struct {
	value string
	Stack []byte
}

func (e *PanicError) Error() string { return "panic (" + e.value + ")" }

// Recover runs f and turns a panic into a *PanicError. The panic's text is left out:
// it could quote what the code was working on.
func Recover(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{value: fmt.Sprintf("%T", p), Stack: debug.Stack()}
		}
	}()
	return f()
}

// envelope is what lies in the storage: the record under AES-256-GCM. Whoever
// can read the storage learns nothing but the key's fingerprint, which distinguishes
// a record of other credentials from a damaged one.
type envelope struct {
	Version int    `json:"version"`
	Key     string `json:"key"`
	Sealed  []byte `json:"sealed"`
}

// envelopeVersion is written into every envelope; another version is not read.
const envelopeVersion = 1

// ErrForeignKey says that a record was made with other credentials.
var ErrForeignKey = errors.New("the record is sealed with another key")

// Sealer seals and opens records. The storage key is authenticated with them,
// so a record that was moved to another key doesn't open.
type Sealer struct {
	aead        cipher.AEAD
	fingerprint string
}

// NewSealer makes the sealer of a key.
func NewSealer(key [32]byte) *Sealer {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // impossible: 32 bytes are AES-256
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // impossible: AES has the block size that GCM wants
	}
	sum := sha256.Sum256(append([]byte("key fingerprint\x00"), key[:]...))
	return &Sealer{aead: aead, fingerprint: hex.EncodeToString(sum[:4])}
}

// Seal encrypts a record that will be stored under the key.
func (s *Sealer) Seal(record []byte, key string) ([]byte, error) {
	return json.Marshal(envelope{
		Version: envelopeVersion,
		Key:     s.fingerprint,
		Sealed:  s.aead.Seal(nil, nil, record, []byte(key)), //nolint:gosec // this AEAD makes the nonce itself, and wants none
	})
}

// Open decrypts what Seal has made for the same key.
func (s *Sealer) Open(b []byte, key string) ([]byte, error) {
	e, err := Decode(b, envelopeVersion, func(e *envelope) int { return e.Version })
	if err != nil {
		return nil, err
	}
	if e.Key != s.fingerprint {
		return nil, ErrForeignKey
	}
	record, err := s.aead.Open(nil, nil, e.Sealed, []byte(key))
	if err != nil {
		return nil, ErrDamaged
	}
	return record, nil
}

// SealBytes is Seal without JSON around what is sealed, which takes longer to read than
// to open.
func (s *Sealer) SealBytes(record []byte, key string) []byte {
	return s.aead.Seal([]byte(s.fingerprint), nil, record, []byte(key)) //nolint:gosec // this AEAD makes the nonce itself, and wants none
}

// OpenBytes decrypts what SealBytes has made for the same key.
func (s *Sealer) OpenBytes(b []byte, key string) ([]byte, error) {
	switch sealed, ours := bytes.CutPrefix(b, []byte(s.fingerprint)); {
	case len(b) < len(s.fingerprint):
		return nil, ErrDamaged
	case !ours:
		return nil, ErrForeignKey
	default:
		record, err := s.aead.Open(nil, nil, sealed, []byte(key))
		if err != nil {
			return nil, ErrDamaged
		}
		return record, nil
	}
}

// Decode decodes exactly one JSON object, which must have that version, and keeps
// numbers as written. Its error is ErrVersion or ErrDamaged: the decoder's own words
// could quote a token.
func Decode[T any](b []byte, version int, versionOf func(*T) int) (*T, error) {
	to := new(T)
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if dec.Decode(to) != nil {
		return nil, ErrDamaged
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, ErrDamaged
	}
	if versionOf(to) != version {
		return nil, ErrVersion
	}
	return to, nil
}

// ErrQueueing says that earlier waits for locks were given up, but the storage
// didn't notice; another one would only pile up.
var ErrQueueing = errors.New("an abandoned wait for the lock still lasts")

// Lease is a storage's lock, or the wait for it. A lock is a hint: some storages'
// locks exclude nobody, and others stay locked forever after a crash. What follows
// the lock must be right without it.
type Lease struct {
	storage Storage
	name    string
	// The context outlives the critical section: the Redis storage refreshes a lock
	// only while the context of Lock lives.
	ctx    context.Context
	cancel context.CancelFunc
	got    chan error
	over   atomic.Bool // the wait: decided, or abandoned
	err    error       // what Lock returned, once that is decided
}

// Lock starts to wait for a lock. The result comes on Got; after nil there, Release
// must be called, after an error nothing, and without waiting for it Abandon.
func (s Storage) Lock(name string) *Lease {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Lease{storage: s, name: name, ctx: ctx, cancel: cancel, got: make(chan error, 1)}
	if s.Health.abandoned.Load() >= max(1, s.Health.MaxAbandoned) {
		l.decide(ErrQueueing)
		return l
	}
	go func() {
		err := Recover(func() error { return s.Backend.Lock(ctx, name) })
		if l.decide(err) {
			return
		}
		s.Health.abandoned.Add(-1)
		if err == nil {
			_ = l.Release() // it came too late; nobody else frees it
		}
	}()
	return l
}

// decide ends the wait, unless it was abandoned.
func (l *Lease) decide(err error) bool {
	l.err = err
	if !l.over.CompareAndSwap(false, true) {
		return false
	}
	if err != nil {
		l.cancel() // there is nothing to keep or to free
	}
	l.got <- err
	return true
}

// Got receives what became of the lock: nil when it is held, or an error.
func (l *Lease) Got() <-chan error { return l.got }

// Abandon gives up waiting. A lock that is gained nevertheless is freed.
func (l *Lease) Abandon() {
	l.storage.Health.abandoned.Add(1)
	if l.over.CompareAndSwap(false, true) {
		l.cancel()
		return
	}
	l.storage.Health.abandoned.Add(-1)
	if l.err == nil {
		_ = l.Release()
	}
}

// Wait waits for the lock for so long, and abandons it then.
func (l *Lease) Wait(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case err := <-l.got:
		return err
	case <-ctx.Done():
		l.Abandon()
		return ctx.Err()
	}
}

// Release frees the lock after the critical section. It does so even when the
// storage hung just now: an unlock left out is a lock that stays as long as this
// process lives.
func (l *Lease) Release() error {
	defer l.cancel()
	h := l.storage.Health
	_, err := bounded(context.Background(), h, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, l.storage.Backend.Unlock(ctx, l.name)
	}, &h.abandoned)
	if err != nil {
		return fmt.Errorf("unlocking: %w", err)
	}
	return nil
}

// ErrNoExclusion is what TestLock is for.
var ErrNoExclusion = errors.New("the storage's lock was given out twice")

// TestLock takes a lock of a random name and tries to take it again. It returns
// ErrNoExclusion when that works, another error when the lock itself fails, and nil when
// the lock excludes others. name gives the random text the form of the caller's names.
func (s Storage) TestLock(ctx context.Context, name func(of string) string) error {
	random := name("test\x00" + rand.Text())
	first := s.Lock(random)
	if err := first.Wait(ctx, Limit); err != nil {
		return err
	}
	second := s.Lock(random)
	if second.Wait(ctx, 200*time.Millisecond) == nil {
		return errors.Join(ErrNoExclusion, second.Release(), first.Release())
	}
	return first.Release()
}
