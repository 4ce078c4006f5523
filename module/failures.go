package switchboard

import (
	"sync"

	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// keptFailures is how many failed calls are kept for each API.
const keptFailures = 50

// failures is a ring of the last failed calls, masked. It is in memory only.
type failures struct {
	mu   sync.Mutex
	ring [keptFailures]adminapi.Trace
	next int
	n    int
}

// Failed keeps the trace of a failed call.
func (s *APIState) Failed(t adminapi.Trace) {
	f := &s.failures
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ring[f.next] = t
	f.next = (f.next + 1) % keptFailures
	f.n = min(f.n+1, keptFailures)
}

// Failures returns the failed calls that are kept, newest first; with a callID,
// only those of that phone call.
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
