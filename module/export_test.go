package switchboard

import "time"

// Reset moves the last failure of an API into the past.
func (s *APIState) Reset() {
	s.transitions.Lock()
	defer s.transitions.Unlock()
	s.last = time.Time{}
}

// Silence moves the last failure of an API into the past, and ends the wait that ends
// the degradation.
func (s *APIState) Silence() {
	s.Reset()
	s.transitions.Lock()
	defer s.transitions.Unlock()
	s.timer.Reset(0)
}
