package module

import (
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/internal/call"
)

// An API that fails every other call must not tell the world so at every other
// call, and one that says no to some callers is well.
const (
	// How long after the last answer that wasn't its own an API's own answer ends
	// the degradation.
	calm = 5 * time.Second
	// How many refusals in a row are as good as no answers.
	manyRefusals = 10
)

// degraded tells whether the answers of an API are its own, or older ones,
// defaults and errors.
type degraded struct {
	on       atomic.Bool
	refusals atomic.Int32 // in a row

	turning sync.Mutex // so that the world is told in order
	last    time.Time  // when an answer was not its own; under turning
}

// Degraded tells whether answers are older ones, defaults or errors.
func (s *Standing) Degraded() bool { return s != nil && s.on.Load() }

// note counts an answer, and calls told when that turns the state. Nobody is told
// of two turns at once.
func (d *degraded) note(outcome call.Outcome, ailing bool, told func(degraded bool)) {
	own := outcome.Answered() && outcome != call.Stale
	switch {
	case outcome.CausedByCaller():
		return // says nothing of the API
	case outcome == call.Rejected && !ailing:
		if d.refusals.Load() < manyRefusals && d.refusals.Add(1) < manyRefusals {
			return
		}
	case own && d.refusals.Load() != 0:
		d.refusals.Store(0)
	}
	if own && !d.on.Load() {
		return // as most calls end
	}
	d.turning.Lock()
	defer d.turning.Unlock()
	now := time.Now()
	if !own {
		d.last = now
	}
	if own && now.Sub(d.last) < calm || !d.on.CompareAndSwap(own, !own) {
		return
	}
	told(!own)
}

// Answered notes how a call of an API ended, and whether its answer shows an
// ailing API. It tells the world when answers turn from real ones to older ones
// and defaults, or back. What says nothing of the API isn't counted: a caller who
// was refused or hung up.
func (a *App) Answered(s *Standing, outcome call.Outcome, ailing bool) {
	s.note(outcome, ailing, func(degraded bool) {
		if degraded {
			a.logger.Warn("answers are no longer the API's own", zap.String("api", s.name), zap.String("outcome", string(outcome)))
		} else {
			a.logger.Info("answers are the API's own again", zap.String("api", s.name))
		}
		a.events.emit(EventAPIDegraded, map[string]any{"api": s.name, "degraded": degraded, "outcome": string(outcome)})
	})
}
