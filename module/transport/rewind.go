package transport

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
)

var (
	errNotKept    = errors.New("the request body is too large to be sent again")
	errSuperseded = errors.New("the request body has gone to another try")
)

// rewinder records a request body while it is sent, so that it can be sent
// again. Nothing waits for it: an upload flows as it comes.
//
// Each try reads through a view of its own. The newest view begins with what
// was recorded and goes on with what the client still sends, so that a body
// counts as kept even when the API has refused it by its headers alone. Older
// views end with an error: the http transport may still be reading one.
type rewinder struct {
	src     io.ReadCloser
	trailer func() http.Header // of the client, complete at the end of src
	limit   int

	reading sync.Mutex // held while src is read

	mu      sync.Mutex // guards what follows, and all views
	kept    []byte
	lost    bool  // kept is no longer the whole beginning
	err     error // with which src ended
	newest  *view
	settled bool // no further view will come, so the newest may close src
	closed  bool
}

// newRewinder keeps up to limit bytes of src. The length is the announced one,
// -1 when unknown.
func newRewinder(src io.ReadCloser, length int64, limit int, trailer func() http.Header) *rewinder {
	r := &rewinder{src: src, limit: limit, trailer: trailer}
	if 0 < length && length <= int64(limit) {
		// a client may announce more than it sends: don't trust it with much
		r.kept = make([]byte, 0, min(length, 16<<10))
	}
	return r
}

// view begins the body anew and ends the view before. At the body's end it
// fills in trailer, when that is not nil. It fails when not everything that has
// been sent is kept.
func (r *rewinder) view(trailer http.Header) (io.ReadCloser, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lost {
		return nil, errNotKept
	}
	r.newest = &view{r: r, trailer: trailer}
	return r.newest, nil
}

// isLost tells that no further view can begin.
func (r *rewinder) isLost() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

// recorded returns what is kept of the body so far.
func (r *rewinder) recorded() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.kept)
}

// settle says that no view will follow. It closes the body if the newest view
// has been closed already.
func (r *rewinder) settle() {
	r.mu.Lock()
	r.settled = true
	doomed := r.newest == nil || r.newest.closed
	r.mu.Unlock()
	if doomed {
		_ = r.close()
	}
}

func (r *rewinder) close() error {
	r.mu.Lock()
	was := r.closed
	r.closed = true
	r.mu.Unlock()
	if was {
		return nil
	}
	return r.src.Close()
}

// view is the body as one try reads it.
type view struct {
	r       *rewinder
	trailer http.Header
	off     int
	closed  bool
}

// Read implements io.Reader.
func (v *view) Read(p []byte) (int, error) {
	n, err := v.read(p)
	if errors.Is(err, io.EOF) && v.trailer != nil {
		maps.Copy(v.trailer, v.r.trailer())
		v.trailer = nil // what is sent must not change any more
	}
	return n, err
}

func (v *view) read(p []byte) (int, error) {
	if n, err := v.recorded(p); n > 0 || err != nil {
		return n, err
	}
	r := v.r
	r.reading.Lock()
	defer r.reading.Unlock()
	// the view before may have read on while this one waited
	if n, err := v.recorded(p); n > 0 || err != nil {
		return n, err
	}
	n, err := r.src.Read(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
	if v != r.newest {
		// the try of this view is over, but the newest needs these bytes
		r.kept = append(r.kept, p[:n]...)
		return 0, errSuperseded
	}
	v.off += n
	if !r.lost {
		if len(r.kept)+n <= r.limit {
			r.kept = append(r.kept, p[:n]...)
		} else {
			r.kept, r.lost = nil, true
		}
	}
	return n, err
}

// recorded reads from what is kept. It returns 0, nil when more has to come
// from the client.
func (v *view) recorded(p []byte) (int, error) {
	r := v.r
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case v != r.newest:
		return 0, errSuperseded
	case !r.lost && v.off < len(r.kept):
		n := copy(p, r.kept[v.off:])
		v.off += n
		return n, nil
	default:
		return 0, r.err
	}
}

// Close implements io.Closer. The body itself stays open as long as another
// try may want it.
func (v *view) Close() error {
	r := v.r
	r.mu.Lock()
	v.closed = true
	doomed := r.settled && v == r.newest
	r.mu.Unlock()
	if doomed {
		return r.close()
	}
	return nil
}
