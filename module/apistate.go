package module

import (
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// standings outlive a reload: what an operator holds stays held.
var standings = caddy.NewUsagePool()

// Standing is how an API stands with its callers: whether an operator holds it,
// and whether its answers are real. There is one for each name, which a reload
// keeps and a restart doesn't.
type Standing struct {
	name string
	held atomic.Bool
	degraded
	traffic  traffic
	failures failures
}

// Destruct implements [caddy.Destructor].
func (s *Standing) Destruct() error {
	s.stop()
	return nil
}

// Held tells whether an operator holds the API: it is not to be called.
func (s *Standing) Held() bool { return s != nil && s.held.Load() }

// standingsOf are those that a configuration holds.
type standingsOf struct {
	mu   sync.Mutex
	held map[string]*Standing
}

// Standing returns that of an API. A handler calls it in its Provision.
func (a *App) Standing(name string) *Standing {
	a.standings.mu.Lock()
	defer a.standings.mu.Unlock()
	if s, ok := a.standings.held[name]; ok {
		return s
	}
	value, _, _ := standings.LoadOrNew(name, func() (caddy.Destructor, error) { return &Standing{name: name}, nil })
	s := value.(*Standing)
	if a.standings.held == nil {
		a.standings.held = make(map[string]*Standing)
	}
	a.standings.held[name] = s
	return s
}

// find returns that of an API, nil when no handler has asked for it.
func (h *standingsOf) find(name string) *Standing {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held[name]
}

// release lets the standings go. It is called again after a failed Provision.
func (h *standingsOf) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name := range h.held {
		_, _ = standings.Delete(name)
	}
	h.held = nil
}

// all returns the standings, in no order.
func (h *standingsOf) all() []*Standing {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]*Standing, 0, len(h.held))
	for _, s := range h.held {
		list = append(list, s)
	}
	return list
}

// hold stops calls of an API until it is released, or the process ends. Cached
// answers are served meanwhile.
func (a *App) hold(s *Standing, held bool) {
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
