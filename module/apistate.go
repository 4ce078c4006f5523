package switchboard

import (
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// standings outlive a reload: what an operator holds stays held.
var apiStatePool = caddy.NewUsagePool()

// Standing is how an API stands with its callers: whether an operator holds it,
// and whether its answers are real. There is one for each name, which a reload
// keeps and a restart doesn't.
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

// Held tells whether an operator holds the API: it is not to be called.
func (s *APIState) Held() bool { return s != nil && s.held.Load() }

// standingsOf are those that a configuration holds.
type apiStates struct {
	mu   sync.Mutex
	held map[string]*APIState
}

// Standing returns that of an API. A handler calls it in its Provision.
func (a *App) APIState(name string) *APIState {
	a.apiStates.mu.Lock()
	defer a.apiStates.mu.Unlock()
	if s, ok := a.apiStates.held[name]; ok {
		return s
	}
	value, _, _ := apiStatePool.LoadOrNew(name, func() (caddy.Destructor, error) { return &APIState{name: name}, nil })
	s := value.(*APIState)
	if a.apiStates.held == nil {
		a.apiStates.held = make(map[string]*APIState)
	}
	a.apiStates.held[name] = s
	return s
}

// find returns that of an API, nil when no handler has asked for it.
func (h *apiStates) find(name string) *APIState {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held[name]
}

// release lets the standings go. It is called again after a failed Provision.
func (h *apiStates) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name := range h.held {
		_, _ = apiStatePool.Delete(name)
	}
	h.held = nil
}

// all returns the standings, in no order.
func (h *apiStates) all() []*APIState {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]*APIState, 0, len(h.held))
	for _, s := range h.held {
		list = append(list, s)
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
