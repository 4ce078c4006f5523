package keeper

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/module/storage"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// recordVersion is written into every record; another version is not read.
const recordVersion = 1

const (
	// youngDeath is the age below which a death says nothing about lifetimes,
	// but something about another system that signs in with our credentials.
	youngDeath = time.Minute
	// learnedFor is how long a learned lifetime counts after the last early
	// death: an API that lost its tokens in a restart is not held to it forever.
	learnedFor = 24 * time.Hour
)

// record is all that a keeper knows of its source. The store holds it sealed,
// so a restart goes on where the last process stopped, and a fleet shares it.
type record struct {
	Version    int            `json:"version"`
	Generation uint64         `json:"generation"`
	Obtained   time.Time      `json:"obtained,omitzero"`
	Expires    time.Time      `json:"expires,omitzero"`
	Access     string         `json:"access,omitempty"`
	Refresh    string         `json:"refresh,omitempty"`
	Keep       map[string]any `json:"keep,omitzero"`
	// Assumed: the endpoint stated no lifetime.
	Assumed bool `json:"assumed,omitempty"`
	// Spent is when the refresh token was sent last. Unless the answer came and
	// cleared it, the token counts as used up.
	Spent time.Time `json:"spent,omitzero"`
	// CallAt is when an instance last began a call for a new token, CallBy which
	// one. Where the storage's lock excludes nobody, this mark keeps the others
	// back.
	CallAt time.Time `json:"asking,omitzero"`
	CallBy string    `json:"asker,omitempty"`
	// Dead: the API has refused this generation; it isn't served any more.
	Dead bool `json:"dead,omitempty"`
	// Suspect: the API has refused this generation, but tokens were renewed too
	// often for that. It is served, and replaced after a pause.
	Suspect bool `json:"suspect,omitempty"`
	// Died is when a refused token was last replaced.
	Died time.Time `json:"died,omitzero"`
	// Deaths counts early deaths in a row.
	Deaths int `json:"deaths,omitempty"`
	// Learned is the lifetime that early deaths taught, LearnedAt when.
	Learned   time.Duration `json:"learned,omitempty"`
	LearnedAt time.Time     `json:"learned_at,omitzero"`
	// RefusedUntil is when signing in may be tried again after RefusedCount
	// refusals in a row.
	RefusedUntil time.Time `json:"refused_until,omitzero"`
	RefusedCount int       `json:"refused_count,omitempty"`
	// Skew is what to add to this machine's clock to get the endpoint's.
	Skew time.Duration `json:"skew,omitempty"`
}

func (r *record) encode() ([]byte, error) {
	c := *r
	c.Version = recordVersion
	return json.Marshal(&c)
}

func decodeRecord(b []byte) (*record, error) {
	return storage.Decode(b, recordVersion, func(r *record) int { return r.Version })
}

// valid reports whether the record's token may be served.
func (r *record) valid(now time.Time) bool {
	return r != nil && r.Access != "" && !r.Dead && now.Before(r.Expires)
}

// newer reports whether r came after old. Without an excluding lock two
// instances can make the same generation; then the stored one wins.
func (r *record) newer(old *record) bool {
	return r.Generation > old.Generation || r.Generation == old.Generation && r.Access != old.Access
}

func (r *record) token() *token.Token {
	return &token.Token{
		Access:     r.Access,
		Generation: r.Generation,
		Obtained:   r.Obtained,
		Expires:    r.Expires,
		Keep:       r.Keep,
	}
}

// merge takes over from a stored record of the same generation what another
// instance found out meanwhile.
func (r *record) merge(stored *record) {
	if stored.Refresh == r.Refresh {
		r.Spent = later(r.Spent, stored.Spent)
	}
	r.CallAt, r.CallBy = stored.CallAt, stored.CallBy // whoever wrote last
	if stored.RefusedUntil.After(r.RefusedUntil) {
		r.RefusedUntil, r.RefusedCount = stored.RefusedUntil, stored.RefusedCount
	}
}

// markDead notes that the token is dead because the API refused it, and returns the
// lifetime that this teaches, or 0. A death that isn't sure teaches nothing.
func (r *record) markDead(now time.Time, sure bool) time.Duration {
	r.Dead = true
	age, lifetime := now.Sub(r.Obtained), r.Expires.Sub(r.Obtained)
	if !sure || age < youngDeath || age >= lifetime/10*8 {
		return 0
	}
	r.Deaths++
	if !r.Assumed && r.Deaths < 2 {
		return 0 // what the endpoint stated isn't doubted for one death
	}
	r.Learned, r.LearnedAt = age/10*9, now
	return r.Learned
}

