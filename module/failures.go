package switchboard

import (
	"sync"

	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// keptFailures is how many calls of an API are kept that had no answer of its own.
const keptFailures = 50

// failures are the last of them, masked. They are in memory alone.
type failures struct {
	mu   sync.Mutex
	ring [keptFailures]adminapi.Trace
	next int
	n    int
}

// Failed keeps a call that had no answer of the API's own.
func (s *APIState) Failed(t adminapi.Trace) {
	f := &s.failures
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ring[f.next] = t
	f.next = (f.next + 1) % keptFailures
	f.n = min(f.n+1, keptFailures)
}

// Failures returns those that are kept, newest first; those of one phone call, when
// its id is given.
func (s *APIState) Failures(callID string) []adminapi.Trace {
	f := &s.failures
	f.mu.Lock()
	defer f.mu.Unlock()
	found := make([]adminapi.Trace, 0, f.n)
	for i := range f.n {
		t := f.ring[(f.next-1-i+2*keptFailures)%keptFailures]
		if callID == "" || t.CallID == callID {
			found = append(found, t)
		}
	}
	return found
}
