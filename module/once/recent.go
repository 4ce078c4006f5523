package once

import (
	"sync"
	"time"
)

// recent keeps records of answered writes in memory for a moment: most repeats come
// within seconds, and reading a record from disk takes longer than all else that answers
// a repeat. A record that an operator forgets in another instance is answered from for
// that moment, too.
type recent struct {
	mu   sync.Mutex
	kept map[string]kept // by the write's key
}

type kept struct {
	record *Record
	until  time.Time
}

const (
	recentFor = 5 * time.Second
	// maxRecent and maxRecentAnswer bound the memory to 4 MiB for each API.
	maxRecent       = 256
	maxRecentAnswer = 16 << 10
)

// get returns the record of a key, which must not be changed, or nil.
func (c *recent) get(key string, now time.Time) *Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	it, ok := c.kept[key]
	if !ok || !now.Before(it.until) || !now.Before(it.record.Expires) {
		return nil
	}
	return it.record
}

// put keeps a record, if it has an answer that is not too large.
func (c *recent) put(r *Record, now time.Time) {
	if !r.Outcome.Answered() || len(r.Answer) > maxRecentAnswer {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil {
		c.kept = make(map[string]kept)
	}
	if len(c.kept) >= maxRecent {
		for key := range c.kept { // any of them: looking for the oldest would cost more
			delete(c.kept, key)
			break
		}
	}
	c.kept[r.Key] = kept{r, now.Add(recentFor)}
}

func (c *recent) drop(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.kept, key)
}
