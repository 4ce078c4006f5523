package token

import "time"

// State is what can be told of a keeper: for the admin API, metrics and the
// readiness matcher. It holds no secret.
type State struct {
	Name string
	// Phase is "none", "obtaining", "fresh", "due" (inside the window),
	// "renewing", or "failing" (between attempts; a valid token may be held).
	Phase string
	// Generation, Obtained, Expires and Fingerprint are those of the token that
	// is served; zero when there is none.
	Generation        uint64
	Obtained, Expires time.Time
	Fingerprint       string
	// NextAttempt is when the next renewal is planned, also while the source is
	// failing; zero when none is.
	NextAttempt time.Time
	// LastExchange is the last call of the token endpoint, masked; nil before the
	// first.
	LastExchange *Exchange
	// LastError is why the last renewal failed; "" after a success.
	LastError string
	// Static: the token is configured and never renewed.
	Static bool
}

// State tells how the source is doing. It never waits for a renewal.
func (k *Keeper) State() State {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	s := State{Name: k.policy.name, Static: k.static(), LastExchange: k.exchange}
	t := k.current.Load()
	valid := t.Valid(now)
	if valid {
		s.Generation, s.Obtained, s.Expires, s.Fingerprint = t.Generation, t.Obtained, t.Expires, t.Fingerprint()
	}
	if k.lastErr != nil {
		s.LastError = k.lastErr.Error()
	}
	hold, cause := k.hold(now)
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
	case k.flight != nil && valid:
		return "renewing"
	case k.flight != nil:
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
