package cache

import (
	"encoding/binary"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/ristretto/v2"
)

// store is one life of a cache: from the first Put to a purge. It is closed
// when nobody can call it any more, as ristretto panics otherwise.
type store struct {
	lru     *ristretto.Cache[uint64, *item]
	pending pending
	last    *item // taken out of ristretto's buffer last; its goroutine's own
	count   *counters
	entries atomic.Int64
	bytes   atomic.Int64
	closing atomic.Bool
}

// What a store takes before there is anything in it.
const (
	// perCounter is how many bytes of the cache there are for each of the
	// counters by which ristretto tells what is asked for often. There are
	// several to a usual answer, and they take a 32nd of the size.
	perCounter   = 128
	counterBytes = 4
	bufferBytes  = 320 << 10 // ristretto's buffer of 32768 pointers, and its empty maps
)

func newStore(size int64, count *counters) *store {
	s := &store{count: count, pending: pending{limit: size / 8}}
	counters := int64(1) << (bits.Len64(uint64(size/perCounter)) - 1) //nolint:gosec // size is positive; ristretto would round up
	lru, err := ristretto.NewCache(&ristretto.Config[uint64, *item]{
		NumCounters:        counters,
		MaxCost:            size - counters*counterBytes - bufferBytes,
		BufferItems:        64,
		IgnoreInternalCost: true, // it is in the cost
		Cost:               s.taken,
		OnReject:           func(*ristretto.Item[*item]) { s.count.dropped.Add(1) },
		OnEvict:            s.evicted,
		OnExit:             s.left,
		// A value is never overwritten in place: that would bypass the size, and
		// an older value waiting in the buffer would win over it.
		ShouldUpdate: func(_, _ *item) bool { return false },
	})
	if err != nil { // it checks for numbers below 1
		panic(err)
	}
	s.lru = lru
	return s
}

// slot is where ristretto keeps a key: half of its hash, which it would make of
// a longer key by way of the heap. Two keys in one slot displace each other; all
// of the key is compared in get.
func slot(k Key) uint64 { return binary.NativeEndian.Uint64(k[:]) }

func (s *store) get(k Key) *Entry {
	i, ok := s.lru.Get(slot(k))
	if !ok || i == nil || i.key != k {
		return nil
	}
	return i.live()
}

// add hands an item to ristretto. Its key was forgotten before, under the same
// lock.
func (s *store) add(i *item, ttl time.Duration) bool {
	if !s.pending.add(i) {
		return false
	}
	if !s.lru.SetWithTTL(slot(i.key), i, 0, ttl) { // 0: as taken says
		s.pending.taken(i)
		s.pending.settled(i)
		return false
	}
	return true
}

// forget removes what was put under a key. Ristretto may have that in its
// buffer or in its map; first comes the buffer, where things leave to the map.
// The Del is needed as ristretto refuses what it has already.
func (s *store) forget(k Key) {
	if i := s.pending.get(k); i != nil {
		i.entry.Store(nil)
	}
	if i, ok := s.lru.Get(slot(k)); ok && i != nil {
		i.entry.Store(nil)
	}
	s.lru.Del(slot(k))
}

// taken is called by ristretto's goroutine when it takes an item out of its
// buffer, just before it is put into the map or rejected. When the next one
// comes, that has happened.
func (s *store) taken(i *item) int64 {
	if s.last != nil {
		s.pending.settled(s.last)
	}
	s.last = i
	s.pending.taken(i)
	s.entries.Add(1)
	s.bytes.Add(i.cost)
	return i.cost
}

// left is called for each item that was taken in when it goes, for whatever
// reason; with nil, when a Del found nothing.
func (s *store) left(i *item) {
	if i == nil {
		return
	}
	s.entries.Add(-1)
	s.bytes.Add(-i.cost)
}

// evicted is called for what has no room, and for what has expired.
func (s *store) evicted(i *ristretto.Item[*item]) {
	if i.Expiration.IsZero() && i.Value != nil && !s.closing.Load() {
		s.count.evicted.Add(1)
	}
}

// close ends ristretto's goroutines. Nobody may call the store meanwhile.
func (s *store) close() {
	if s != nil {
		s.closing.Store(true)
		s.lru.Close()
	}
}

// group is what is purged together.
type group struct {
	generation atomic.Uint64
	purged     moment
}

func (c *Cache) group(name string) *group {
	if g, ok := c.groups.Load(name); ok {
		return g.(*group)
	}
	g, _ := c.groups.LoadOrStore(name, new(group))
	return g.(*group)
}

// PurgeGroup removes all entries of a group. When it returns, nothing that was
// put before is served, and an entry whose Stored is before is refused. Apart
// from entries that are being put at this moment, they are gone from memory.
func (c *Cache) PurgeGroup(name string) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return
	}
	g := c.group(name)
	g.purged.now()
	generation := g.generation.Add(1)
	if c.store == nil {
		return
	}
	c.removeWhere(func(i *item) bool { return i.group == g && i.generation < generation })
}

// PurgeNote removes the entries of a group whose note is that one, as far as they
// have been taken in, and tells how many there were. A call that is under way may
// bring one back.
func (c *Cache) PurgeNote(group, note string) int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.store == nil {
		return 0
	}
	g := c.group(group)
	return c.removeWhere(func(i *item) bool {
		e := i.live()
		return i.group == g && e != nil && e.Note == note
	})
}

func (c *Cache) removeWhere(old func(*item) bool) int {
	c.store.lru.Wait() // so that all are found
	var found []*item
	c.store.lru.IterValues(func(i *item) (stop bool) {
		if old(i) {
			found = append(found, i)
		}
		return false
	})
	for _, i := range found {
		i.entry.Store(nil)
		c.drop(i)
	}
	return len(found)
}

// drop removes an item, unless another one is in its place.
func (c *Cache) drop(i *item) {
	mu := c.lock(i.key)
	defer mu.Unlock()
	if now, ok := c.store.lru.Get(slot(i.key)); ok && now == i {
		c.store.lru.Del(slot(i.key))
	}
}

// Purge removes everything. When it returns, nothing that was put before is
// served or in memory, and an entry whose Stored is before is refused.
func (c *Cache) Purge() {
	c.mu.Lock()
	s := c.store
	c.store = nil
	c.groups.Clear()
	c.purged.now()
	c.mu.Unlock()
	s.close()
}

// moment is a time that is read and written at once.
type moment struct{ atomic.Pointer[time.Time] }

func (m *moment) now() {
	t := time.Now()
	m.Store(&t)
}

// after reports whether the moment has come after a time that is known.
func (m *moment) after(t time.Time) bool {
	p := m.Load()
	return p != nil && !t.IsZero() && p.After(t)
}
