package issuer

import (
	"context"
	"errors"
	"math/rand/v2"
	"path"
	"time"

	"go.uber.org/zap"
)

const (
	sweepEvery = 15 * time.Minute
	sweepLimit = time.Minute
	// mostSwept bounds the records that one sweep reads.
	mostSwept = 1000
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
		err := recovered(func() (err error) {
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
	names, err := s.storage.List(ctx, path.Clean(storePrefix), true)
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
	for _, name := range old[:min(len(old), mostSwept)] {
		r, err := s.loadName(ctx, name)
		over := errors.Is(err, errDamaged) || err == nil && r != nil && r.Until <= now.UnixMilli()
		if !over {
			continue
		}
		if err := s.storage.Delete(ctx, name); err != nil {
			return gone, err
		}
		gone++
	}
	return gone, nil
}
