package mask

import (
	"maps"
	"sync"
	"sync/atomic"
)

// configured are the names that count as those of secrets because a configuration
// says so, squashed, with how many say it. The map is never changed.
var configured struct {
	mu    sync.Mutex // held while the map is replaced
	names atomic.Pointer[map[string]int]
}

// AddSecrets makes names those of secrets, beside the ones that look like it: a
// header that a key comes in, a parameter that a token goes out with. They are
// compared whole. They stay until remove is called; configurations may overlap.
func AddSecrets(names []string) (remove func()) {
	names = squashed(names)
	count(names, 1)
	return sync.OnceFunc(func() { count(names, -1) })
}

// squashed returns what is compared of the names that don't look like secrets
// anyway.
func squashed(names []string) []string {
	out := make([]string, 0, len(names))
	for _, name := range names {
		n := squash(make([]byte, 0, len(name)), name)
		if len(n) > 0 && !matches(name, secretParts, secretEnds, secretNames) {
			out = append(out, string(n))
		}
	}
	return out
}

func count(names []string, by int) {
	configured.mu.Lock()
	defer configured.mu.Unlock()
	all := make(map[string]int)
	if now := configured.names.Load(); now != nil {
		maps.Copy(all, *now)
	}
	for _, name := range names {
		if all[name] += by; all[name] <= 0 {
			delete(all, name)
		}
	}
	if len(all) == 0 {
		configured.names.Store(nil)
		return
	}
	configured.names.Store(&all)
}

// isConfigured reports whether a configuration says that a name is that of a
// secret.
func isConfigured(name string) bool {
	all := configured.names.Load()
	if all == nil {
		return false
	}
	var buf [nameSize]byte
	return (*all)[string(squash(buf[:0], name))] > 0
}
