package keeper

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/switchboard-ivr/switchboard/module/storage"
	"github.com/switchboard-ivr/switchboard/module/token"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

const (
	// saveRetry is when to try again to store a record.
	saveRetry = 30 * time.Second
	// storagePause is how long a storage that hung is left alone.
	storagePause = 30 * time.Second
	// maxRecord is more than any honest record needs.
	maxRecord = 1 << 20
)

var errNoStorage = errors.New("no storage")

// store is one source's place in Caddy's storage. A nil store holds nothing.
type store struct {
	storage.Storage
	key       string // of the record
	lockName  string
	sealer    *storage.Sealer
	lockDoubt atomic.Bool // the last lock gave nothing but errors
}

func newStore(backend certmagic.Storage, p *token.Policy) *store {
	if backend == nil {
		return nil
	}
	return &store{
		Storage:  storage.Storage{Backend: backend, Health: &storage.Health{Pause: storagePause}},
		key:      storageName(p.Identity),
		lockName: storageName("lock\x00" + p.Identity),
		sealer:   storage.NewSealer(p.SealKey),
	}
}

// storageName is the form of every key and lock name. Hex only: storage
// modules sanitise lock names lossily, and keys not at all.
func storageName(of string) string {
	sum := sha256.Sum256([]byte(of))
	return "oauth/" + hex.EncodeToString(sum[:])
}

// load returns the stored record, or nil when there is none.
func (s *store) load(ctx context.Context) (*record, error) {
	if s == nil {
		return nil, nil
	}
	sealed, err := s.Load(ctx, s.key, maxRecord)
	if sealed == nil {
		return nil, err
	}
	b, err := s.sealer.Open(sealed, s.key)
	if err != nil {
		return nil, fmt.Errorf("reading the record: %w", err)
	}
	r, err := decodeRecord(b)
	if err != nil {
		return nil, fmt.Errorf("reading the record: %w", err)
	}
	return r, nil
}

// save stores the record. What was paid for with a token call is stored even
// when the time of the renewal is over, so only the storage's own limit counts.
func (s *store) save(ctx context.Context, r *record) error {
	if s == nil {
		return errNoStorage
	}
	b, err := r.encode()
	if err != nil {
		return fmt.Errorf("encoding the record: %w", err)
	}
	sealed, err := s.sealer.Seal(b, s.key)
	if err != nil {
		return err
	}
	return s.Store(context.WithoutCancel(ctx), s.key, sealed)
}

// store makes a grant's record the current one. It is stored before it is
// served, and not at all when another instance has stored a token that
// was asked for after this one. A token asked for before it is replaced:
// where each token call ends the token before, ours is the one that lives.
func (k *Keeper) storeAndPublish(ctx context.Context, v *store, prev, r record, how string) outcome {
	adopted := k.loadStored(ctx, v)
	k.mu.Lock()
	if t := k.current.Load(); k.record.newer(&prev) && t.Valid(k.now()) && !k.record.Obtained.Before(r.Obtained) {
		k.mu.Unlock()
		return outcome{how: howAdopt, token: adopted}
	}
	r.Generation = max(k.record.Generation, k.seen) + 1
	k.mu.Unlock()

	err := k.saveRecord(ctx, v, r)
	k.mu.Lock()
	t := k.publish(r)
	k.mu.Unlock()
	if err != nil && !errors.Is(err, errNoStorage) {
		k.env.Load().Logger.Error("token not stored; it is kept in memory and would be lost in a restart", zap.Error(err))
	}
	return outcome{how: how, token: t}
}

// save writes a record into the vault, unless the vault holds a later one.
func (k *Keeper) saveRecord(ctx context.Context, v *store, r record) error {
	k.mu.Lock()
	late := r.Generation < k.seen
	k.unsaved = k.unsaved && !late
	k.mu.Unlock()
	if late {
		return nil
	}
	err := v.save(ctx, &r)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unsaved = err != nil
	k.saveAt = k.now().Add(saveRetry)
	if err == nil {
		k.seen = r.Generation
	}
	return err
}

// resave stores the record that couldn't be stored before.
func (k *Keeper) retrySave(ctx context.Context, _ *inflight) outcome {
	v := k.awaitStore(ctx)
	if adopted := k.loadStored(ctx, v); adopted != nil {
		return outcome{how: howAdopt, token: adopted}
	}
	k.mu.Lock()
	r, unsaved := k.record, k.unsaved
	k.mu.Unlock()
	if !unsaved {
		return outcome{} // it is there already
	}
	log := k.env.Load().Logger
	switch err := k.saveRecord(ctx, v, r); {
	case err == nil:
		log.Info("token stored at last", zap.Uint64("generation", r.Generation))
	case !errors.Is(err, errNoStorage):
		log.Warn("token still not stored", zap.Error(err))
	}
	return outcome{}
}
