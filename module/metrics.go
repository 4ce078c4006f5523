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
// only: no key, customer or token ever becomes a label. A nil *Metrics counts
// nothing.
type Metrics struct {
	calls     *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	steps     *prometheus.HistogramVec
	unhealthy *prometheus.CounterVec
	replays   *prometheus.CounterVec
	renewals  *prometheus.CounterVec
	renewal   *prometheus.HistogramVec
	cached    *prometheus.CounterVec
	behind    *prometheus.CounterVec
	repeats   *prometheus.CounterVec
	registry  *prometheus.Registry
}

var buckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2, 5, 10}

// newMetrics registers the collectors. Caddy makes a new registry each time it
// loads a configuration.
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
		unhealthy: registerOrExisting(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchboard_unhealthy_total",
			Help: "Answers that show an unhealthy API.",
		}, []string{"api"})),
		replays: registerOrExisting(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchboard_replays_total",
			Help: "Calls that were repeated because the first token had expired.",
		}, []string{"api"})),
		cached: registerOrExisting(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchboard_cache_requests_total",
			Help: "Calls of an API with a cache, by the cache's result.",
		}, []string{"api", "result"})),
		behind: registerOrExisting(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchboard_cache_background_total",
			Help: "Calls that ended in the background, by outcome.",
		}, []string{"api", "outcome"})),
		repeats: registerOrExisting(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchboard_once_repeats_total",
			Help: "Repeats of a write that happens once, by what they got.",
		}, []string{"api", "result"})),
		renewals: registerOrExisting(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "switchboard_token_renewals_total",
			Help: "Attempts to get a token, by method and outcome.",
		}, []string{"token", "how", "outcome"})),
		renewal: registerOrExisting(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "switchboard_token_renewal_duration_seconds",
			Help:    "Duration of successful renewals.",
			Buckets: buckets,
		}, []string{"token"})),
	}
}

// API returns the metrics of one API, with its labels bound once.
func (m *Metrics) API(name string) *APIMetrics {
	if m == nil {
		return nil
	}
	bound := &APIMetrics{
		calls:     m.calls.MustCurryWith(prometheus.Labels{"api": name}),
		duration:  m.duration.WithLabelValues(name),
		unhealthy: m.unhealthy.WithLabelValues(name),
		replays:   m.replays.WithLabelValues(name),
		cached:    m.cached.MustCurryWith(prometheus.Labels{"api": name}),
		behind:    m.behind.MustCurryWith(prometheus.Labels{"api": name}),
		repeats:   m.repeats.MustCurryWith(prometheus.Labels{"api": name}),
	}
	for step, word := range stepNames {
		bound.steps[step] = m.steps.WithLabelValues(name, word)
	}
	return bound
}

// Step is a measured step of a call.
type Step int

// The steps of a call.
const (
	StepReceive Step = iota // reading the incoming request
	StepRequest             // the programs that build the API's request
	StepToken               // waiting for a token
	StepCall                // the API, to the headers of its answer
	StepOutput              // decoding, judging and shaping the answer
	stepCount
)

var stepNames = [stepCount]string{"receive", "request", "token", "call", "output"}

// APIMetrics counts the calls of one API.
type APIMetrics struct {
	calls     *prometheus.CounterVec
	duration  prometheus.Observer
	steps     [stepCount]prometheus.Observer
	unhealthy prometheus.Counter
	replays   prometheus.Counter
	cached    *prometheus.CounterVec
	behind    *prometheus.CounterVec
	repeats   *prometheus.CounterVec
}

// Ended counts a call and its duration.
func (m *APIMetrics) Ended(outcome call.Outcome, took time.Duration) {
	if m == nil {
		return
	}
	m.calls.WithLabelValues(string(outcome)).Inc()
	m.duration.Observe(took.Seconds())
}

// Step records the duration of one step of a call. A step that was not taken has
// none.
func (m *APIMetrics) Step(step Step, took time.Duration) {
	if m == nil || took <= 0 {
		return
	}
	m.steps[step].Observe(took.Seconds())
}

