package keeper

import (
	"context"
	"time"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// renew is one renewal, from looking into the vault to publishing a token.
// The vault comes first: a token that another instance or an earlier process
// got costs no call. The lock keeps instances apart where it can; what
// makes the renewal right without it is reading again at each turn.
func (k *Keeper) renew(ctx context.Context, f *inflight) outcome {
	v := k.awaitStore(ctx)
	if o, done := k.checkStore(ctx, v, f); done {
		return o
	}
	if v != nil {
		unlock, o, done := k.acquireLock(ctx, v, f)
		if done {
			return o
		}
		defer unlock()
		if o, done := k.waitTurn(ctx, v, f); done {
			return o
		}
	}
	return k.requestToken(ctx, v, f)
}

// vault gives the vault, after the first Attach or a grace for it.
func (k *Keeper) awaitStore(ctx context.Context) *store {
	select {
	case <-k.attached:
	default:
		t := time.NewTimer(attachGrace)
		defer t.Stop()
		select {
		case <-k.attached:
		case <-t.C:
		case <-ctx.Done():
		}
	}
	return k.env.Load().store
}

// look reads the vault, adopts what is newer, and tells whether that settles
// the matter.
func (k *Keeper) checkStore(ctx context.Context, v *store, f *inflight) (outcome, bool) {
	adopted := k.loadStored(ctx, v)
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	r := &k.record
	if t := k.current.Load(); t.Valid(now) {
		if r.Generation > f.replaces {
			return outcome{how: howAdopt, token: adopted}, true
		}
		if !f.forced && k.sinceMark(now) < k.policy.Timeout {
			return outcome{how: howAdopt, err: errElsewhere}, true
		}
	}
	if wait, _ := k.backoffLeft(now); wait > 0 && !f.forced {
		return outcome{how: howAdopt, err: errTooEarly}, true
	}
	return outcome{}, false
}

// publish serves a record's token. The caller holds k.mu.
func (k *Keeper) publish(r record) *token.Token {
	now := k.now()
	t := r.token()
	k.record = r
	k.endBackoff()
	k.refusals.published(&r, k.current.Load(), now)
	k.due = startWithin(windowStart(r.Obtained, r.Expires, &k.policy), r.Expires, now, k.random())
	k.wanted = true
	k.current.Store(t)
	close(k.changed)
	k.changed = make(chan struct{})
	k.wakeLoop()
	return t
}
