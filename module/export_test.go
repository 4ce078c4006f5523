package module

import "time"

// Calm makes a standing's last failure one of long ago.
func (s *Standing) Calm() {
	s.turning.Lock()
	defer s.turning.Unlock()
	s.last = time.Time{}
}

// Silence makes a standing's last failure one of long ago, and its time for the end
// of the degradation come.
func (s *Standing) Silence() {
	s.Calm()
	s.turning.Lock()
	defer s.turning.Unlock()
	s.silence.Reset(0)
}