// params are those of a token call.
func (r *record) params(skew time.Duration) token.Params {
	return token.Params{Access: r.Access, Refresh: r.Refresh, Skew: skew, Refused: r.Dead || r.Suspect}
}

// short reports whether the token lives for less than a lifetime may be.
func (r *record) short() bool {
	return r.Access != "" && r.Expires.Sub(r.Obtained) < token.MinLifetime
}

// successor is the record of a grant that was asked for at the given time.
func (r *record) successor(g token.Grant, how string, asked time.Time, p *token.Policy) record {
	n := record{
		Obtained: asked, Access: g.Access, Refresh: g.Refresh, Keep: g.Keep,
		Died: r.Died, Skew: r.Skew,
	}
	if g.Refresh == "" && how == howRefresh {
		n.Refresh = r.Refresh // not rotated, so it goes on (RFC 6749, section 6)
	}
	if asked.Sub(r.LearnedAt) < learnedFor {
		n.Learned, n.LearnedAt = r.Learned, r.LearnedAt
	}
	if r.Dead || r.Suspect {
		n.Died, n.Deaths = asked, r.Deaths
	}
	n.Expires, n.Assumed = expiry(g, p, asked, r.Skew)
	if n.Learned > 0 {
		n.Expires = earlier(n.Expires, asked.Add(n.Learned))
	}
	return n
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

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

// storeAndPublish makes a grant's record the current one. It is stored before it is
// served, and not at all when another instance has stored a token that
// was asked for after this one. A token asked for before it is replaced:
// where each token call ends the token before, ours is the one that lives.
func (k *Keeper) storeAndPublish(ctx context.Context, st *store, prev, r record, how string) outcome {
	adopted := k.loadStored(ctx, st)
	k.mu.Lock()
	if t := k.current.Load(); k.record.newer(&prev) && t.Valid(k.now()) && !k.record.Obtained.Before(r.Obtained) {
		k.mu.Unlock()
		return outcome{how: howAdopt, token: adopted}
	}
	r.Generation = max(k.record.Generation, k.seen) + 1
	k.mu.Unlock()

	err := k.saveRecord(ctx, st, r)
	k.mu.Lock()
	t := k.publish(r)
	k.mu.Unlock()
	if err != nil && !errors.Is(err, errNoStorage) {
		k.env.Load().Logger.Error("token not stored; it is kept in memory and would be lost in a restart", zap.Error(err))
	}
	return outcome{how: how, token: t}
}

// saveRecord stores a record, unless the store holds a later one.
func (k *Keeper) saveRecord(ctx context.Context, st *store, r record) error {
	k.mu.Lock()
	late := r.Generation < k.seen
	k.unsaved = k.unsaved && !late
	k.mu.Unlock()
	if late {
		return nil
	}
	err := st.save(ctx, &r)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unsaved = err != nil
	k.saveAt = k.now().Add(saveRetry)
	if err == nil {
		k.seen = r.Generation
	}
	return err
}

// updateRecord changes the current record and stores it. It reports whether it is
// stored. If it isn't, that is only logged: what was changed is a courtesy to other
// instances and to the next process.
func (k *Keeper) updateRecord(ctx context.Context, st *store, failure string, change func(*record)) bool {
	k.mu.Lock()
	change(&k.record)
	r := k.record
	k.mu.Unlock()
	err := k.saveRecord(ctx, st, r)
	if err != nil && !errors.Is(err, errNoStorage) {
		k.env.Load().Logger.Debug(failure, zap.Error(err))
	}
	return err == nil
}

// retrySave stores the record that couldn't be stored before.
func (k *Keeper) retrySave(ctx context.Context, _ *inflight) outcome {
	st := k.awaitStore(ctx)
	if adopted := k.loadStored(ctx, st); adopted != nil {
		return outcome{how: howAdopt, token: adopted}
	}
	k.mu.Lock()
	r, unsaved := k.record, k.unsaved
	k.mu.Unlock()
	if !unsaved {
		return outcome{} // it is there already
	}
	log := k.env.Load().Logger
	switch err := k.saveRecord(ctx, st, r); {
	case err == nil:
		log.Info("token stored at last", zap.Uint64("generation", r.Generation))
	case !errors.Is(err, errNoStorage):
		log.Warn("token still not stored", zap.Error(err))
	}
	return outcome{}
}

func (k *Keeper) snapshot() record {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.record
}