// Unhealthy counts an answer that shows an unhealthy API.
func (m *APIMetrics) Unhealthy() {
	if m != nil {
		m.unhealthy.Inc()
	}
}

// Replayed counts a repeated call.
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

// BreakerStates are the states of a breaker, in the order of their metric values.
var BreakerStates = []string{"closed", "half-open", "open"}

// watchAPIs collects the state of the APIs at each scrape.
func (m *Metrics) watchAPIs(a *App) {
	registerOrExisting(m.registry, prometheus.Collector(apiCollector{a}))
}

// apiCollector collects the state of a configuration's APIs.
type apiCollector struct{ app *App }

var (
	heldDesc = prometheus.NewDesc("switchboard_held",
		"1 for an API that an operator has put on hold.", []string{"api"}, nil)
	degradedDesc = prometheus.NewDesc("switchboard_api_degraded",
		"1 for an API whose callers get stale answers, defaults or errors.", []string{"api"}, nil)
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
	for _, state := range s.app.apiStates.all() {
		ch <- prometheus.MustNewConstMetric(heldDesc, prometheus.GaugeValue, bit(state.Held()), state.name)
		ch <- prometheus.MustNewConstMetric(degradedDesc, prometheus.GaugeValue, bit(state.Degraded()), state.name)
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

// Cached counts the cache's result for a call: hit, stale, miss, collapsed or
// bypass.
func (m *APIMetrics) Cached(result string) {
	if m != nil {
		m.cached.WithLabelValues(result).Inc()
	}
}

// What a repeated write gets: the recorded answer, the answer of the call that is
// sending it, no answer because its result is unknown, or that it is sent again.
const (
	RepeatAnswered  = "answered"
	RepeatWaited    = "waited"
	RepeatUnknown   = "unknown"
	RepeatSentAgain = "sent_again"
)

// Repeated counts a repeated write by what it got.
func (m *APIMetrics) Repeated(got string) {
	if m != nil {
		m.repeats.WithLabelValues(got).Inc()
	}
}

// Background counts a call that ended in the background.
func (m *APIMetrics) Background(outcome call.Outcome) {
	if m != nil {
		m.behind.WithLabelValues(string(outcome)).Inc()
	}
}

// watchCache collects the cache's statistics at each scrape.
func (m *Metrics) watchCache(c *cache.Cache) {
	registerOrExisting(m.registry, prometheus.Collector(cacheCollector{c}))
}

// cacheCollector collects the cache's statistics.
type cacheCollector struct{ cache *cache.Cache }

var (
	cacheEntriesDesc = prometheus.NewDesc("switchboard_cache_entries",
		"Answers in the cache, approximately.", nil, nil)
	cacheBytesDesc = prometheus.NewDesc("switchboard_cache_bytes",
		"Memory used by the answers in the cache, approximately.", nil, nil)
	cacheDroppedDesc = prometheus.NewDesc("switchboard_cache_dropped_total",
		"Answers that the cache dropped, by reason: refused (stored too fast, or requested less often than the others) or evicted (to make room).", []string{"why"}, nil)
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

// watch collects the states of the keepers at each scrape.
func (m *Metrics) watch(states func() []token.State) {
	registerOrExisting(m.registry, prometheus.Collector(tokenCollector(states)))
}

// tokenCollector collects the states of the keepers.
type tokenCollector func() []token.State

var (
	tokenStateDesc = prometheus.NewDesc("switchboard_token_state",
		"1 for the state that the token source is in.", []string{"token", "state"}, nil)
	tokenExpiryDesc = prometheus.NewDesc("switchboard_token_expiry_timestamp_seconds",
		"When the current token expires; 0 for never.", []string{"token"}, nil)
	tokenObtainedDesc = prometheus.NewDesc("switchboard_token_obtained_timestamp_seconds",
		"When the current token was obtained, or a static one was loaded; 0 for none.", []string{"token"}, nil)
	tokenGenerationDesc = prometheus.NewDesc("switchboard_token_generation",
		"Number of the current token, counted across restarts and instances.", []string{"token"}, nil)
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

// seconds converts a time for Prometheus; 0 for the zero time.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1e3
}
