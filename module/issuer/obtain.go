package issuer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strconv"
	"time"
)

// Obtain signs a client in: {app_key, timestamp, sign}, where timestamp is Unix
// time in milliseconds (13 digits) or seconds (10 digits), within 300 s, and sign
// the lower-case hex MD5 of app_key, timestamp and app_secret, one after the
// other. Each signature is good once.
//
// The error is ErrRefused, ErrUnavailable, or the context's.
func (i *Issuer) Obtain(ctx context.Context, params map[string]any) (*Pair, error) {
	pair, c, err := i.obtain(ctx, params)
	return pair, i.outcome(ctx, "obtain", c, err)
}

func (i *Issuer) obtain(ctx context.Context, params map[string]any) (*Pair, *client, error) {
	key, keyOK := params["app_key"].(string)
	sign, signOK := params["sign"].(string)
	timestamp, at, timeOK := parseTimestamp(params["timestamp"])
	if !keyOK || !signOK || !timeOK || !appKey.MatchString(key) {
		return nil, nil, errMalformed
	}
	c, with := i.clients.signer(key, timestamp, sign)
	switch {
	case c == nil:
		return nil, nil, errUnknownClient
	case with == nil:
		return nil, c, errWrongSign
	}
	if off := time.Since(at).Round(0); off > window || off < -window {
		return nil, c, errWrongTime
	}
	of := lineage{client: c.id, family: newFamily(at, sign)}
	if !i.state.guard.first(of) {
		return nil, c, errReplayed
	}
	pair, err := i.state.works.do(ctx, workKey{lineage: of}, func(ctx context.Context) (*Pair, error) {
		pair, err := i.begin(ctx, of, with)
		if err != nil && !errors.Is(err, errReplayed) {
			i.state.guard.forget(of) // the storage failed: the client may try again
		}
		return pair, err
	})
	switch {
	case err == nil:
		i.sweep()
	case errors.Is(err, errBusy):
		i.state.guard.forget(of)
	}
	return pair, c, err
}

// newFamily names the family that a signature begins. The same signature names
// the same family, on every instance: its record is what makes a replay known.
func newFamily(at time.Time, sign string) (id familyID) {
	binary.BigEndian.PutUint32(id[:], uint32(at.Unix()/3600)) //nolint:gosec // within 300 s of now
	sum := sha256.Sum256([]byte("switchboard issuer family\x00" + sign))
	copy(id[4:], sum[:])
	return id
}

// begin writes the first record of a family, and makes the pair then: no token
// is out that the storage doesn't know.
func (i *Issuer) begin(ctx context.Context, of lineage, with *secret) (*Pair, error) {
	st := i.store()
	defer i.state.lock(ctx, st, of)()
	switch old, err := st.load(ctx, of); {
	case err != nil:
		return nil, err
	case old != nil:
		return nil, errReplayed
	}
	now := time.Now()
	rec := firstRecord(now, i.lifetime())
	if err := st.save(ctx, of, rec); err != nil {
		return nil, err
	}
	i.state.family(of).learn(rec, time.Now())
	return rec.pair(of, with, now), nil
}

// parseTimestamp takes 13 digits as milliseconds and 10 as seconds. The digits
// are returned as the client wrote them, for that is what it signed.
func parseTimestamp(v any) (digits string, at time.Time, ok bool) {
	switch v := v.(type) {
	case string:
		digits = v
	case json.Number:
		digits = v.String()
	}
	for n := range len(digits) {
		if digits[n] < '0' || digits[n] > '9' {
			return "", at, false
		}
	}
	switch n, _ := strconv.ParseInt(digits, 10, 64); len(digits) {
	case 13:
		return digits, time.UnixMilli(n), true
	case 10:
		return digits, time.Unix(n, 0), true
	default:
		return "", at, false
	}
}
