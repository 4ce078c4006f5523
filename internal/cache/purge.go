package cache

import (
	"sync/atomic"
	"time"
)

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

// after tells whether the moment has come after a time that is known.
func (m *moment) after(t time.Time) bool {
	p := m.Load()
	return p != nil && !t.IsZero() && p.After(t)
}
