package issuer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Obtain signs a client in: {app_key, timestamp, sign}, where timestamp is Unix
// time in milliseconds (13 digits) or seconds (10 digits), within 300 s, and sign
// the lower-case hex MD5 of app_key, timestamp and app_secret, one after the
// other. Each signature is good once.
//
// The error is ErrRefused, ErrUnavailable, or the context's.
func (i *Issuer) Obtain(ctx context.Context, params map[string]any) (*Pair, error) {
	pair, c, err := i.obtain(ctx, params)
	return pair, i.logResult(ctx, "obtain", c, err)
}

func (i *Issuer) obtain(ctx context.Context, params map[string]any) (*Pair, *client, error) {
	key, keyOK := params["app_key"].(string)
	sign, signOK := params["sign"].(string)
	timestamp, at, timeOK := parseTimestamp(params["timestamp"])
	if !keyOK || !signOK || !timeOK || !appKey.MatchString(key) {
		return nil, nil, errMalformed
	}
	c, with := i.clients.verifySign(key, timestamp, sign)
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
	pair, err := i.state.work(ctx, of, 0, func(ctx context.Context) (*Pair, error) {
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
	defer st.lock(ctx, of)()
	switch old, err := st.load(ctx, of); {
	case err != nil:
		return nil, err
	case old != nil:
		return nil, errReplayed
	}
	now := time.Now()
	rec := new(record).next(now, i.lifetime())
	if err := st.save(ctx, of, rec); err != nil {
		return nil, err
	}
	i.state.family(of).update(rec, time.Now())
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
	n, _ := strconv.ParseInt(digits, 10, 64)
	switch {
	case strings.Trim(digits, "0123456789") != "":
		return "", at, false
	case len(digits) == 13:
		return digits, time.UnixMilli(n), true
	case len(digits) == 10:
		return digits, time.Unix(n, 0), true
	default:
		return "", at, false
	}
}

// Refresh returns a new pair for {refresh_token}, once. The same refresh token
// gives the same new pair for 30 s more, to a client that lost the answer. Used
// after that, it ends the whole family: two have it, and it is unknown which of
// them stole it (RFC 9700, section 4.14.2).
//
// The error is ErrRefused, ErrUnavailable, or the context's.
func (i *Issuer) Refresh(ctx context.Context, params map[string]any) (*Pair, error) {
	pair, c, err := i.refresh(ctx, params)
	return pair, i.logResult(ctx, "refresh", c, err)
}

func (i *Issuer) refresh(ctx context.Context, params map[string]any) (*Pair, *client, error) {
	raw, _ := params["refresh_token"].(string)
	t, c, with, err := i.verify(raw, refreshToken)
	if err != nil {
		return nil, c, err
	}
	pair, err := i.state.work(ctx, t.lineage(), t.generation(), func(ctx context.Context) (*Pair, error) {
		return i.renew(ctx, &t, c, with)
	})
	return pair, c, err
}

// renew decides on a refresh token by the family's record. One at a time does
// so in this process, and, where the storage has a lock, in the fleet. Without
// one, two instances may both make the next generation; it is the same one, so
// both pairs work.
func (i *Issuer) renew(ctx context.Context, t *issued, c *client, with *secret) (*Pair, error) {
	st, of := i.store(), t.lineage()
	f := i.state.family(of)
	select {
	case f.writing <- struct{}{}:
		defer func() { <-f.writing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer st.lock(ctx, of)()

	began := time.Now()
	rec, err := st.load(ctx, of)
	if err != nil {
		return nil, err
	}
	rec = f.update(rec, began)
	now := time.Now()
	switch decision, why := rec.decide(t, now); decision {
	case rotate:
		rec = rec.next(now, i.lifetime())
		if err := st.save(ctx, of, rec); err != nil {
			return nil, err
		}
		f.update(rec, time.Now())
		return rec.pair(of, with, now), nil
	case repeat:
		return rec.pair(of, with, now), nil
	case revoke:
		rec = rec.revoked()
		f.update(rec, time.Now())
		if err := st.save(ctx, of, rec); err != nil {
			i.logger.Error("revocation not stored: other instances go on taking the tokens",
				zap.String("client", c.key), zap.Error(err))
		}
		return nil, why
	default:
		return nil, why
	}
}

// Pair is what Obtain and Refresh return.
type Pair struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int64  `json:"expires_in"` // seconds that the access token is good
}

// ErrRefused is every refusal. Only the log says why: one answer for all
// keeps an attacker from learning which part was right.
var ErrRefused = errors.New("refused")

// ErrUnavailable says that the storage doesn't answer, so nothing can be decided. The
// client may come again a moment later.
var ErrUnavailable = errors.New("the storage of tokens doesn't answer")

// refusedError is why something was refused, as the log says it. It is never
// part of an answer.
type refusedError string

const (
	errMalformed         refusedError = "malformed"
	errUnknownClient     refusedError = "unknown_client"
	errWrongSign         refusedError = "wrong_sign"
	errWrongTime         refusedError = "wrong_time"
	errReplayed          refusedError = "replayed"
	errForged            refusedError = "forged"
	errWrongKind         refusedError = "wrong_kind"
	errExpired           refusedError = "expired"
	errSuperseded        refusedError = "superseded"
	errReused            refusedError = "reused"
	errUnknownFamily     refusedError = "unknown_family"
	errUnknownGeneration refusedError = "unknown_generation"
	errRevoked           refusedError = "revoked"
)

func (r refusedError) Error() string { return "refused: " + string(r) }

// logResult logs how an obtain or a refresh ended, and returns the error that the
// caller may see. A client is named only when it is one of ours.
func (i *Issuer) logResult(ctx context.Context, what string, c *client, err error) error {
	log := i.logger
	if c != nil {
		log = log.With(zap.String("client", c.key))
	}
	if err == nil {
		log.Debug(what + " granted")
		return nil
	}
	if why, ok := errors.AsType[refusedError](err); ok {
		log.Info(what+" refused", zap.String("reason", string(why)))
		return ErrRefused
	}
	if ctx.Err() != nil {
		return ctx.Err() // nobody waits for the answer
	}
	log.Warn(what+" failed", zap.Error(err))
	return ErrUnavailable
}
