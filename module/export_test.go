package switchboard

import "time"

// Calm makes a standing's last failure one of long ago.
func (s *APIState) Reset() {
	s.turning.Lock()
	defer s.turning.Unlock()
	s.last = time.Time{}
}

// Silence makes a standing's last failure one of long ago, and its time for the end
// of the degradation come.
func (s *APIState) Silence() {
	s.Reset()
	s.turning.Lock()
	defer s.turning.Unlock()
	s.silence.Reset(0)
}

// OccupyPlayground takes all turns of the playground, until end is called.
func OccupyPlayground() (end func()) {
	for range playgroundTurns {
		playgroundBusy <- struct{}{}
	}
	return func() {
		for range playgroundTurns {
			<-playgroundBusy
		}
	}
}
