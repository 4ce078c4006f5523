package issuer

import (
	"sync"
	"time"
)

const (
	// window is how far a timestamp may be off, either way.
	window = 300 * time.Second
	// mostSigns bounds each half of a guard's memory. Beyond it the oldest are
	// forgotten, and the storage alone remembers them.
	mostSigns = 50_000
)

// guard remembers which sign-ins were made, for twice the window at least: the
// time from the earliest to the latest moment that a timestamp is good. Only
// right signatures get here, so strangers can't fill it.
//
// The storage remembers them too, as the records of their families. The guard
// is for two that come at the same moment, where the storage has no lock.
type guard struct {
	mu        sync.Mutex
	now, then map[lineage]struct{}
	turned    time.Time
}

// first tells whether a sign-in is made for the first time.
func (g *guard) first(of lineage) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if age := time.Since(g.turned); age >= 2*window || len(g.now) >= mostSigns {
		g.then, g.now, g.turned = g.now, make(map[lineage]struct{}), time.Now()
		if age >= 4*window {
			g.then = nil
		}
	}
	_, inNow := g.now[of]
	_, inThen := g.then[of]
	if inNow || inThen {
		return false
	}
	g.now[of] = struct{}{}
	return true
}

// forget is for a sign-in that came to nothing because the storage failed: it
// may be tried again.
func (g *guard) forget(of lineage) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.now, of)
	delete(g.then, of)
}
