package switchboard

import (
	"fmt"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/internal/cache"
)

// caches outlive a reload: a new configuration finds the old answers.
var caches = caddy.NewUsagePool()

// heldCache is a cache that a configuration holds in the pool.
type heldCache struct {
	*cache.Cache
	size  int64
	letGo sync.Once
}

// Cache returns the cache of answers that all routes share. A handler calls it
// in its Provision; a cache that nobody asks for isn't there. It may be used
// after the configuration has gone: then it is empty.
func (a *App) Cache() (*cache.Cache, error) {
	if a.cache != nil {
		return a.cache.Cache, nil
	}
	size := a.cacheSize()
	value, _, err := caches.LoadOrNew(size, func() (caddy.Destructor, error) {
		return cache.New(cache.Options{Size: size})
	})
	if err != nil {
		return nil, fmt.Errorf("cache_size: %w", err)
	}
	a.cache = &heldCache{Cache: value.(*cache.Cache), size: size}
	a.metrics.watchCache(a.cache.Cache)
	return a.cache.Cache, nil
}

func (a *App) cacheSize() int64 {
	if a.CacheSize == 0 {
		return cache.DefaultSize
	}
	return a.CacheSize
}

func (a *App) checkCacheSize() error {
	if a.CacheSize != 0 && a.CacheSize < cache.MinSize {
		return fmt.Errorf("cache_size is %d bytes; write at least 1MiB", a.CacheSize)
	}
	return nil
}

func (a *App) releaseCache() {
	if a.cache != nil {
		a.cache.letGo.Do(func() { _, _ = caches.Delete(a.cache.size) })
	}
}

// customerWritten forgets what lookups have answered: any of it may be about
// that customer, as a telephone number can move from one to another.
func (a *App) customerWritten() {
	if a.cache != nil {
		a.cache.PurgeGroup(LookupName)
	}
}

// customerErased forgets all answers, those of APIs too: nobody can tell from
// their keys whom they are about.
func (a *App) customerErased() {
	if a.cache != nil {
		a.cache.Purge()
	}
}
