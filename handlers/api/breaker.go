package api

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/sony/gobreaker/v2"
	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/module/pool"
)

// Breaker stops calling an unhealthy API, so that callers needn't wait in vain
// and the API can recover. It counts outcomes: `timeout`, `unreachable`,
// `bad_answer` and `failed` are unhealthy. An API that finds nothing, or rejects
// the request, is healthy.
type Breaker struct {
	// Share of unhealthy calls that opens the breaker, above 0 and at most 1.
	Share float64 `json:"share,omitempty"`

	// Minimum number of calls in the window before the share counts. The window
	// is the last 10 seconds, or twice the budget if that is longer.
	Calls int `json:"calls,omitempty"`

	// How long the breaker stays open. After that, one call at a time tries the
	// API; the first healthy one closes the breaker.
	Open caddy.Duration `json:"open,omitempty"`
}

// The window of a breaker is shortestWindow or more, divided into buckets.
const (
	shortestWindow = 10 * time.Second
	windowBuckets  = 10
)

// windowOf returns the window for a budget. A call counts at the time it began,
// so the window must be long enough that a timeout still counts when it ends.
func windowOf(budget time.Duration) time.Duration { return max(shortestWindow, 2*budget) }

// breakers are shared by configurations: a breaker survives a reload that doesn't
// change its API.
var breakers = pool.New[*breaker]()

// breaker is a provisioned Breaker.
type breaker struct {
	*gobreaker.TwoStepCircuitBreaker[struct{}]
	reopens atomic.Int64 // when the next call is tried, in Unix ns
}

// retryAfter returns how long to wait before retrying, at least 1 s.
func (b *breaker) retryAfter() time.Duration {
	return max(time.Second, time.Until(time.Unix(0, b.reopens.Load())))
}

var (
	errUnhealthy = errors.New("unhealthy")
	errUncounted = errors.New("says nothing about the API")
)

func newBreaker(name string, s Breaker, window time.Duration) *breaker {
	b := new(breaker)
	b.TwoStepCircuitBreaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:         name,
		Interval:     window,
		BucketPeriod: window / windowBuckets,
		Timeout:      time.Duration(s.Open),
		MaxRequests:  1,
		ReadyToTrip: func(n gobreaker.Counts) bool {
			known := n.TotalSuccesses + n.TotalFailures // n.Requests also counts running calls
			return int(known) >= s.Calls && float64(n.TotalFailures) >= s.Share*float64(known)
		},
		IsExcluded: func(err error) bool { return errors.Is(err, errUncounted) },
		OnStateChange: func(name string, from, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				b.reopens.Store(time.Now().Add(time.Duration(s.Open)).UnixNano())
			}
			// not a logger of the API: the breaker may outlive its configuration
			caddy.Log().Named("http.handlers.api").Warn("breaker state changed",
				zap.String("api", name), zap.Stringer("from", from), zap.Stringer("to", to))
		},
	})
	return b
}

func (s *Breaker) check() error {
	switch {
	case !(s.Share > 0 && s.Share <= 1): // also refuses NaN
		return errors.New("breaker: the share must be above 0% and at most 100%, e.g. `breaker 50% 20 10s`")
	case s.Calls < 1:
		return errors.New("breaker: the number of calls must be 1 or more, e.g. `breaker 50% 20 10s`")
	case s.Open <= 0:
		return errors.New("breaker: the duration must be more than 0, e.g. `breaker 50% 20 10s`")
	}
	return nil
}

// provisionBreaker takes over the breaker of an earlier configuration, or makes
// one. An API with changed settings gets a new breaker, because the change may
// have fixed it.
func (a *API) provisionBreaker(asWritten []byte) error {
	if a.Breaker == nil {
		return nil
	}
	window := windowOf(a.route.Budget())
	key := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s", asWritten, a.target.host, window))
	held, err := breakers.Hold(key, func() (*breaker, error) { return newBreaker(a.Name, *a.Breaker, window), nil })
	if err != nil {
		return err
	}
	a.breaker, a.heldBreaker = held.Value, held
	return nil
}

// Cleanup releases the breaker. Calls that are running still use it.
func (a *API) Cleanup() error {
	a.heldBreaker.Release()
	return nil
}

// BreakerState implements [switchboard.API].
func (a *API) BreakerState() string {
	if a.breaker == nil {
		return ""
	}
	return a.breaker.State().String()
}

// breakerReport reports to the breaker how a call ended, once.
type breakerReport struct {
	once sync.Once
	done func(error)
}

func (v *breakerReport) report(err error) { v.once.Do(func() { v.done(err) }) }

// Overdue implements [endpoint.DetachedCall]. A caller's timeout counts against
// the API, no matter how the detached call ends later; but not when the call is
// still waiting for a token, for memory or for another API, which says nothing about
// the API. Parts that are running are overdue, too.
func (c *run) Overdue() call.Outcome {
	outcome, health := call.Timeout, errUnhealthy
	if c.parts != nil && c.parts.running.Load() {
		outcome, health = endpoint.PartOverdue, errUncounted
		for i := range c.parts.runs {
			if part := c.parts.runs[i].Load(); part != nil {
				part.Overdue()
			}
		}
	} else if source := c.api.source; source != nil && source.HasToken() && source.Current() == nil {
		outcome, health = call.NoToken, errUncounted
	}
	if c.call.BeganLate() {
		health = errUncounted
	}
	if c.call.Busy() {
		outcome, health = endpoint.Overloaded, errUncounted
	}
	if v := c.breakerReport.Load(); v != nil {
		v.report(health)
	}
	return outcome
}
