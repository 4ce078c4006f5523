// Package connerr says in plain words why an HTTP server could not be reached.
//
// The words hold neither an address nor a URL nor anything that the server has
// sent, so they may be logged and shown.
package connerr

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
)

// ErrTLSPort is the error of a plain HTTP request to a port that speaks TLS.
var ErrTLSPort = errors.New("this port speaks TLS; write https instead of http")

// Reason returns why a round trip has failed, in one clause such as "can't
// connect: connection refused". It returns "" for a nil error and for one that
// says nothing about the connection, such as a context that has ended.
func Reason(err error) string {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return ""
	}
	if errors.Is(err, ErrTLSPort) {
		return ErrTLSPort.Error()
	}
	if HeaderTooLarge(err) {
		return "the answer's header is too large"
	}
	if s := ofTLS(err); s != "" {
		return s
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return "the host's name can't be resolved: " + ofDNS(dns)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		switch op.Op {
		case "dial":
			return "can't connect: " + ofSystem(op)
		case "proxyconnect", "socks connect":
			return "can't connect through the outgoing proxy"
		}
	}
	return ofHTTP(err)
}

func ofDNS(err *net.DNSError) string {
	switch {
	case err.IsNotFound:
		return "there is no such host"
	case err.IsTimeout:
		return "the name server does not answer"
	default:
		return "the name server has failed"
	}
}

// ofSystem returns the operating system's own words.
func ofSystem(err error) string {
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		if number == syscall.ETIMEDOUT {
			return "no answer in time"
		}
		return number.Error()
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return "no answer in time"
	}
	return "the address can't be used"
}

func ofTLS(err error) string {
	if cert, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the certificate is not trusted: " + ofCertificate(cert.Err)
	}
	// net/http's client makes the second of the first
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return "this port does not speak TLS; check the port, or write http instead of https"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "remote error" || op.Op == "local error") {
		return "the TLS handshake failed: " + strings.TrimPrefix(op.Err.Error(), "tls: ") // from a fixed list
	}
	if rest, ok := strings.CutPrefix(err.Error(), "tls: "); ok {
		return "the TLS handshake failed: " + rest // a text of crypto/tls
	}
	if strings.Contains(err.Error(), "TLS handshake timeout") {
		return "no TLS handshake in time"
	}
	return ""
}

func ofCertificate(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "it is signed by an unknown authority"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "it is for another host name"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch invalid.Reason {
		case x509.Expired:
			return "it has expired or is not valid yet"
		case x509.NotAuthorizedToSign:
			return "it is signed by a certificate that is no authority"
		case x509.IncompatibleUsage:
			return "it is not made for servers"
		default:
		}
	}
	return "it can't be verified"
}

func ofHTTP(err error) string {
	text := err.Error()
	switch {
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNABORTED):
		return "the connection was reset before an answer"
	case strings.Contains(text, `malformed HTTP response "\x15\x03`): // a TLS alert
		return ErrTLSPort.Error()
	case strings.Contains(text, "malformed HTTP"), strings.Contains(text, "malformed MIME header"):
		return "what came back is not HTTP"
	case strings.Contains(text, "timeout awaiting response headers"), errors.Is(err, os.ErrDeadlineExceeded):
		return ""
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(text, "server closed"):
		return "the connection was closed before an answer"
	default:
		return ""
	}
}

// HeaderTooLarge reports whether the answer had more bytes of headers than the
// transport takes.
func HeaderTooLarge(err error) bool {
	// neither protocol has a type for it
	return err != nil && (strings.Contains(err.Error(), "server response headers exceeded") ||
		strings.Contains(err.Error(), "response header list larger than advertised limit"))
}

// tlsWords are how servers answer a plain HTTP request on a TLS port, with
// status 400: Go and what is written in it, nginx, Apache, HAProxy's and
// Tomcat's.
var tlsWords = []string{
	"an HTTP request to an HTTPS server",
	"plain HTTP request was sent to HTTPS port",
	"speaking plain HTTP to an SSL-enabled server port",
	"This combination of host and port requires TLS",
}

// SaysTLSPort reports whether the beginning of a body with status 400 says that
// the port speaks TLS.
func SaysTLSPort(body []byte) bool {
	return slices.ContainsFunc(tlsWords, func(words string) bool { return bytes.Contains(body, []byte(words)) })
}

// KeepCause makes the errors of a transport's DialContext name their cause, for
// one whose own errors hide it, as those of Caddy's do. The errors still match
// what they matched. It costs nothing while connections are reused.
func KeepCause(t *http.Transport) {
	dial := t.DialContext
	if dial == nil {
		return
	}
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		var first atomic.Pointer[error] // addresses that are dialled side by side report from goroutines of their own
		note := func(err error) {
			if err != nil {
				first.CompareAndSwap(nil, &err)
			}
		}
		conn, err := dial(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			DNSDone:     func(info httptrace.DNSDoneInfo) { note(info.Err) },
			ConnectDone: func(_, _ string, err error) { note(err) },
		}), network, address)
		if cause := first.Load(); err != nil && cause != nil {
			err = &dialError{err, *cause}
		}
		return conn, err
	}
}

// dialError is an error of a dial that hides its cause, and the cause.
type dialError struct{ err, cause error }

func (e *dialError) Error() string   { return e.err.Error() }
func (e *dialError) Unwrap() []error { return []error{e.err, e.cause} }
