package connerr

import (
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
)

// KeepCause makes the errors of a transport's DialContext name their cause, for
// one whose own errors hide it, as those of Caddy's do. The errors still match
// what they matched. It costs nothing while connections are reused.
func KeepCause(t *http.Transport) {
	dial := t.DialContext
	if dial == nil {
		return
	}
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		var seen firstError
		conn, err := dial(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			DNSDone:     func(info httptrace.DNSDoneInfo) { seen.note(info.Err) },
			ConnectDone: func(_, _ string, err error) { seen.note(err) },
		}), network, address)
		if err != nil {
			if cause := seen.error(); cause != nil {
				err = &dialError{err, cause}
			}
		}
		return conn, err
	}
}

// dialError is an error of a dial that hides its cause, and the cause.
type dialError struct{ err, cause error }

func (e *dialError) Error() string   { return e.err.Error() }
func (e *dialError) Unwrap() []error { return []error{e.err, e.cause} }

// firstError keeps the first of several errors. Addresses that are dialled side
// by side report from goroutines of their own.
type firstError struct {
	mu  sync.Mutex
	err error
}

func (f *firstError) note(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *firstError) error() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
