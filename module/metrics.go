package switchboard

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchboard-ivr/switchboard/internal/cache"
	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/module/token"
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

// BreakerStates are the states of an API's breaker, by their numbers as a metric.
var BreakerStates = []string{"closed", "half-open", "open"}

// watchAPIs reads how APIs stand at each scrape.
func (m *Metrics) watchAPIs(a *App) {
	registerOrExisting(m.registry, prometheus.Collector(apiCollector{a}))
}

// apiStates is a collector over the APIs of a configuration.
type apiCollector struct{ app *App }

var (
	heldDesc = prometheus.NewDesc("switchboard_held",
		"1 for an API that an operator holds.", []string{"api"}, nil)
	degradedDesc = prometheus.NewDesc("switchboard_api_degraded",
		"1 for an API whose answers are older ones, defaults or errors.", []string{"api"}, nil)
	breakerDesc = prometheus.NewDesc("switchboard_breaker_state",
		"State of an API's breaker: 0 closed, 1 half-open, 2 open.", []string{"api"}, nil)
)

// Describe implements prometheus.Collector.
func (apiCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- heldDesc
	ch <- degradedDesc
	ch <- breakerDesc
}

// Collect implements prometheus.Collector.
func (s apiCollector) Collect(ch chan<- prometheus.Metric) {
	for _, standing := range s.app.apiStates.all() {
		ch <- prometheus.MustNewConstMetric(heldDesc, prometheus.GaugeValue, bit(standing.Held()), standing.name)
		ch <- prometheus.MustNewConstMetric(degradedDesc, prometheus.GaugeValue, bit(standing.Degraded()), standing.name)
	}
	for _, name := range s.app.APIs() {
		state := s.app.breakerState(name)
		for number, word := range BreakerStates {
			if word == state {
				ch <- prometheus.MustNewConstMetric(breakerDesc, prometheus.GaugeValue, float64(number), name)
			}
		}
	}
}

func bit(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

func (a *App) breakerState(name string) string {
	if api, ok := a.registered(name); ok {
		return api.BreakerState()
	}
	return ""
}

// Cached counts what the cache had for a call: hit, stale, miss, collapsed or
// bypass.
func (m *APIMetrics) Cached(result string) {
	if m != nil {
		m.cached.WithLabelValues(result).Inc()
	}
}

// Behind counts a call that ended while nobody waited for it.
func (m *APIMetrics) Behind(outcome call.Outcome) {
	if m != nil {
		m.behind.WithLabelValues(string(outcome)).Inc()
	}
}

// watchCache reads the cache's numbers at each scrape.
func (m *Metrics) watchCache(c *cache.Cache) {
	registerOrExisting(m.registry, prometheus.Collector(cacheCollector{c}))
}

// cacheStats is a collector over the cache.
type cacheCollector struct{ cache *cache.Cache }

var (
	cacheEntriesDesc = prometheus.NewDesc("switchboard_cache_entries",
		"Answers in the cache, approximately.", nil, nil)
	cacheBytesDesc = prometheus.NewDesc("switchboard_cache_bytes",
		"Heap that the answers in the cache take, approximately.", nil, nil)
	cacheDroppedDesc = prometheus.NewDesc("switchboard_cache_dropped_total",
		"Answers that the cache did not keep, by why: put too fast or asked for less than what is there (refused), or to make room (evicted).", []string{"why"}, nil)
)

// Describe implements prometheus.Collector.
func (cacheCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- cacheEntriesDesc
	ch <- cacheBytesDesc
	ch <- cacheDroppedDesc
}

// Collect implements prometheus.Collector.
func (c cacheCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.cache.Stats()
	ch <- prometheus.MustNewConstMetric(cacheEntriesDesc, prometheus.GaugeValue, float64(s.Entries))
	ch <- prometheus.MustNewConstMetric(cacheBytesDesc, prometheus.GaugeValue, float64(s.Bytes))
	ch <- prometheus.MustNewConstMetric(cacheDroppedDesc, prometheus.CounterValue, float64(s.Dropped), "refused")
	ch <- prometheus.MustNewConstMetric(cacheDroppedDesc, prometheus.CounterValue, float64(s.Evicted), "evicted")
}

// watch reads the states of the keepers at each scrape.
func (m *Metrics) watch(states func() []token.State) {
	registerOrExisting(m.registry, prometheus.Collector(tokenCollector(states)))
}

// tokenStates is a collector over the keepers.
type tokenCollector func() []token.State

var (
	tokenStateDesc = prometheus.NewDesc("switchboard_token_state",
		"1 for the state that the token source is in.", []string{"token", "state"}, nil)
	tokenExpiryDesc = prometheus.NewDesc("switchboard_token_expiry_timestamp_seconds",
		"When the token held expires; 0 for never.", []string{"token"}, nil)
	tokenObtainedDesc = prometheus.NewDesc("switchboard_token_obtained_timestamp_seconds",
		"When the token held was obtained, or loaded when it is static; 0 for none.", []string{"token"}, nil)
	tokenGenerationDesc = prometheus.NewDesc("switchboard_token_generation",
		"Number of the token held, counted over restarts and the fleet.", []string{"token"}, nil)
)

// Describe implements prometheus.Collector.
func (tokenCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- tokenStateDesc
	ch <- tokenExpiryDesc
	ch <- tokenObtainedDesc
	ch <- tokenGenerationDesc
}

// Collect implements prometheus.Collector.
func (t tokenCollector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range t() {
		ch <- prometheus.MustNewConstMetric(tokenStateDesc, prometheus.GaugeValue, 1, s.Name, s.Phase)
		ch <- prometheus.MustNewConstMetric(tokenExpiryDesc, prometheus.GaugeValue, seconds(s.Expires), s.Name)
		ch <- prometheus.MustNewConstMetric(tokenObtainedDesc, prometheus.GaugeValue, seconds(s.Obtained), s.Name)
		ch <- prometheus.MustNewConstMetric(tokenGenerationDesc, prometheus.GaugeValue, float64(s.Generation), s.Name)
	}
}

// seconds is a time as Prometheus has it; 0 for none.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1e3
}
