package issuer

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// mostFamilies bounds the families that are remembered. One that was forgotten
// is read from the storage again.
const mostFamilies = 10_000

// state is what an issuer remembers from one request to the next. All of it can
// be forgotten: the storage knows better.
type state struct {
	guard guard
	works flights[workKey, *Pair]
	loose atomic.Int32 // locks and unlocks that nobody waits for
	reads atomic.Int32 // of records, under way
	swept atomic.Int64 // Unix nanoseconds of the last sweep's begin

	mu       sync.RWMutex
	families map[lineage]*family
}

// workKey tells pieces of work apart: a refresh by the generation that it
// replaces; 0 is the obtain.
type workKey struct {
	lineage    lineage
	generation uint32
}

func newState() *state {
	return &state{families: make(map[lineage]*family)}
}

// Destruct implements caddy.Destructor. Nothing has to be closed, so that
// requests in flight may go on.
func (s *state) Destruct() error { return nil }

// family gives the entry of a family, a new one if need be.
func (s *state) family(of lineage) *family {
	s.mu.RLock()
	f := s.families[of]
	s.mu.RUnlock()
	if f != nil {
		return f
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.families[of]; f != nil {
		return f
	}
	if len(s.families) >= mostFamilies {
		s.forgetSome()
	}
	f = &family{turn: make(chan struct{}, 1)}
	s.families[of] = f
	return f
}

// forgetSome drops an eighth of the families, first those that are over. The
// caller holds mu.
func (s *state) forgetSome() {
	now := time.Now().UnixMilli()
	for of, f := range s.families {
		if k := f.known.Load(); k != nil && (k.record == nil || k.record.Until <= now) {
			delete(s.families, of)
		}
	}
	for of := range s.families {
		if len(s.families) <= mostFamilies/8*7 {
			return
		}
		delete(s.families, of)
	}
}

// Interface guards
var _ caddy.Destructor = (*state)(nil)
