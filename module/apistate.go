package switchboard

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/pool"
)

// apiStatePool keeps the states over a reload: an API on hold stays on hold.
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

// apiStates are the states that a configuration uses.
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
		held, _ = apiStatePool.Hold(name, func() (*APIState, error) { return &APIState{name: name}, nil }) // the constructor returns no error
		if a.apiStates.held == nil {
			a.apiStates.held = make(map[string]*pool.Held[*APIState])
		}
		a.apiStates.held[name] = held
	}
	return held.Value
}

// find returns the state of an API, or nil if no handler has asked for it.
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

// all returns the states, in no particular order.
func (h *apiStates) all() []*APIState {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]*APIState, 0, len(h.held))
	for _, held := range h.held {
		list = append(list, held.Value)
	}
	return list
}

// hold stops the calls of an API until it is released, or the process ends. Fresh
// answers are still served from the cache.
func (a *App) hold(s *APIState, held bool) {
	s.transitions.Lock()
	defer s.transitions.Unlock()
	if !s.held.CompareAndSwap(!held, held) {
		return
	}
	message := "api put on hold by an operator"
	if !held {
		message = "api released by an operator"
	}
	a.logger.Warn(message, zap.String("api", s.name))
	a.events.emit(EventAPIHeld, map[string]any{"api": s.name, "held": held})
}

// The last hour is counted by minute. Durations are counted in steps of a quarter
// of an octave, which is accurate to 10 %.
const (
	minutesKept = 60
	perOctave   = 4
	octaves     = 20
	timeSteps   = octaves * perOctave
	shortest    = 64 * time.Microsecond // the first step ends here; the last is open
)

// outcomes are all outcomes of calls.
var outcomes = [...]call.Outcome{
	call.OK, call.Stale, call.NotFound, call.Ambiguous, call.Timeout, call.Unreachable, call.Rejected, call.NoToken, call.BadAnswer,
	call.TooLarge, call.BreakerOpen, call.Held, call.BadRequest, call.Unauthorized, call.Canceled,
	call.Incomplete, call.Failed, call.TokenRefused, call.Unknown, call.NotSent, call.Partial,
}

// Outcomes returns all outcomes of calls.
func Outcomes() []call.Outcome { return slices.Clone(outcomes[:]) }

var outcomeIndex = func() map[call.Outcome]int {
	index := make(map[call.Outcome]int, len(outcomes))
	for i, outcome := range outcomes {
		index[outcome] = i
	}
	return index
}()

// traffic counts the outcomes of calls by minute, in 23 KiB for each API.
// Counting a call takes four atomic operations.
type traffic struct {
	mu      sync.Mutex // guards the start of a minute
	minutes [minutesKept]minute
	last    atomic.Int64 // the last call: Unix seconds and, in the lowest byte, its outcome
}

type minute struct {
	number   atomic.Int64 // minutes since 1970
	outcomes [len(outcomes)]atomic.Uint32
	times    [timeSteps]atomic.Uint32
}

// Count counts a call for the last hour. The metrics count separately.
func (s *APIState) Count(outcome call.Outcome, took time.Duration) {
	if s != nil {
		s.traffic.count(time.Now(), outcome, took)
	}
}

func (t *traffic) count(now time.Time, outcome call.Outcome, took time.Duration) {
	i, ok := outcomeIndex[outcome]
	if !ok {
		return
	}
	number := now.Unix() / 60
	m := &t.minutes[number%minutesKept]
	if m.number.Load() != number {
		t.begin(m, number)
	}
	m.outcomes[i].Add(1)
	m.times[stepOf(took)].Add(1)
	t.last.Store(now.Unix()<<8 | int64(i))
}

// begin clears the slot of a minute that is an hour old. A call that is counted
// in the old minute at the same time may be lost.
func (t *traffic) begin(m *minute, number int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m.number.Load() >= number {
		return
	}
	for i := range m.outcomes {
		m.outcomes[i].Store(0)
	}
	for i := range m.times {
		m.times[i].Store(0)
	}
	m.number.Store(number)
}

func stepOf(took time.Duration) int {
	if took <= shortest {
		return 0
	}
	step := int(math.Ceil(math.Log2(float64(took)/float64(shortest)) * perOctave))
	return min(step, timeSteps-1)
}

// ms returns the middle of a step, in milliseconds.
func ms(step int) float64 {
	return math.Round(shortest.Seconds()*1e6*math.Exp2((float64(step)-0.5)/perOctave)) / 1e3
}

// sum adds up minutes.
type sum struct {
	calls    uint64
	outcomes [len(outcomes)]uint64
	times    [timeSteps]uint64
}

func (s *sum) add(m *minute) {
	for i := range m.outcomes {
		s.outcomes[i] += uint64(m.outcomes[i].Load())
	}
	for i := range m.times {
		n := uint64(m.times[i].Load())
		s.times[i] += n
		s.calls += n
	}
}

// within returns the duration within which that share of the calls ended.
func (s *sum) within(part float64) float64 {
	if s.calls == 0 {
		return 0
	}
	rank := uint64(math.Ceil(part * float64(s.calls)))
	for step, n := range s.times {
		if n >= rank {
			return ms(step)
		}
		rank -= n
	}
	return ms(timeSteps - 1)
}

func (s *sum) named() map[string]uint64 {
	named := make(map[string]uint64)
	for i, n := range s.outcomes {
		if n > 0 {
			named[string(outcomes[i])] = n
		}
	}
	return named
}

