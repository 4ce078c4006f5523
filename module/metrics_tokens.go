package switchboard

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchboard-ivr/switchboard/module/token"
)

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
