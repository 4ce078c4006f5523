package issuer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/caddyserver/certmagic"
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

// store is where an issuer's records are: Caddy's storage. Storage modules are
// other people's code, so whoever uses a store does it in a goroutine that
// recovers and that nobody waits for without limit; see flights.
type store struct {
	storage certmagic.Storage
	issuer  string
}

func (i *Issuer) store() store { return store{storage: i.storage(), issuer: i.name} }

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
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]), true
}

// load gives a family's record, nil when there is none.
func (s store) load(ctx context.Context, of lineage) (*record, error) {
	return s.loadName(ctx, s.name(of))
}

func (s store) loadName(ctx context.Context, name string) (*record, error) {
	b, err := s.storage.Load(ctx, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("loading the record: %w", err)
	case len(b) == 0:
		return nil, nil // what a no-op storage gives
	case len(b) > maxRecord:
		return nil, fmt.Errorf("reading the record: %w", errDamaged)
	}
	r, err := decodeRecord(b)
	if err != nil {
		return nil, fmt.Errorf("reading the record: %w", err)
	}
	return r, nil
}

func (s store) save(ctx context.Context, of lineage, r *record) error {
	b, err := r.encode()
	if err != nil {
		return fmt.Errorf("encoding the record: %w", err)
	}
	if err := s.storage.Store(ctx, s.name(of), b); err != nil {
		return fmt.Errorf("storing the record: %w", err)
	}
	return nil
}
