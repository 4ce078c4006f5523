package switchboard

import "github.com/prometheus/client_golang/prometheus"

// BreakerStates are the states of an API's breaker, by their numbers as a metric.
var BreakerStates = []string{"closed", "half-open", "open"}

// Breaker is an API that may have a breaker.
type Breaker interface {
	// BreakerState is one of BreakerStates, "" without a breaker.
	BreakerState() string
}

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
	api, _ := a.registered(name)
	if b, ok := api.(Breaker); ok {
		return b.BreakerState()
	}
	return ""
}
