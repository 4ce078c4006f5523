package switchboard

import (
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/pool"
)

// apiStatePool keeps the states over a reload: an API that an operator holds stays held.
var apiStatePool = pool.New[*APIState]()

// APIState is the runtime state of one API: held, degraded, its last hour and its last
// failures. There is one for each name. It survives reloads, but not restarts.
type APIState struct {
	name string
	held atomic.Bool
	degraded
	traffic  traffic
	failures failures
}

// Destruct implements [caddy.Destructor].
func (s *APIState) Destruct() error {
	s.stop()
	return nil
}

// Held reports whether an operator holds the API, so that it isn't called.
func (s *APIState) Held() bool { return s != nil && s.held.Load() }

// apiStates are the states that a configuration holds.
type apiStates struct {
	mu   sync.Mutex
	held map[string]*pool.Held[*APIState]
}

// APIState returns the state of an API. A handler calls it in its Provision.
func (a *App) APIState(name string) *APIState {
	a.apiStates.mu.Lock()
	defer a.apiStates.mu.Unlock()
	held := a.apiStates.held[name]
	if held == nil {
		held, _ = apiStatePool.Hold(name, func() (*APIState, error) { return &APIState{name: name}, nil }) // no error can come
		if a.apiStates.held == nil {
			a.apiStates.held = make(map[string]*pool.Held[*APIState])
		}
		a.apiStates.held[name] = held
	}
	return held.Value
}

// find returns the state of an API, nil when no handler has asked for it.
func (h *apiStates) find(name string) *APIState {
	h.mu.Lock()
	defer h.mu.Unlock()
	if held := h.held[name]; held != nil {
		return held.Value
	}
	return nil
}

// release releases all states.
func (h *apiStates) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, held := range h.held {
		held.Release()
	}
}

// all returns the states, in no order.
func (h *apiStates) all() []*APIState {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]*APIState, 0, len(h.held))
	for _, held := range h.held {
		list = append(list, held.Value)
	}
	return list
}

// hold stops calls of an API until it is released, or the process ends. Cached
// answers are served meanwhile.
func (a *App) hold(s *APIState, held bool) {
	s.turning.Lock()
	defer s.turning.Unlock()
	if !s.held.CompareAndSwap(!held, held) {
		return
	}
	word := "held"
	if !held {
		word = "released"
	}
	a.logger.Warn("an operator has "+word+" an api", zap.String("api", s.name))
	a.events.emit(EventAPIHeld, map[string]any{"api": s.name, "held": held})
}

// keptFailures is how many calls of an API are kept that had no answer of its own.
const keptFailures = 50

// failures are the last of them, masked. They are in memory alone.
type failures struct {
	mu   sync.Mutex
	ring [keptFailures]adminapi.Trace
	next int
	n    int
}

// Failed keeps a call that had no answer of the API's own.
func (s *APIState) Failed(t adminapi.Trace) {
	f := &s.failures
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ring[f.next] = t
	f.next = (f.next + 1) % keptFailures
	f.n = min(f.n+1, keptFailures)
}

// Failures returns those that are kept, newest first; those of one phone call, when
// its id is given.
func (s *APIState) Failures(callID string) []adminapi.Trace {
	f := &s.failures
	f.mu.Lock()
	defer f.mu.Unlock()
	found := make([]adminapi.Trace, 0, f.n)
	for i := range f.n {
		t := f.ring[(f.next-1-i+2*keptFailures)%keptFailures]
		if callID == "" || t.CallID == callID {
			found = append(found, t)
		}
	}
	return found
}
