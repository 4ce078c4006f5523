package issuer

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Authenticate checks the access token of a request and returns whose it is: the
// principal is the client's app_key. It doesn't ask the storage, except for a
// token that this instance hasn't seen for the last 5 s.
func (i *Issuer) Authenticate(r *http.Request) (principal string, ok bool) {
	raw, found := i.accept.find(r)
	if !found {
		i.logger.Debug("no access token")
		return "", false
	}
	c, err := i.check(r.Context(), raw)
	if err != nil {
		_ = i.logResult(r.Context(), "access token", c, err)
		return "", false
	}
	return c.key, true
}

// Admit is Authenticate, and takes the token out of the request when it opens, so
// that it doesn't reach the handlers behind. The same issuer admits the same request again.
func (i *Issuer) Admit(r *http.Request) (principal string, ok bool) {
	const key = "switchboard.issuer."
	vars, _ := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	if principal, ok = vars[key+i.name].(string); ok {
		return principal, true
	}
	if principal, ok = i.Authenticate(r); !ok {
		return "", false
	}
	i.accept.consume(r)
	if vars != nil {
		vars[key+i.name] = principal
	}
	return principal, true
}

// CredentialName is the header or query parameter that carries an access token.
func (i *Issuer) CredentialName() string { return i.accept.Name }

func (i *Issuer) check(ctx context.Context, raw string) (*client, error) {
	t, c, _, err := i.verify(raw, accessToken)
	if err != nil {
		return c, err
	}
	rec, err := i.state.familyRecord(ctx, i.store(), t.lineage(), t.generation())
	if err != nil {
		return c, err
	}
	return c, rec.admits(&t, time.Now())
}

// verify checks all that a token says by itself: whether it is one of ours, and
// whose, and with which secret's key it was made.
func (i *Issuer) verify(raw string, want kind) (t issued, c *client, with *secret, err error) {
	t, ok := parseToken(raw)
	if !ok {
		return t, nil, nil, errMalformed
	}
	if c = i.clients.byID[t.lineage().client]; c == nil {
		return t, nil, nil, errUnknownClient
	}
	switch with = c.secretOf(&t); {
	case with == nil:
		return t, c, nil, errForged
	case t.kind() != want:
		return t, c, nil, errWrongKind
	case !time.Now().Before(t.expires()):
		return t, c, nil, errExpired
	}
	return t, c, with, nil
}

const (
	// recheckAfter is the age at which what is known of a family is read again,
	// in the background; staleAfter the age up to which it is used meanwhile. So a
	// token that was revoked on another instance works for 5 s at most.
	recheckAfter = 2 * time.Second
	staleAfter   = 5 * time.Second
	// absentFor is how long a family that isn't in the storage isn't looked for.
	absentFor = time.Second
	// readWait is how long a check waits for the storage, readPause how long a storage that failed is left alone.
	readWait  = time.Second
	readPause = time.Second
	// maxReads bounds the goroutines of a storage that hangs.
	maxReads = 1024
)

// family is what this instance remembers of one family.
type family struct {
	known   atomic.Pointer[known] // never nil
	writing chan struct{}         // taken by the one who changes the record

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

// nothingKnown is what is known of a family at first.
var nothingKnown known

// reading is a read of the record that is under way.
type reading struct {
	done  chan struct{}
	began time.Time
}

// familyRecord returns a family's record, nil when there is none. A token of a later
// generation than the record that is known asks for the storage's word at once.
// While the storage fails, what was known last counts.
func (s *state) familyRecord(ctx context.Context, st store, of lineage, generation uint32) (*record, error) {
	f := s.family(of)
	for range 2 { // the first read may have begun before the record was written
		k := f.known.Load()
		usable, age := k.record != nil && k.record.Generation >= generation, time.Since(k.at)
		switch {
		case usable && age < recheckAfter:
			return k.record, nil
		case k.record == nil && age < absentFor:
			return nil, nil
		}
		r := f.read(s, st, of)
		if usable && (age < staleAfter || f.failing.Load()) {
			return k.record, nil
		}
		r.wait(ctx)
	}
	k := f.known.Load()
	if k.record != nil && k.record.Generation >= generation || time.Since(k.at) < recheckAfter {
		return k.record, nil
	}
	return nil, ErrUnavailable // nothing new came, and the old won't do
}

// read returns the read that is under way, or starts one. It returns nil when the
// storage is to be left alone.
func (f *family) read(s *state, st store, of lineage) *reading {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reading != nil {
		return f.reading
	}
	if time.Now().Before(f.pause) || s.reads.Load() >= maxReads {
		return nil
	}
	r := &reading{done: make(chan struct{}), began: time.Now()}
	f.reading = r
	s.reads.Add(1)
	go func() {
		rec, err := st.load(context.Background(), of) // it goes on when a caller leaves
		s.reads.Add(-1)
		f.failing.Store(err != nil)
		f.mu.Lock()
		f.reading = nil
		if err != nil {
			f.pause = time.Now().Add(readPause)
		} else {
			f.updateLocked(rec, r.began)
		}
		f.mu.Unlock()
		close(r.done)
	}()
	return r
}

// wait waits for a read, but never longer than readWait after its start: of
// a storage that hangs, the first few who ask wait, and nobody after them.
func (r *reading) wait(ctx context.Context) {
	if r == nil {
		return
	}
	select {
	case <-r.done:
	case <-time.After(time.Until(r.began.Add(readWait))):
	case <-ctx.Done():
	}
}

// update takes over what the storage held at a time, and returns what is known
// then.
func (f *family) update(rec *record, at time.Time) *record {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.updateLocked(rec, at)
	return f.known.Load().record
}

// updateLocked never goes back: neither to an earlier generation, as a storage
// may that lost its last write, nor behind a revocation that couldn't be stored.
func (f *family) updateLocked(rec *record, at time.Time) {
	k := f.known.Load()
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
	f.known.Store(&known{record: rec, at: at})
}
