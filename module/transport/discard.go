package transport

import (
	"io"
	"net/http"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/connerr"
)

const (
	// maxDiscard is how much of a thrown-away answer is read to keep its
	// connection; a longer one costs the connection.
	maxDiscard = 64 << 10
	// discardWait is how long its end may take. Most of them have come with the
	// headers.
	discardWait = 20 * time.Millisecond
)

// discard throws an answer away. It does not wait for one that doesn't end.
func discard(resp *http.Response) {
	if resp.ContentLength == 0 || resp.ContentLength > maxDiscard {
		_ = resp.Body.Close()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.CopyN(io.Discard, resp.Body, maxDiscard)
		_ = resp.Body.Close()
	}()
	late := time.NewTimer(discardWait)
	defer late.Stop()
	select {
	case <-done:
	case <-late.C:
		_ = resp.Body.Close() // which ends the read
	}
}

// maxTLSWords is how long an answer may be that says that the port speaks TLS.
const maxTLSWords = 2 << 10

// tlsPort returns [connerr.ErrTLSPort] when the answer to a plain HTTP request,
// with status 400, says that the port speaks TLS. Any other answer is put back.
func tlsPort(resp *http.Response) error {
	if resp.ContentLength > maxTLSWords || resp.ContentLength == 0 || resp.ContentLength < 0 && !resp.Close {
		return nil
	}
	body := resp.Body
	begin, err := io.ReadAll(io.LimitReader(body, maxTLSWords))
	if connerr.SaysTLSPort(begin) {
		_ = body.Close()
		return connerr.ErrTLSPort
	}
	resp.Body = &resumed{begin: begin, err: err, body: body}
	return nil
}

// resumed is a body of which the beginning has been read, maybe to an error.
type resumed struct {
	begin []byte
	err   error
	body  io.ReadCloser
}

// Read implements io.Reader.
func (r *resumed) Read(p []byte) (int, error) {
	if len(r.begin) > 0 {
		n := copy(p, r.begin)
		r.begin = r.begin[n:]
		return n, nil
	}
	if r.err != nil {
		return 0, r.err
	}
	return r.body.Read(p)
}

// Close implements io.Closer.
func (r *resumed) Close() error { return r.body.Close() }
