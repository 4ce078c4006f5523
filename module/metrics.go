package switchboard

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchboard-ivr/switchboard/internal/call"
)

// Metrics counts calls and token renewals. Labels come from the configuration
// alone: no key, customer or token ever becomes one. A nil *Metrics counts
// nothing.
type Metrics struct {
	calls    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	steps    *prometheus.HistogramVec
	ailing   *prometheus.CounterVec
	replays  *prometheus.CounterVec
	renewals *prometheus.CounterVec
	renewal  *prometheus.HistogramVec
	cached   *prometheus.CounterVec
	behind   *prometheus.CounterVec
	registry *prometheus.Registry
}

var buckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2, 5, 10}

// newMetrics registers the collectors. Caddy makes a new registry at each load
// of a configuration.
func newMetrics(reg *prometheus.Registry) *Metrics {
	return &Metrics{
		registry: reg,
		calls: registerOrExisting(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchboard_calls_total",
			Help: "Calls of an API by outcome.",
		}, []string{"api", "outcome"})),
		duration: registerOrExisting(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "switchboard_call_duration_seconds",
			Help:    "Time from a request to its answer.",
			Buckets: buckets,
		}, []string{"api"})),
		steps: registerOrExisting(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "switchboard_step_duration_seconds",
			Help:    "Time spent in one step of a call.",
			Buckets: buckets,
		}, []string{"api", "step"})),
		ailing: registerOrExisting(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchboard_unhealthy_total",
			Help: "Answers that show an ailing API.",
		}, []string{"api"})),
		replays: registerOrExisting(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchboard_replays_total",
			Help: "Calls that were made twice because the API took the first token for dead.",
		}, []string{"api"})),
		cached: registerOrExisting(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchboard_cache_requests_total",
			Help: "Calls of an API with a cache, by what the cache had for them.",
		}, []string{"api", "result"})),
		behind: registerOrExisting(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchboard_cache_background_total",
			Help: "Calls that were finished or renewed while nobody waited, by outcome.",
		}, []string{"api", "outcome"})),
		renewals: registerOrExisting(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchboard_token_renewals_total",
			Help: "Attempts to get a token, by way and outcome.",
		}, []string{"token", "how", "outcome"})),
		renewal: registerOrExisting(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "switchboard_token_renewal_duration_seconds",
			Help:    "Time that a successful renewal took.",
			Buckets: buckets,
		}, []string{"token"})),
	}
}

// API returns the counters of one API, with its labels bound once.
func (m *Metrics) API(name string) *APIMetrics {
	if m == nil {
		return nil
	}
	bound := &APIMetrics{
		calls:    m.calls.MustCurryWith(prometheus.Labels{"api": name}),
		duration: m.duration.WithLabelValues(name),
		ailing:   m.ailing.WithLabelValues(name),
		replays:  m.replays.WithLabelValues(name),
		cached:   m.cached.MustCurryWith(prometheus.Labels{"api": name}),
		behind:   m.behind.MustCurryWith(prometheus.Labels{"api": name}),
	}
	for step, word := range stepNames {
		bound.steps[step] = m.steps.WithLabelValues(name, word)
	}
	return bound
}

// Step is a part of a call whose time is measured.
type Step int

// The steps of a call.
const (
	StepReceive Step = iota // reading what the phone system sent
	StepRequest             // the programs that make the API's request
	StepToken               // waiting for a token
	StepCall                // the API, to the headers of its answer
	StepOutput              // decoding, judging and shaping the answer
	stepCount
)

var stepNames = [stepCount]string{"receive", "request", "token", "call", "output"}

// APIMetrics counts the calls of one API.
type APIMetrics struct {
	calls    *prometheus.CounterVec
	duration prometheus.Observer
	steps    [stepCount]prometheus.Observer
	ailing   prometheus.Counter
	replays  prometheus.Counter
	cached   *prometheus.CounterVec
	behind   *prometheus.CounterVec
}

// Ended counts a call and its time.
func (m *APIMetrics) Ended(outcome call.Outcome, took time.Duration) {
	if m == nil {
		return
	}
	m.calls.WithLabelValues(string(outcome)).Inc()
	m.duration.Observe(took.Seconds())
}

// Step notes the time of one step of a call; one that was not taken has none.
func (m *APIMetrics) Step(step Step, took time.Duration) {
	if m == nil || took <= 0 {
		return
	}
	m.steps[step].Observe(took.Seconds())
}

// Unhealthy counts an answer that shows an ailing API.
func (m *APIMetrics) Unhealthy() {
	if m != nil {
		m.ailing.Inc()
	}
}

// Replayed counts a call that was made twice.
func (m *APIMetrics) Replayed() {
	if m != nil {
		m.replays.Inc()
	}
}

func (m *Metrics) renewed(name, how, outcome string, took time.Duration) {
	if m == nil {
		return
	}
	m.renewals.WithLabelValues(name, how, outcome).Inc()
	if took > 0 {
		m.renewal.WithLabelValues(name).Observe(took.Seconds())
	}
}

func registerOrExisting[C prometheus.Collector](reg *prometheus.Registry, c C) C {
	err := reg.Register(c)
	if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing
		}
	}
	return c
}
