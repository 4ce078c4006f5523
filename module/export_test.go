package module

import "time"

// Calm makes a standing's last failure one of long ago.
func (s *Standing) Calm() {
	s.turning.Lock()
	defer s.turning.Unlock()
	s.last = time.Time{}
}
