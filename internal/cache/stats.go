package cache

import "sync/atomic"

// Stats tell how a cache does. All but Entries and Bytes are counted since it
// was made, purges included.
type Stats struct {
	Entries int64 // approximate
	Bytes   int64 // that they take on the heap, as they are accounted; approximate
	Hits    uint64
	Misses  uint64
	Dropped uint64 // not kept: put too fast, or asked for less than what is there
	Evicted uint64 // to make room; not those that have expired
}

type counters struct{ hits, misses, dropped, evicted atomic.Uint64 }

// Stats returns the numbers as they are. It costs next to nothing.
func (c *Cache) Stats() Stats {
	c.mu.RLock()
	s := c.store
	c.mu.RUnlock()
	stats := Stats{
		Hits:    c.count.hits.Load(),
		Misses:  c.count.misses.Load(),
		Dropped: c.count.dropped.Load(),
		Evicted: c.count.evicted.Load(),
	}
	if s != nil {
		stats.Entries, stats.Bytes = s.entries.Load(), s.bytes.Load()
	}
	return stats
}
