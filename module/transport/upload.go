package transport

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
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
