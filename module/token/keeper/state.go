package keeper

import (
	"time"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// State tells how the source is doing. It never waits for a renewal.
func (k *Keeper) State() token.State {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	s := token.State{Name: k.policy.Name, Static: k.static(), LastExchange: k.exchange}
	t := k.current.Load()
	valid := t.Valid(now)
	if valid {
		s.Generation, s.Obtained, s.Expires, s.Fingerprint = t.Generation, t.Obtained, t.Expires, t.Fingerprint()
	}
	if k.lastErr != nil {
		s.LastError = k.lastErr.Error()
	}
	hold, cause := k.backoffLeft(now)
	switch {
	case hold > 0:
		s.NextAttempt = now.Add(hold)
		if valid {
			s.NextAttempt = later(s.NextAttempt, k.due)
		}
		if s.LastError == "" {
			s.LastError = cause.Error()
		}
	case valid && !s.Static:
		s.NextAttempt = k.due
	}
	s.Phase = k.phase(valid, hold > 0, now)
	return s
}

func (k *Keeper) phase(valid, held bool, now time.Time) string {
	switch {
	case k.static():
		return "fresh"
	case k.inflight != nil && valid:
		return "renewing"
	case k.inflight != nil:
		return "obtaining"
	case held || k.failures > 0:
		return "failing"
	case !valid:
		return "none"
	case k.inWindow(now):
		return "due"
	default:
		return "fresh"
	}
}
