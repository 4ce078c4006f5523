// Package provider is the API that Switchboard is tested against: an HTTP
// server with the token endpoints of docs/protocol.md, OAuth 2.0, a few API routes,
// every fault that a test needs, and a ledger by which tests judge. It checks
// strictly, so that a sloppy client fails here before it fails in the field.
//
// It is test equipment: the control endpoints (/_control, /_ledger, /_expire,
// /_lifetime) need no credentials and the ledger holds tokens in clear, so it
// should listen on loopback only.
package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// Options says how a Server behaves. The zero value is the signed protocol
// with demo credentials.
type Options struct {
	// AppKey and AppSecret sign in at /token/get and, as client id and client
	// secret, at /oauth2/token. Default: "demo-app" and "demo-secret".
	AppKey, AppSecret string
	// Lifetime of access tokens. Default: 2 minutes.
	Lifetime time.Duration
	// ExpiresIn is how token answers state the lifetime. Default: not at all at
	// /token/get (the protocol's answer has no such field), a number at /oauth2/token.
	ExpiresIn ExpiresIn
	// RefuseStatus is the HTTP status of refusals at /token/*. Default: 200, the
	// business code tells.
	RefuseStatus int
	// RefuseReplay refuses a (timestamp, sign) pair that was used before.
	RefuseReplay bool
	// Overlap keeps an access token alive for this long after a refresh
	// replaced it. Default: it dies at once.
	Overlap time.Duration
	// Exclusive lets every sign-in kill all earlier access tokens, as some
	// issuers with one token per application do.
	Exclusive bool
	// RevokeFamily kills every token that descends from the same sign-in when
	// a refresh token is used twice (RFC 9700 section 4.14.2).
	RevokeFamily bool
	// ReusableRefresh makes refresh tokens neither single-use nor rotating.
	ReusableRefresh bool
	// Seed is a refresh token that is good from the start, for clients that
	// can refresh but not sign in.
	Seed string
	// RedirectURI is where /oauth2/authorize sends codes; the port of one on a
	// loopback address is left open. Default: "http://127.0.0.1/callback".
	RedirectURI string
	// TokenLength pads access tokens to this many characters.
	TokenLength int
	// Scheme of the Authorization header on API calls. Default: "Bearer".
	// "raw" means that the header's whole value is the token.
	Scheme string
	// DeadTokenCode answers API calls whose token is dead or absent with HTTP
	// 200 and {"code":"40001"} instead of 401.
	DeadTokenCode bool
	// UnknownStatus is the HTTP status for customers whom nobody knows.
	// Default: 200 with "data": null.
	UnknownStatus int
	// StreamInterval is the time between two events of /stream. Default: 50 ms.
	StreamInterval time.Duration
}

// Server is the test API. Use it as an http.Handler, or let it listen by Start.
// All methods may be called at any time from any goroutine.
type Server struct {
	opt     Options
	tokens  *vault
	codes   codes
	faults  faultList
	ledger  ledger
	replays replays
	control *http.ServeMux

	ticketsMu sync.Mutex
	tickets   int               // made so far
	ticketOf  map[string]string // by Idempotency-Key

	mu      sync.Mutex
	stopped chan struct{} // closed while the server is stopped
	calls   sync.WaitGroup
	addr    string
	run     *run
}

// run is one stretch of listening, from Start or Restart to Stop.
type run struct {
	server *http.Server
	cancel context.CancelFunc
	done   chan struct{}
}

// New makes a Server that doesn't listen yet.
func New(o Options) *Server {
	o.AppKey = cmp.Or(o.AppKey, "demo-app")
	o.AppSecret = cmp.Or(o.AppSecret, "demo-secret")
	o.Lifetime = cmp.Or(o.Lifetime, 2*time.Minute)
	o.RefuseStatus = cmp.Or(o.RefuseStatus, http.StatusOK)
	o.RedirectURI = cmp.Or(o.RedirectURI, "http://127.0.0.1/callback")
	o.Scheme = cmp.Or(o.Scheme, "Bearer")
	o.UnknownStatus = cmp.Or(o.UnknownStatus, http.StatusOK)
	o.StreamInterval = cmp.Or(o.StreamInterval, 50*time.Millisecond)

	s := &Server{opt: o, tokens: newVault(o), stopped: make(chan struct{})}
	s.control = s.controlMux()
	return s
}

// Start listens on addr, "127.0.0.1:0" for a free port, and serves in the
// background until Stop or Close.
func (s *Server) Start(addr string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run != nil {
		return errors.New("starting provider: already listening")
	}
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return fmt.Errorf("starting provider: %w", err)
	}
	s.addr = ln.Addr().String()
	if s.isStopped() {
		s.stopped = make(chan struct{})
	}

	ctx, cancel := context.WithCancel(context.Background())
	r := &run{
		server: &http.Server{
			Handler:           s,
			BaseContext:       func(net.Listener) context.Context { return ctx },
			ReadHeaderTimeout: 10 * time.Second,
			ErrorLog:          log.New(io.Discard, "", 0),
		},
		cancel: cancel,
		done:   make(chan struct{}),
	}
	s.run = r
	go func() {
		defer close(r.done)
		_ = r.server.Serve(ln) // always ErrServerClosed: only Stop ends it
	}()
	return nil
}

// URL is the server's base URL without a trailing slash; it stays the same
// while the server is stopped. Empty before Start.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.addr == "" {
		return ""
	}
	return "http://" + s.addr
}

// Stop closes the listener and every connection, as a dead machine would:
// callers get "connection refused". Tokens, faults and the ledger stay. It
// returns when no call is running any more.
func (s *Server) Stop() {
	s.mu.Lock()
	r := s.run
	s.run = nil
	if !s.isStopped() {
		close(s.stopped)
	}
	s.mu.Unlock()

	if r != nil {
		r.cancel()
		_ = r.server.Close()
		<-r.done
	}
	s.calls.Wait()
}

// Restart listens again on the port that Start chose.
func (s *Server) Restart() error {
	s.mu.Lock()
	addr := s.addr
	s.mu.Unlock()
	if addr == "" {
		return errors.New("restarting provider: it was never started")
	}
	return s.Start(addr)
}

// Close ends the server. It is Stop without the thought of coming back.
func (s *Server) Close() { s.Stop() }

// SetLifetime sets how long access tokens live that are issued from now on.
func (s *Server) SetLifetime(d time.Duration) { s.tokens.setLifetime(d) }

// Expire lets all access tokens die now, as if their time had come. Refresh
// tokens stay good.
func (s *Server) Expire() { s.tokens.kill(time.Now(), endExpired, s.opt.DeadTokenCode) }

// Ledger is a copy of what the server has seen, oldest first.
func (s *Server) Ledger() Entries { return s.ledger.entries() }

// enter counts a call in, unless the server is stopped. The lock makes sure
// that nobody enters once Stop waits.
func (s *Server) enter() (stop <-chan struct{}, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isStopped() {
		return nil, false
	}
	s.calls.Add(1)
	return s.stopped, true
}

// isStopped needs mu.
func (s *Server) isStopped() bool {
	select {
	case <-s.stopped:
		return true
	default:
		return false
	}
}

// Interface guards
var _ http.Handler = (*Server)(nil)
