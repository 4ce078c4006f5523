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

// Breaker stops calling an API that is ailing, so that callers needn't wait for
// what won't come, and the API can recover. It counts verdicts: unhealthy are
// `timeout`, `unreachable`, `bad_answer` and what `unhealthy` says. An API that
// knows nobody, or says no, is well.
type Breaker struct {
	// Share of unhealthy calls, above 0 and at most 1, that opens it.
	Share float64 `json:"share,omitempty"`

	// The fewest calls from which a share is taken: of those that began in the last
	// 10 seconds, or twice the budget if that is longer.
	Calls int `json:"calls,omitempty"`

	// How long it stays open. Then one call at a time tries the API; one that is
	// well closes it.
	Open caddy.Duration `json:"open,omitempty"`
}

// The window of a breaker is shortestWindow or more, in buckets.
const (
	shortestWindow = 10 * time.Second
	windowBuckets  = 10
)

// windowOf is the window that a budget needs: a call counts where it began, so a
// timeout must not have left the window when it ends.
func windowOf(budget time.Duration) time.Duration { return max(shortestWindow, 2*budget) }

// breakers outlive a reload that doesn't change their APIs.
var breakers = pool.New[*breaker]()

// breaker is a Breaker at work.
type breaker struct {
	*gobreaker.TwoStepCircuitBreaker[struct{}]
	reopens atomic.Int64 // when the API is tried again, in Unix ns
}

// retryAfter is when it is worth to ask again, a second from now or later.
func (b *breaker) retryAfter() time.Duration {
	return max(time.Second, time.Until(time.Unix(0, b.reopens.Load())))
}

var (
	errUnhealthy = errors.New("unhealthy")
	errUncounted = errors.New("says nothing of the API")
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
			known := n.TotalSuccesses + n.TotalFailures // those under way are requests, too
			return int(known) >= s.Calls && float64(n.TotalFailures) >= s.Share*float64(known)
		},
		IsExcluded: func(err error) bool { return errors.Is(err, errUncounted) },
		OnStateChange: func(name string, from, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				b.reopens.Store(time.Now().Add(time.Duration(s.Open)).UnixNano())
			}
			// the logger of the configuration that runs now
			caddy.Log().Named("http.handlers.api").Warn("breaker",
				zap.String("api", name), zap.Stringer("from", from), zap.Stringer("to", to))
		},
	})
	return b
}

func (s *Breaker) check() error {
	switch {
	case !(s.Share > 0 && s.Share <= 1): // nor what is no number
		return errors.New("breaker: the share must be above 0% and at most 100%; write for example `breaker 50% 20 10s`")
	case s.Calls < 1:
		return errors.New("breaker: the number of calls must be 1 or more; write for example `breaker 50% 20 10s`")
	case s.Open <= 0:
		return errors.New("breaker: the time must be above 0; write for example `breaker 50% 20 10s`")
	}
	return nil
}

// provisionBreaker finds the breaker of an earlier configuration, or makes one. An
// API that is written in another way begins anew: it may have been mended.
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

// verdict tells the breaker how a call ended, once.
type breakerReport struct {
	once sync.Once
	done func(error)
}

func (v *breakerReport) report(err error) { v.once.Do(func() { v.done(err) }) }

// admit ends the call when the API is not to be called.
func (c *run) enterBreaker() bool {
	a := c.api
	if c.call.Route.State.Held() {
		return c.call.Fail(call.Held, "an operator holds the api")
	}
	if a.breaker == nil {
		return true
	}
	if c.call.Test != nil { // it is stopped as any call, and counts for nothing
		if a.breaker.State() == gobreaker.StateOpen {
			c.call.RetryAfter = a.breaker.retryAfter()
			return c.call.Fail(call.BreakerOpen, gobreaker.ErrOpenState.Error())
		}
		return true
	}
	done, err := a.breaker.Allow()
	if err != nil {
		c.call.RetryAfter = a.breaker.retryAfter()
		return c.call.Fail(call.BreakerOpen, err.Error())
	}
	c.breakerReport.Store(&breakerReport{done: done})
	return true
}

// report tells the breaker how the call ended.
func (c *run) report() {
	v := c.breakerReport.Load()
	if v == nil {
		return
	}
	switch {
	case c.call.Uncharged:
		v.report(errUncounted)
	case c.call.Outcome == call.Timeout, c.call.Outcome == call.Unreachable, c.call.Outcome == call.BadAnswer, c.call.Outcome == call.Failed:
		v.report(errUnhealthy)
	case c.call.Outcome.CausedByCaller(), c.call.Outcome == call.NoToken, c.call.Outcome == "":
		v.report(errUncounted)
	default:
		v.report(nil)
	}
}

// Late implements [endpoint.Work]. That the time of one who waits has ended is a
// timeout, whatever becomes of the call behind; but it says nothing of the API when
// there is no token to ask it with, or no room for its answer.
func (c *run) Overdue() call.Outcome {
	outcome, told := call.Timeout, errUnhealthy
	if source := c.api.source; source != nil && source.HasToken() && source.Current() == nil {
		outcome, told = call.NoToken, errUncounted
	}
	if c.call.Busy() {
		outcome, told = endpoint.Overloaded, errUncounted
	}
	if v := c.breakerReport.Load(); v != nil {
		v.report(told)
	}
	return outcome
}
