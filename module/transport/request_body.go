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

// RequestError is why a request could not be sent, or not whole: its caller is to
// blame, not the API.
type RequestError struct {
	// Status is the HTTP status that fits: 400, 405, 408, 413 or 415.
	Status int
	// Reason says what is wrong. It holds nothing of the request's values.
	Reason string
}

// Error returns the reason.
func (e *RequestError) Error() string { return e.Reason }

var errStalled = &RequestError{http.StatusRequestTimeout, "the body took too long to arrive"}

// outgoing returns req, or a copy of it that is watched while its body is sent
// or that net/http may send twice.
func (a *Attempt) outgoing(req *http.Request) *http.Request {
	a.upload = nil
	streams := req.Body != nil && req.Body != http.NoBody && req.ContentLength != 0 && req.GetBody == nil
	marks := a.Read && req.Method != http.MethodGet && req.Method != http.MethodHead
	if !streams && !marks {
		return req
	}
	req = req.WithContext(req.Context())
	if streams {
		a.upload = &upload{ReadCloser: req.Body, progress: a.Progress}
		req.Body = a.upload
	}
	if marks {
		if req.Header = maps.Clone(req.Header); req.Header == nil {
			req.Header = make(http.Header, 1)
		}
		req.Header["X-Idempotency-Key"] = nil // tells net/http, and is not sent
	}
	return req
}

// upload is a request body that comes from the caller while it is sent.
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
// nothing. A body that stalls fails, too: whoever ends the request's context ends
// the read.
func (u *upload) fault() *RequestError {
	switch failed := u.failed.Load(); {
	case failed == nil:
		return nil
	case errors.Is(*failed, os.ErrDeadlineExceeded):
		return errStalled
	default:
		if _, ok := errors.AsType[*http.MaxBytesError](*failed); ok { // of an earlier handler
			return &RequestError{http.StatusRequestEntityTooLarge, "the body is too large"}
		}
		return &RequestError{http.StatusBadRequest, "the body ended early"}
	}
}

// blame answers a round trip that failed because of the caller, and passes every
// other error.
func (a *Attempt) blame(req *http.Request, err error) (*http.Response, error) {
	if a.upload != nil {
		bad := a.upload.fault()
		switch ended := req.Context().Err() != nil; {
		case ended && bad == nil && a.upload.waiting.Load(): // HTTP/2 doesn't wait for a read
			a.Err = errStalled
			return nil, err
		case ended && bad != nil:
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

// unsendable returns what net/http refuses to send; nil when nothing is wrong. A
// placeholder or a program may have put a caller's control character there.
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
