package issuer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/switchboard-ivr/switchboard/module/storage"
)

// maxFamilies bounds the families that are remembered. One that was forgotten
// is read from the storage again.
const maxFamilies = 10_000

// state is what an issuer remembers from one request to the next. All of it can
// be forgotten: the storage knows better.
type state struct {
	guard guard
	works singleflight.Group
	// running is the number of works under way.
	running atomic.Int32
	health  storage.Health
	reads   atomic.Int32 // of records, under way
	swept   atomic.Int64 // Unix nanoseconds of the last sweep's begin

	mu       sync.RWMutex
	families map[lineage]*family
}

const (
	// workLimit bounds one obtain or refresh, whatever the storage does.
	workLimit = 5 * time.Second
	// maxRunning bounds the goroutines that wait for a slow storage, maxLooseLocks the
	// locks that a hanging one is still busy with although nobody waits for them.
	maxRunning    = 256
	maxLooseLocks = 64
)

var errBusy = errors.New("too many requests wait for the storage")

// work returns what f returns for a family, whoever called it: concurrent callers for
// one generation share one call of f. A refresh names the generation that it
// replaces; 0 is the obtain. f has a goroutine of its own: no caller's end ends it, a
// panic in it is an error for everybody, and each caller waits on its own context.
func (s *state) work(ctx context.Context, of lineage, generation uint32, f func(context.Context) (*Pair, error)) (*Pair, error) {
	key := fmt.Sprintf("%x %x %d", of.client, of.family, generation)
	result := s.works.DoChan(key, func() (any, error) { //nolint:forbidigo // what could panic is recovered
		defer s.running.Add(-1)
		if s.running.Add(1) > maxRunning {
			return nil, errBusy
		}
		ctx, cancel := context.WithTimeout(context.Background(), workLimit)
		defer cancel()
		var pair *Pair
		err := storage.Recover(func() (err error) {
			pair, err = f(ctx)
			return err
		})
		return pair, err
	})
	ctx, cancel := context.WithTimeout(ctx, workLimit)
	defer cancel()
	select {
	case r := <-result:
		pair, _ := r.Val.(*Pair)
		return pair, r.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func newState() *state {
	return &state{
		families: make(map[lineage]*family),
		health:   storage.Health{MaxHanging: maxReads, MaxAbandoned: maxLooseLocks},
	}
}

// family returns the entry of a family, a new one if need be.
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
	if len(s.families) >= maxFamilies {
		s.evict()
	}
	f = &family{writing: make(chan struct{}, 1)}
	f.known.Store(&nothingKnown)
	s.families[of] = f
	return f
}

// evict drops an eighth of the families, first those that are over. The
// caller holds mu.
func (s *state) evict() {
	now := time.Now().UnixMilli()
	for of, f := range s.families {
		if k := f.known.Load(); !k.at.IsZero() && (k.record == nil || k.record.Until <= now) {
			delete(s.families, of)
		}
	}
	for of := range s.families {
		if len(s.families) <= maxFamilies/8*7 {
			return
		}
		delete(s.families, of)
	}
}

const (
	// window is how far a timestamp may be off, either way.
	window = 300 * time.Second
	// maxSigns bounds each half of a guard's memory. Beyond it the oldest are
	// forgotten, and the storage alone remembers them.
	maxSigns = 50_000
)

// guard remembers which sign-ins were made, for twice the window at least: the
// time from the earliest to the latest moment that a timestamp is good. Only
// right signatures get here, so strangers can't fill it.
//
// The storage remembers them too, as the records of their families. The guard
// is for two that come at the same moment, where the storage has no lock.
type guard struct {
	mu                sync.Mutex
	current, previous map[lineage]struct{}
	rotated           time.Time
}

// first reports whether a sign-in is made for the first time.
func (g *guard) first(of lineage) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if age := time.Since(g.rotated); age >= 2*window || len(g.current) >= maxSigns {
		g.previous, g.current, g.rotated = g.current, make(map[lineage]struct{}), time.Now()
		if age >= 4*window {
			g.previous = nil
		}
	}
	_, inNow := g.current[of]
	_, inThen := g.previous[of]
	if inNow || inThen {
		return false
	}
	g.current[of] = struct{}{}
	return true
}

// forget is for a sign-in that came to nothing because the storage failed: it
// may be tried again.
func (g *guard) forget(of lineage) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.current, of)
	delete(g.previous, of)
}
