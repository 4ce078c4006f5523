package issuer

import (
	"time"

	"github.com/switchboard-ivr/switchboard/module/storage"
)

const (
	// overlap is how long the access token before still works after a refresh:
	// calls that are under way, and phone flows that hold it, end in peace.
	overlap = time.Minute
	// grace is how long the same refresh token returns the same new pair again: its
	// answer may be lost.
	grace = 30 * time.Second
	// refreshExtra is how much longer than the access token a refresh token is
	// good.
	refreshExtra = 24 * time.Hour
)

// record is what all instances know of a family. It is in the storage, and
// holds nothing that opens anything: tokens are made again from it and the
// client's secret. What it says counts, not what the token says: a client can
// make tokens with its own secret, but no record.
//
// Times are Unix milliseconds, so that they survive the storage exactly.
type record struct {
	Version int `json:"version"`
	// Generation is the number of the current pair; the first is 1.
	Generation uint32 `json:"generation"`
	// Issued is when the current pair was made, and the refresh token before was
	// spent.
	Issued int64 `json:"issued"`
	// Expires is the end of the current access token, Until the one of the
	// current refresh token and of the record.
	Expires int64 `json:"expires"`
	Until   int64 `json:"until"`
	// Before is the end of the access token before.
	Before int64 `json:"before,omitempty"`
	// Revoked: a refresh token was used again. Nothing of the family works.
	Revoked bool `json:"revoked,omitempty"`
}

const recordVersion = 1

// next is the record after a refresh, or the first one after none.
func (r *record) next(now time.Time, lifetime time.Duration) *record {
	return &record{
		Version:    recordVersion,
		Generation: r.Generation + 1,
		Issued:     now.UnixMilli(),
		Expires:    now.Add(lifetime).UnixMilli(),
		Until:      now.Add(lifetime + refreshExtra).UnixMilli(),
		Before:     min(r.Expires, now.Add(overlap).UnixMilli()),
	}
}

// revoked is the record after a reuse.
func (r *record) revoked() *record {
	c := *r
	c.Revoked = true
	return &c
}

// admits returns why an access token doesn't work, or nil. A nil record is one
// that isn't in the storage.
func (r *record) admits(t *issued, now time.Time) error {
	at := now.UnixMilli()
	switch {
	case r == nil:
		return errUnknownFamily
	case r.Revoked:
		return errRevoked
	case t.generation() == r.Generation && at < r.Expires:
		return nil
	case t.generation() == r.Generation:
		return errExpired
	case t.generation()+1 == r.Generation && at < r.Before:
		return nil
	default:
		return errSuperseded
	}
}

// decision is what a refresh token is good for.
type decision int

const (
	refuse decision = iota
	rotate          // a new pair
	repeat          // the current pair, once more
	revoke          // the end of the family
)

// decide returns what a refresh token is good for, and why not.
func (r *record) decide(t *issued, now time.Time) (decision, error) {
	at := now.UnixMilli()
	switch {
	case r == nil:
		return refuse, errUnknownFamily
	case r.Revoked:
		return refuse, errRevoked
	case t.generation() > r.Generation:
		return refuse, errUnknownGeneration
	case t.generation() == r.Generation && at < r.Until:
		return rotate, nil
	case t.generation() == r.Generation:
		return refuse, errExpired
	case t.generation()+1 == r.Generation && at <= r.Issued+grace.Milliseconds():
		return repeat, nil
	default:
		return revoke, errReused
	}
}

// pair makes the record's pair.
func (r *record) pair(of lineage, with *secret, now time.Time) *Pair {
	return &Pair{
		AccessToken:  mint(accessToken, of, r.Generation, time.UnixMilli(r.Expires), with),
		RefreshToken: mint(refreshToken, of, r.Generation, time.UnixMilli(r.Until), with),
		ExpiresIn:    max(0, (r.Expires-now.UnixMilli())/1000),
	}
}

func decodeRecord(b []byte) (*record, error) {
	r, err := storage.Decode(b, recordVersion, func(r *record) int { return r.Version })
	if err == nil && r.Generation == 0 {
		return nil, storage.ErrDamaged
	}
	return r, err
}
