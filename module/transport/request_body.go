package transport

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http/httpguts"
)

// RequestError is why a request could not be sent, or not completely. The caller
// is at fault, not the API.
type RequestError struct {
	// Status is the matching HTTP status: 400, 405, 408, 413 or 415.
	Status int
	// Reason says what is wrong. It contains no values of the request.
	Reason string
}

// Error returns the reason.
func (e *RequestError) Error() string { return e.Reason }

var errStalled = &RequestError{http.StatusRequestTimeout, "the body took too long to arrive"}

// upload is a request body that is streamed from the caller.
type upload struct {
	io.ReadCloser
	progress func() // may be nil
	waiting  atomic.Bool
	failed   atomic.Pointer[error]
}

// Read implements io.Reader.
func (u *upload) Read(p []byte) (int, error) {
	u.waiting.Store(true)
	n, err := u.ReadCloser.Read(p)
	u.waiting.Store(false)
	if err != nil && !errors.Is(err, io.EOF) {
		u.failed.CompareAndSwap(nil, &err)
	} else if u.progress != nil {
		u.progress()
	}
	return n, err
}

// fault returns what the caller did wrong while the body was sent; nil for
// nothing. A stalled body is a fault, too: it is read until the request's context
// ends.
func (u *upload) fault() *RequestError {
	switch failed := u.failed.Load(); {
	case failed == nil:
		return nil
	case errors.Is(*failed, os.ErrDeadlineExceeded):
		return errStalled
	default:
		if _, ok := errors.AsType[*http.MaxBytesError](*failed); ok { // set by an earlier handler
			return &RequestError{http.StatusRequestEntityTooLarge, "the body is too large"}
		}
		return &RequestError{http.StatusBadRequest, "the body ended early"}
	}
}

// blame responds to a round trip that failed through the caller's fault. It
// returns all other errors.
func (a *Attempt) blame(req *http.Request, err error) (*http.Response, error) {
	if a.upload != nil {
		bad, ended := a.upload.fault(), req.Context().Err() != nil
		if bad == nil && ended && a.upload.waiting.Load() { // HTTP/2 doesn't wait for the read to end
			bad = errStalled
		}
		switch {
		case bad != nil && ended:
			a.Err = bad
			return nil, err
		case bad != nil:
			return refuse(req, a, bad)
		}
	}
	if bad := unsendable(req); bad != nil {
		return refuse(req, a, bad)
	}
	return nil, err
}

// unsendable returns why net/http would refuse to send the request; nil if it
// would not. A placeholder or a program may have copied a control character of
// the caller's into it.
func unsendable(req *http.Request) *RequestError {
	for _, fields := range []http.Header{req.Header, req.Trailer} {
		for name, values := range fields {
			if !httpguts.ValidHeaderFieldName(name) {
				return &RequestError{http.StatusBadRequest, "a header's name can't be sent"}
			}
			for _, value := range values {
				if !httpguts.ValidHeaderFieldValue(value) {
					return &RequestError{http.StatusBadRequest, "the value of the header " + name + " can't be sent"}
				}
			}
		}
	}
	return nil
}

var (
	errNotKept    = errors.New("the request body is too large to be sent again")
	errSuperseded = errors.New("the request body is used by another attempt")
)

// rewinder records a request body while it is sent, so that it can be sent again.
// It delays nothing: an upload is forwarded as it arrives.
//
// Each attempt reads through its own view. The newest view begins with what was
// recorded and continues with what the client still sends, so that a body can be
// repeated even if the API has refused it after the headers. Older views end with
// an error, because the http transport may still be reading one.
type rewinder struct {
	src     io.ReadCloser
	trailer func() http.Header // of the client, complete at the end of src
	limit   int

	reading sync.Mutex // held while src is read

	mu      sync.Mutex // guards the fields below, and all views
	record  []byte
	lost    bool  // the record is incomplete
	err     error // that src ended with
	newest  *view
	settled bool // no further view will follow, so the newest may close src
	closed  atomic.Bool
}

// newRewinder records up to limit bytes of src. length is the announced length,
// -1 if unknown.
func newRewinder(src io.ReadCloser, length int64, limit int, trailer func() http.Header) *rewinder {
	r := &rewinder{src: src, limit: limit, trailer: trailer}
	if 0 < length && length <= int64(limit) {
		// a client may announce more than it sends, so don't allocate too much
		r.record = make([]byte, 0, min(length, 16<<10))
	}
	return r
}

// view restarts the body and ends the previous view. At the body's end it fills
// in trailer, unless that is nil. It fails if not everything that was sent is
// recorded.
func (r *rewinder) view(trailer http.Header) (io.ReadCloser, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lost {
		return nil, errNotKept
	}
	r.newest = &view{r: r, trailer: trailer}
	return r.newest, nil
}

// isLost reports that no further view can begin.
func (r *rewinder) isLost() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

// recorded returns what is recorded of the body so far.
func (r *rewinder) recorded() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.record)
}

// settle declares that no further view will follow. It closes the body if the
// newest view has been closed.
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
	if r.closed.Swap(true) {
		return nil
	}
	return r.src.Close()
}

// view is the body as one attempt reads it.
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
		v.trailer = nil // the trailer must not change after it was sent
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
	// the previous view may have read on while this one waited
	if n, err := v.recorded(p); n > 0 || err != nil {
		return n, err
	}
	n, err := r.src.Read(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
	if v != r.newest {
		// the attempt of this view is over, but the newest one needs these bytes
		r.record = append(r.record, p[:n]...)
		return 0, errSuperseded
	}
	v.off += n
	if !r.lost {
		if len(r.record)+n <= r.limit {
			r.record = append(r.record, p[:n]...)
		} else {
			r.record, r.lost = nil, true
		}
	}
	return n, err
}

// recorded reads from what is recorded. It returns 0, nil if more must come from
// the client.
func (v *view) recorded(p []byte) (int, error) {
	r := v.r
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case v != r.newest:
		return 0, errSuperseded
	case !r.lost && v.off < len(r.record):
		n := copy(p, r.record[v.off:])
		v.off += n
		return n, nil
	default:
		return 0, r.err
	}
}

// Close implements io.Closer. The body itself stays open as long as another
// attempt may need it.
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
