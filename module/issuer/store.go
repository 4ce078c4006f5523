package issuer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/module/storage"
)

const (
	storePrefix = "issuer/"
	// hourDigits of a record's name are the hour of its sign-in, the rest a
	// digest: expired records are found by their names.
	hourDigits   = 8
	digestDigits = 48
	// maxRecord is more than any honest record needs.
	maxRecord = 4 << 10
)

// store is where an issuer's records are: Caddy's storage.
type store struct {
	storage.Storage
	issuer string
}

func (i *Issuer) store() store {
	return store{storage.Storage{Backend: i.storage(), Health: &i.state.health}, i.name}
}

// name is that of a family's record and of its lock. Hex only: storage modules
// sanitise lock names lossily, and keys not at all.
func (s store) name(of lineage) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%x\x00%x", s.issuer, of.client, of.family)
	return fmt.Sprintf("%s%0*x%s", storePrefix, hourDigits, of.family.hour(), hex.EncodeToString(h.Sum(nil))[:digestDigits])
}

// hourOf reads the hour out of a record's name.
func hourOf(name string) (hour uint32, ok bool) {
	name = strings.TrimPrefix(name, storePrefix)
	b, err := hex.DecodeString(name)
	if err != nil || len(name) != hourDigits+digestDigits {
		return 0, false
	}
	return binary.BigEndian.Uint32(b), true
}

// load returns a family's record, nil when there is none.
func (s store) load(ctx context.Context, of lineage) (*record, error) {
	return s.loadName(ctx, s.name(of))
}

func (s store) loadName(ctx context.Context, name string) (*record, error) {
	b, err := s.Load(ctx, name, maxRecord)
	if b == nil {
		return nil, err
	}
	r, err := decodeRecord(b)
	if err != nil {
		return nil, fmt.Errorf("reading the record: %w", err)
	}
	return r, nil
}

func (s store) save(ctx context.Context, of lineage, r *record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding the record: %w", err)
	}
	return s.Store(ctx, s.name(of), b)
}

const (
	// lockWait bounds the wait for a storage's lock. Some are never freed, others
	// exclude nobody: a lock is a hint, and what follows it must be right without it.
	lockWait = 2 * time.Second
	// unlockWait is how long an answer waits for the unlock, which goes on behind it.
	unlockWait = 100 * time.Millisecond
)

// lock waits for a family's lock, and goes on without it when it doesn't come.
// The returned function frees it.
func (s store) lock(ctx context.Context, of lineage) (unlock func()) {
	lease := s.Lock(s.name(of))
	if lease.Wait(ctx, lockWait) != nil {
		return func() {}
	}
	return func() {
		freed := make(chan struct{})
		go func() {
			defer close(freed)
			_ = lease.Release() // a lock is a hint: the next one waits, and goes on
		}()
		select {
		case <-freed:
		case <-time.After(unlockWait):
		}
	}
}

const (
	sweepEvery = 15 * time.Minute
	sweepLimit = time.Minute
	// maxSwept bounds the records that one sweep reads.
	maxSwept = 1000
)

// sweep deletes the records of families that are over, at most every 15
// minutes, in the background. It takes those of other issuers too: one may no
// longer be configured.
func (i *Issuer) sweep() {
	last, now := i.state.swept.Load(), time.Now()
	if now.UnixNano()-last < int64(sweepEvery) || !i.state.swept.CompareAndSwap(last, now.UnixNano()) {
		return
	}
	st := i.store()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), sweepLimit)
		defer cancel()
		var gone int
		err := storage.Recover(func() (err error) {
			gone, err = st.sweep(ctx, now)
			return err
		})
		if err != nil {
			i.logger.Warn("sweeping expired records failed", zap.Error(err))
			return
		}
		i.logger.Debug("expired records swept", zap.Int("deleted", gone))
	}()
}

// sweep looks at records that are old enough to be over. Which they are their
// names tell; whether a refresh has kept them alive, only their content.
func (s store) sweep(ctx context.Context, now time.Time) (gone int, err error) {
	names, err := s.Backend.List(ctx, path.Clean(storePrefix), true)
	if err != nil {
		return 0, err
	}
	var old []string
	for _, name := range names {
		if hour, ok := hourOf(name); ok && now.Unix()-int64(hour)*3600 > int64(refreshExtra/time.Second) {
			old = append(old, name)
		}
	}
	rand.Shuffle(len(old), func(a, b int) { old[a], old[b] = old[b], old[a] }) //nolint:gosec // so that none is always left over
	for _, name := range old[:min(len(old), maxSwept)] {
		r, err := s.loadName(ctx, name)
		over := errors.Is(err, storage.ErrDamaged) || err == nil && r != nil && r.Until <= now.UnixMilli()
		if !over {
			continue
		}
		if err := s.Backend.Delete(ctx, name); err != nil {
			return gone, err
		}
		gone++
	}
	return gone, nil
}
