// Package cache keeps answers in memory, so that a call needn't wait for the
// API, or has something to say when the API fails.
//
// It stands on ristretto, which decides what is worth its memory, and makes up
// for what ristretto leaves to its users:
//
//   - A key is a keyed digest, and all of it is compared on a hit. Nobody can
//     find out from a key, or by trying keys, whose telephone number it is of.
//   - What was put before is never served after a later Put of the same key, a
//     Delete or a purge has returned, and is not held in memory any more.
//   - The size is one of heap: what an entry needs beside its text counts, and
//     so does what has not been taken in yet.
//   - Every method is safe at any time and from any goroutine, also during and
//     after Destruct.
//
// It is a cache all the same: an entry may be refused, found not worth keeping
// or be dropped at any time. So an answer goes from the API to those who wait
// for it directly, never by way of the cache, and a token is never in it.
//
// A Cache without entries has no goroutine and takes no memory to speak of.
package cache

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"sync"
	"sync/atomic"
	"time"
)

// Sizes in bytes.
const (
	DefaultSize = 64 << 20
	MinSize     = 1 << 20
)

// Cache is a bounded set of answers. Make it with [New] and end it with
// Destruct, once nothing that is to be answered from it is under way.
type Cache struct {
	size   int64
	secret [32]byte
	macs   sync.Pool // of *mac
	count  counters

	mu     sync.RWMutex // held for writing while store is replaced
	closed bool
	store  *store   // nil until something is put
	groups sync.Map // string to *group
	purged moment   // when Purge was last called

	order [64]sync.Mutex // one change of a key at a time
}

// New makes an empty cache with a key of its own: [Cache.Key] of another cache,
// or after a restart, gives other keys. The size is the heap that the cache may take,
// in bytes, with all that belongs to it. New fails for one below [MinSize].
func New(size int64) (*Cache, error) {
	if size < MinSize {
		return nil, fmt.Errorf("a cache of %d bytes is too small: want at least %d", size, MinSize)
	}
	c := &Cache{size: size}
	_, _ = rand.Read(c.secret[:]) // never fails: crypto/rand
	c.macs.New = func() any { return &mac{hash: hmac.New(sha256.New, c.secret[:])} }
	return c, nil
}

// Get returns the entry of a key, unless all its times are over. The entry is
// shared: it must not be changed.
func (c *Cache) Get(k Key) (*Entry, bool) {
	c.mu.RLock()
	s := c.store
	var e *Entry
	if s != nil {
		e = s.get(k)
	}
	c.mu.RUnlock()
	if e == nil || !time.Now().Before(e.Expires()) {
		c.count.misses.Add(1)
		return nil, false
	}
	c.count.hits.Add(1)
	return e, true
}

// Put keeps an entry under a key, for purging in a group (an API's name, say;
// groups are never forgotten before Purge). The cache makes a copy, of the text
// too.
//
// It returns false when the entry is refused: larger than a sixteenth of the
// cache, past its times, from before a purge (its Stored is), put faster than
// the cache takes entries in, or after Destruct. True doesn't promise that the
// entry stays, or that Get finds it at once; see Wait.
//
// In any case Get no longer returns what was put under that key before, except
// when the entry is from before a purge.
func (c *Cache) Put(group string, k Key, e *Entry) bool {
	if e == nil {
		return false
	}
	c.mu.RLock()
	for c.store == nil {
		c.mu.RUnlock()
		if !c.open() {
			return false
		}
		c.mu.RLock()
	}
	defer c.mu.RUnlock()

	g := c.group(group)
	generation := g.generation.Load() // before purged is looked at: PurgeGroup does it the other way round
	if c.purged.after(e.Stored) || g.purged.after(e.Stored) {
		return false
	}
	left := time.Until(e.Expires())
	if left <= 0 || e.cost() > c.size/16 {
		c.forget(k)
		return false
	}
	i := newItem(k, e, g, generation)

	mu := c.lock(k)
	defer mu.Unlock()
	c.store.forget(k)
	if !c.store.add(i, left) {
		c.count.dropped.Add(1)
		return false
	}
	return true
}

// Delete removes the entry of a key.
func (c *Cache) Delete(k Key) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.store != nil {
		c.forget(k)
	}
}

func (c *Cache) forget(k Key) {
	mu := c.lock(k)
	defer mu.Unlock()
	c.store.forget(k)
}

// Wait returns when Get finds what was put before, as far as it is kept.
func (c *Cache) Wait() {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.store != nil {
		c.store.lru.Wait()
	}
}

// Destruct empties the cache for good and ends its goroutines. Afterwards Put
// refuses, Get finds nothing and the other methods do nothing. It always
// returns nil, and may be called again.
func (c *Cache) Destruct() error {
	c.mu.Lock()
	s := c.store
	c.store, c.closed = nil, true
	c.groups.Clear()
	c.mu.Unlock()
	s.close()
	return nil
}

// open makes the store, and reports whether there may be one. The caller looks
// again whether it is there, as a purge may come between.
func (c *Cache) open() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.store == nil && !c.closed {
		c.store = newStore(c.size, &c.count)
	}
	return !c.closed
}

func (c *Cache) lock(k Key) *sync.Mutex {
	mu := &c.order[k[len(k)-1]%byte(len(c.order))]
	mu.Lock()
	return mu
}

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

// pending are the items that ristretto has in its buffer, where it can't find
// them: the latest of each key. With them, an item can be made invalid before
// it appears, and large ones can't fill the buffer of 32768 with more than the
// size of the cache.
type pending struct {
	limit int64

	mu    sync.Mutex // held for a moment only: ristretto's goroutine takes it
	items map[Key]*item
	peak  int
	bytes int64
}

func (p *pending) add(i *item) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bytes+i.cost > p.limit {
		return false
	}
	if p.items == nil {
		p.items = map[Key]*item{}
	}
	p.items[i.key] = i
	p.peak = max(p.peak, len(p.items))
	p.bytes += i.cost
	return true
}

func (p *pending) get(k Key) *item {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.items[k]
}

// taken says that an item doesn't wait any more.
func (p *pending) taken(i *item) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes -= i.cost
}

// settled says that ristretto finds an item, or has rejected it.
func (p *pending) settled(i *item) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.items[i.key] == i {
		delete(p.items, i.key)
	}
	if len(p.items) == 0 && p.peak > 1024 { // a map never shrinks
		p.items, p.peak = nil, 0
	}
}

// Key is a keyed digest of what an answer depends on; [Cache.Key] makes it. Who
// has a key, but not the cache, can't find out what it was made of by trying.
type Key [sha256.Size]byte

// AppendPart appends one part of what an answer depends on to dst: its length,
// then its bytes. Different lists of parts never become the same bytes, however
// the parts are cut.
func AppendPart(dst []byte, part string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(part)))
	return append(dst, part...)
}

// Key returns the key of what an answer depends on, which the caller has
// written down in one way only: best with [AppendPart]. It doesn't allocate and
// keeps nothing of it.
func (c *Cache) Key(canonical []byte) (k Key) {
	m := c.macs.Get().(*mac)
	m.hash.Reset()
	for len(canonical) > 0 { // by way of a buffer, so that the caller's may be on the stack
		n := copy(m.block[:], canonical)
		m.hash.Write(m.block[:n])
		canonical = canonical[n:]
	}
	copy(k[:], m.hash.Sum(m.block[:0]))
	clear(m.block[:])
	c.macs.Put(m)
	return k
}

// mac is HMAC-SHA256 with the memory for one block.
type mac struct {
	hash  hash.Hash
	block [256]byte
}