// describe adds a summary of the last hour.
func (t *traffic) describe(to *adminapi.API, now time.Time) {
	var all sum
	for i := range t.minutes {
		if m := &t.minutes[i]; m.number.Load() > now.Unix()/60-minutesKept {
			all.add(m)
		}
	}
	to.Calls, to.P99 = all.calls, all.within(.99)
	var own, counted uint64
	for i, n := range all.outcomes {
		if outcome := outcomes[i]; !outcome.CausedByCaller() {
			counted += n
			if outcome.Own() {
				own += n
			}
		}
	}
	if counted > 0 {
		share := float64(own) / float64(counted)
		to.Real = &share
	}
	if last := t.last.Load(); last != 0 {
		to.LastOutcome, to.LastCall = string(outcomes[last&0xff]), time.Unix(last>>8, 0).UTC()
	}
}

func (t *traffic) hour() adminapi.Hour { return t.hourAt(time.Now()) }

func (t *traffic) hourAt(now time.Time) adminapi.Hour {
	last := now.Unix() / 60
	var all sum
	minutes := make([]adminapi.Minute, 0, minutesKept)
	for number := last - minutesKept + 1; number <= last; number++ {
		view := adminapi.Minute{Start: number * 60}
		if m := &t.minutes[number%minutesKept]; m.number.Load() == number {
			var one sum
			one.add(m)
			all.add(m)
			view.Calls, view.P50, view.P99, view.Outcomes = one.calls, one.within(.5), one.within(.99), one.named()
		}
		minutes = append(minutes, view)
	}
	return adminapi.Hour{Calls: all.calls, P50: all.within(.5), P99: all.within(.99), Outcomes: all.named(), Minutes: minutes}
}

// An API that fails every other call must not change its state with every other
// call. An API that rejects some callers, or accepts no token for some records,
// is healthy.
const (
	// How long after the last failed call a real answer ends the degradation.
	recoverAfter = 5 * time.Second
	// How long after the last failed call the degradation ends without a real
	// answer, because the API may no longer be called.
	quietPeriod = 5 * time.Minute
	// How many refusals in a row count as a failure.
	manyRefusals = 10
)

// degraded tracks whether callers get the API's own answers, or stale answers,
// defaults and errors.
type degraded struct {
	on       atomic.Bool
	refusals atomic.Int32 // in a row

	transitions sync.Mutex // guards the fields below, and keeps reports in order
	last        time.Time  // when the last call failed
	since       time.Time  // when it turned on
	timer       *time.Timer
	stopped     bool // no configuration uses the API any more
}

// Degraded reports whether callers get stale answers, defaults or errors.
func (s *APIState) Degraded() bool { return !s.DegradedSince().IsZero() }

// DegradedSince returns since when callers get stale answers, defaults or errors;
// the zero time if they get the API's own.
func (s *APIState) DegradedSince() time.Time {
	if s == nil || !s.on.Load() {
		return time.Time{}
	}
	s.transitions.Lock()
	defer s.transitions.Unlock()
	if !s.on.Load() || time.Since(s.last) >= quietPeriod {
		return time.Time{}
	}
	return s.since
}

// transition is a change of the state. outcome is that of the call that caused it, ""
// if no call did.
type transition struct {
	degraded bool
	since    time.Time
	outcome  call.Outcome
}

// count counts an outcome, and calls report if it changes the state. Changes are
// reported one at a time. If the degradation ends without a call, later is
// called.
func (d *degraded) count(outcome call.Outcome, report, later func(transition)) {
	own := outcome.Own()
	switch {
	case outcome.CausedByCaller(), outcome == call.Partial:
		return // says nothing about the API
	case outcome == call.Rejected, outcome == call.TokenRefused:
		if d.refusals.Load() < manyRefusals && d.refusals.Add(1) < manyRefusals {
			return
		}
	case own && d.refusals.Load() != 0:
		d.refusals.Store(0)
	}
	if own && !d.on.Load() {
		return // the usual case
	}
	d.transitions.Lock()
	defer d.transitions.Unlock()
	now := time.Now()
	if !own {
		d.last = now
	}
	if own && now.Sub(d.last) < recoverAfter || !d.on.CompareAndSwap(own, !own) {
		return
	}
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if own {
		report(transition{since: d.since, outcome: outcome})
		return
	}
	d.since = now
	d.await(quietPeriod, later)
	report(transition{true, now, outcome})
}

// await ends the degradation if no call fails for long enough. d.transitions must be
// held.
func (d *degraded) await(after time.Duration, report func(transition)) {
	if d.stopped {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(after, func() {
		d.transitions.Lock()
		defer d.transitions.Unlock()
		if d.timer != timer {
			return // it has ended, or a new timer is set
		}
		if left := quietPeriod - time.Since(d.last); left > 0 {
			d.await(left, report)
			return
		}
		d.timer = nil
		d.on.Store(false)
		d.refusals.Store(0)
		report(transition{since: d.since})
	})
	d.timer = timer
}

// stop cancels the timer that await has set.
func (d *degraded) stop() {
	d.transitions.Lock()
	defer d.transitions.Unlock()
	d.stopped = true
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

// Answered tracks how a call of an API ended. It reports when callers begin to
// get stale answers and defaults, and when the API recovers. An outcome that says
// nothing about the API doesn't count: the caller sent too little, was refused or
// disconnected.
func (a *App) Answered(s *APIState, outcome call.Outcome) {
	s.count(outcome, func(t transition) { a.reportTransition(s, t) }, func(t transition) {
		if now, err := running(); err == nil { // it may have been replaced since
			now.reportTransition(s, t)
		}
	})
}
