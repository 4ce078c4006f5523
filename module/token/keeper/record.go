package keeper

import (
	"encoding/json"
	"time"

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

// record is all that a keeper knows of its source. The vault holds it sealed,
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
	// Asking is when an instance last began a call for a new token, Asker which
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
	r := new(record)
	if err := storage.Decode(b, r); err != nil {
		return nil, err
	}
	if r.Version != recordVersion {
		return nil, storage.ErrVersion
	}
	return r, nil
}

// valid tells whether the record's token may be served.
func (r *record) valid(now time.Time) bool {
	return r != nil && r.Access != "" && !r.Dead && now.Before(r.Expires)
}

// newer tells whether r came after old. Without an excluding lock two
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

// heed takes over from a stored record of the same generation what another
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

// refuse notes that the token is dead because the API refused it, and returns the
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

// unlearn forgets what a death has taught that turned out to be none.
func (r *record) unlearn() { r.Deaths, r.Learned, r.LearnedAt = 0, 0, time.Time{} }

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
