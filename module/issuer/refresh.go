package issuer

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// Refresh gives a new pair for {refresh_token}, once. The same refresh token
// gives the same new pair for 30 s more, to a client that lost the answer. Used
// after that, it ends the whole family: two have it, and nobody knows which of
// them stole it (RFC 9700, section 4.14.2).
//
// The error is ErrRefused, ErrUnavailable, or the context's.
func (i *Issuer) Refresh(ctx context.Context, params map[string]any) (*Pair, error) {
	pair, c, err := i.refresh(ctx, params)
	return pair, i.outcome(ctx, "refresh", c, err)
}

func (i *Issuer) refresh(ctx context.Context, params map[string]any) (*Pair, *client, error) {
	raw, _ := params["refresh_token"].(string)
	t, c, with, err := i.verify(raw, refreshToken)
	if err != nil {
		return nil, c, err
	}
	key := workKey{lineage: t.lineage(), generation: t.generation()}
	pair, err := i.state.works.do(ctx, key, func(ctx context.Context) (*Pair, error) {
		return i.renew(ctx, &t, c, with)
	})
	return pair, c, err
}

// renew decides on a refresh token by the family's record. One at a time does
// so in this process, and, where the storage has a lock, in the fleet. Without
// one, two instances may both make the next generation; it is the same one, so
// both pairs work.
func (i *Issuer) renew(ctx context.Context, t *token, c *client, with *secret) (*Pair, error) {
	st, of := i.store(), t.lineage()
	f := i.state.family(of)
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer i.state.lock(ctx, st, of)()

	began := time.Now()
	rec, err := st.load(ctx, of)
	if err != nil {
		return nil, err
	}
	rec = f.learn(rec, began)
	now := time.Now()
	switch verdict, why := rec.judge(t, now); verdict {
	case rotate:
		rec = rec.next(now, i.lifetime())
		if err := st.save(ctx, of, rec); err != nil {
			return nil, err
		}
		f.learn(rec, time.Now())
		return rec.pair(of, with, now), nil
	case repeat:
		return rec.pair(of, with, now), nil
	case revoke:
		rec = rec.revoked()
		f.learn(rec, time.Now())
		if err := st.save(ctx, of, rec); err != nil {
			i.logger.Error("revocation not stored: other instances go on taking the tokens",
				zap.String("client", c.key), zap.Error(err))
		}
		return nil, why
	default:
		return nil, why
	}
}
