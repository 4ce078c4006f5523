package cache

import "sync"

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
