package token

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
)

// saveRetry is when to try again to store a record.
const saveRetry = 30 * time.Second

// store makes a grant's record the current one. It is stored before it is
// served, and not at all when another instance has stored a token that
// was asked for after this one. A token asked for before it is replaced:
// where each token call ends the token before, ours is the one that lives.
func (k *Keeper) store(ctx context.Context, v *vault, prev, r record, how string) outcome {
	adopted := k.read(ctx, v)
	k.mu.Lock()
	if t := k.current.Load(); k.record.newer(&prev) && t.Valid(k.now()) && !k.record.Obtained.Before(r.Obtained) {
		k.mu.Unlock()
		return outcome{how: howAdopt, token: adopted}
	}
	r.Generation = max(k.record.Generation, k.seen) + 1
	k.mu.Unlock()

	err := k.save(ctx, v, r)
	k.mu.Lock()
	t := k.publish(r)
	k.mu.Unlock()
	if err != nil && !errors.Is(err, errNoStorage) {
		k.around.Load().Logger.Error("token not stored; it is kept in memory and would be lost in a restart", zap.Error(err))
	}
	return outcome{how: how, token: t}
}

// save writes a record into the vault, unless the vault holds a later one.
func (k *Keeper) save(ctx context.Context, v *vault, r record) error {
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
func (k *Keeper) resave(ctx context.Context, _ *flight) outcome {
	v := k.vault(ctx)
	if adopted := k.read(ctx, v); adopted != nil {
		return outcome{how: howAdopt, token: adopted}
	}
	k.mu.Lock()
	r, unsaved := k.record, k.unsaved
	k.mu.Unlock()
	if !unsaved {
		return outcome{} // it is there already
	}
	log := k.around.Load().Logger
	switch err := k.save(ctx, v, r); {
	case err == nil:
		log.Info("token stored at last", zap.Uint64("generation", r.Generation))
	case !errors.Is(err, errNoStorage):
		log.Warn("token still not stored", zap.Error(err))
	}
	return outcome{}
}
