package switchboard

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchboard-ivr/switchboard/internal/cache"
	"github.com/switchboard-ivr/switchboard/internal/call"
)

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
