package issuer

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// recheckAfter is the age at which what is known of a family is read again,
	// in the background; staleAfter the age up to which it is used meanwhile. So a
	// token that was revoked on another instance works for 5 s at most.
	recheckAfter = 2 * time.Second
	staleAfter   = 5 * time.Second
	// absentFor is how long a family that isn't in the storage isn't looked for.
	absentFor = time.Second
	// readPatience is how long a check waits for the storage, readLimit how long
	// a read may take, readPause how long a storage that failed is left alone.
	readPatience = time.Second
	readLimit    = 5 * time.Second
	readPause    = time.Second
	// mostReads bounds the goroutines of a storage that hangs.
	mostReads = 1024
)

// family is what this instance remembers of one family.
type family struct {
	known atomic.Pointer[known] // nil: nothing yet
	turn  chan struct{}         // taken by the one who changes the record

	failing atomic.Bool // the last read failed

	mu      sync.Mutex
	reading *reading  // the read under way
	pause   time.Time // no read before
}

// known is what the storage said at a time. Without a record: there is none.
type known struct {
	record *record
	at     time.Time
}

// reading is a read of the record that is under way.
type reading struct {
	done  chan struct{}
	began time.Time
}

// look gives a family's record, nil when there is none. A token of a later
// generation than the record that is known asks for the storage's word at once.
// While the storage fails, what was known last counts.
func (s *state) look(ctx context.Context, st store, of lineage, generation uint32) (*record, error) {
	f := s.family(of)
	for range 2 { // the first read may have begun before the record was written
		k := f.known.Load()
		usable := k != nil && k.record != nil && k.record.Generation >= generation
		var age time.Duration
		if k != nil {
			age = time.Since(k.at)
		}
		switch {
		case usable && age < recheckAfter:
			return k.record, nil
		case k != nil && k.record == nil && age < absentFor:
			return nil, nil
		}
		r := f.read(s, st, of)
		if usable && (age < staleAfter || f.failing.Load()) {
			return k.record, nil
		}
		r.wait(ctx)
	}
	k := f.known.Load()
	switch {
	case k == nil:
		return nil, ErrUnavailable
	case k.record != nil && k.record.Generation >= generation:
		return k.record, nil
	case time.Since(k.at) < recheckAfter:
		return k.record, nil
	default:
		return nil, ErrUnavailable // nothing new came, and the old won't do
	}
}

// read gives the read that is under way, or starts one. It gives nil when the
// storage is to be left alone.
func (f *family) read(s *state, st store, of lineage) *reading {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reading != nil {
		return f.reading
	}
	if time.Now().Before(f.pause) || s.reads.Load() >= mostReads {
		return nil
	}
	r := &reading{done: make(chan struct{}), began: time.Now()}
	f.reading = r
	s.reads.Add(1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), readLimit)
		defer cancel()
		var rec *record
		err := recovered(func() (err error) {
			rec, err = st.load(ctx, of)
			return err
		})
		s.reads.Add(-1)
		f.failing.Store(err != nil)
		f.mu.Lock()
		f.reading = nil
		if err != nil {
			f.pause = time.Now().Add(readPause)
		} else {
			f.learnLocked(rec, r.began)
		}
		f.mu.Unlock()
		close(r.done)
	}()
	return r
}

// wait waits for a read, but never longer than readPatience after its begin: of
// a storage that hangs, the first few who ask wait, and nobody after them.
func (r *reading) wait(ctx context.Context) {
	if r == nil {
		return
	}
	timer := time.NewTimer(time.Until(r.began.Add(readPatience)))
	defer timer.Stop()
	select {
	case <-r.done:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// learn takes over what the storage held at a time, and gives what is known
// then.
func (f *family) learn(rec *record, at time.Time) *record {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.learnLocked(rec, at)
	return f.known.Load().record
}

// learnLocked never goes back: neither to an earlier generation, as a storage
// may that lost its last write, nor behind a revocation that couldn't be stored.
func (f *family) learnLocked(rec *record, at time.Time) {
	if k := f.known.Load(); k != nil {
		if at.Before(k.at) {
			return
		}
		if old := k.record; old != nil && rec != nil {
			switch {
			case rec.Generation < old.Generation:
				rec = old
			case old.Revoked && !rec.Revoked:
				rec = rec.revoked()
			}
		}
	}
	f.known.Store(&known{record: rec, at: at})
}
