package token

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
)

const (
	// storageLimit bounds one operation of the storage.
	storageLimit = 5 * time.Second
	// storagePause is how long a storage that ran into the limit is left alone.
	storagePause = 30 * time.Second
	// maxRecord is more than any honest record needs.
	maxRecord = 1 << 20
)

var (
	errNoStorage   = errors.New("no storage")
	errStorageDown = errors.New("the storage doesn't answer")
)

// vault is one source's place in Caddy's storage. A nil vault holds nothing.
//
// Storage modules are other people's code over a network or a disk: each
// operation runs in a goroutine of its own, bounded and recovered, and a
// storage that hangs is left alone for a while.
type vault struct {
	storage certmagic.Storage
	key     string // of the record
	mutex   string // name of the lock
	seal    *sealer

	downUntil atomic.Int64 // Unix nanoseconds
	hanging   atomic.Int32 // operations that outlived their limit
	queueing  atomic.Int32 // abandoned waits for the lock
	lockDoubt atomic.Bool  // the last lock gave nothing but errors
}

func newVault(s certmagic.Storage, p *policy) *vault {
	if s == nil {
		return nil
	}
	return &vault{
		storage: s,
		key:     storageName(p.identity),
		mutex:   storageName("lock\x00" + p.identity),
		seal:    newSealer(p.sealKey),
	}
}

// storageName is the form of every key and lock name. Hex only: storage
// modules sanitise lock names lossily, and keys not at all.
func storageName(of string) string {
	sum := sha256.Sum256([]byte(of))
	return "oauth/" + hex.EncodeToString(sum[:])
}

// load gives the stored record, or nil when there is none.
func (v *vault) load(ctx context.Context) (*record, error) {
	b, err := bounded(ctx, v, func(ctx context.Context) ([]byte, error) { return v.storage.Load(ctx, v.key) })
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNoStorage):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("loading the record: %w", err)
	case len(b) == 0:
		return nil, nil // what a no-op storage gives
	case len(b) > maxRecord:
		return nil, fmt.Errorf("reading the record: %w", errDamaged)
	}
	r, err := v.seal.open(b, v.key)
	if err != nil {
		return nil, fmt.Errorf("reading the record: %w", err)
	}
	return r, nil
}

// save stores the record. What was paid for with a token call is stored even
// when the time of the renewal is over, so only the vault's own limit counts.
func (v *vault) save(ctx context.Context, r *record) error {
	if v == nil {
		return errNoStorage
	}
	b, err := v.seal.seal(r, v.key)
	if err != nil {
		return err
	}
	_, err = bounded(context.WithoutCancel(ctx), v, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, v.storage.Store(ctx, v.key, b)
	})
	if err != nil {
		return fmt.Errorf("storing the record: %w", err)
	}
	return nil
}

// down tells whether the storage hung a moment ago.
func (v *vault) down() bool {
	return v.hanging.Load() > 0 || time.Now().UnixNano() < v.downUntil.Load()
}

const (
	opRunning int32 = iota
	opFinished
	opAbandoned
)

// bounded runs one storage operation, unless the storage is known to hang.
func bounded[T any](ctx context.Context, v *vault, op func(context.Context) (T, error)) (T, error) {
	var none T
	if v == nil {
		return none, errNoStorage
	}
	if v.down() {
		return none, errStorageDown
	}
	return insist(ctx, v, op)
}

// insist runs one storage operation for at most storageLimit, whether the
// storage honours its context or not.
func insist[T any](ctx context.Context, v *vault, op func(context.Context) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	limited, cancel := context.WithTimeout(ctx, storageLimit)
	defer cancel()

	var state atomic.Int32
	done := make(chan result, 1)
	go func() {
		var r result
		r.err = recovered(func() (err error) {
			r.value, err = op(limited)
			return err
		})
		done <- r
		if !state.CompareAndSwap(opRunning, opFinished) {
			v.hanging.Add(-1)
		}
	}()

	select {
	case r := <-done:
		if r.err != nil && ctx.Err() == nil && limited.Err() != nil {
			v.pause()
		}
		return r.value, r.err
	case <-limited.Done():
	}
	if ctx.Err() == nil {
		v.pause()
	}
	v.hanging.Add(1)
	if !state.CompareAndSwap(opRunning, opAbandoned) {
		v.hanging.Add(-1) // it ended just now
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	return none, errStorageDown
}

func (v *vault) pause() {
	v.downUntil.Store(time.Now().Add(storagePause).UnixNano())
}

// recovered turns a panic into an error. Its text is left out: it could quote
// what the code was working on.
func recovered(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{value: fmt.Sprintf("%T", p), stack: stack()}
		}
	}()
	return f()
}
