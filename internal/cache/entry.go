package cache

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Entry is one answer. Once put it is immutable: whoever gets it shares it with
// all others.
type Entry struct {
	Outcome string // "ok", "not_found", …
	Status  int    // HTTP status that it was answered with, 0 for the usual one
	Text    []byte // the answer as it was written
	Source  []byte // what it was written of, where it may be written anew; or nil

	// Stored is when the answer was got. The time at which the call for it began
	// is the better choice: then the age is never told too low, and a purge
	// also reaches the calls that are under way. A zero Stored is now.
	Stored time.Time

	// Fresh is until when the answer is served as it is.
	Fresh time.Time
	// StaleWhileRevalidate is until when it is served at once while a renewal
	// runs: not before Fresh, or zero.
	StaleWhileRevalidate time.Time
	// StaleIfError is until when it is served if the API fails, or zero.
	StaleIfError time.Time

	// Note is something small that the user of the cache wants to know again. What
	// has the same note can be removed together, by [Cache.PurgeNote].
	Note string
}

// Expires is the latest of the three times until which an entry is served.
func (e *Entry) Expires() time.Time {
	return slices.MaxFunc([]time.Time{e.Fresh, e.StaleWhileRevalidate, e.StaleIfError}, time.Time.Compare)
}

// overhead is what an entry takes beside its strings: itself and the item (280
// bytes), and its places in ristretto's maps of values, costs and expiries,
// which are two thirds full on average. TestHeap measures it.
const overhead = 490

func (e *Entry) cost() int64 {
	return overhead + int64(len(e.Text)+len(e.Source)+len(e.Outcome)+len(e.Note))
}

// item is what is kept of an entry. Its entry becomes nil when it must not be
// served any more, wherever ristretto has it at the time, and its memory with it.
type item struct {
	key        Key
	entry      atomic.Pointer[Entry]
	cost       int64
	group      *group
	generation uint64 // of the group; older ones are purged
}

// newItem copies: a text is often part of a larger buffer, which the entry
// would hold in memory without paying for it.
func newItem(k Key, e *Entry, g *group, generation uint64) *item {
	kept := *e
	kept.Text = append([]byte(nil), e.Text...)
	kept.Source = append([]byte(nil), e.Source...)
	cost := e.cost() - int64(len(e.Text)+len(e.Source)) + int64(cap(kept.Text)+cap(kept.Source))
	kept.Text, kept.Source = slices.Clip(kept.Text), slices.Clip(kept.Source) // nobody can append into them
	kept.Outcome = strings.Clone(e.Outcome)
	kept.Note = strings.Clone(e.Note)
	i := &item{key: k, cost: cost, group: g, generation: generation}
	i.entry.Store(&kept)
	return i
}

// live returns the entry, unless it was superseded, deleted or purged.
func (i *item) live() *Entry {
	if i.generation != i.group.generation.Load() {
		return nil
	}
	return i.entry.Load()
}
