// Package keeper holds the tokens of sources: it renews each in time, shares it with
// the other instances through Caddy's storage, and finds it there after a restart.
//
// A caller's way: keeper.go (Token), inflight.go (one renewal for all who wait), renew.go
// (the steps of a renewal), consent.go (a person's consent instead of one), fleet.go (keeping instances apart), record.go (what is
// stored). loop.go renews ahead of time, backoff.go decides when, and refused.go deals
// with tokens that the API refuses.
package keeper

import (
	"context"
	cryptorand "crypto/rand"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// Keeper holds one source's token and keeps it fresh: it renews ahead of time
// in the background, shares the token with the fleet through the storage, and
// makes at most one renewal at a time. All methods are safe for concurrent use.
//
// It lives in a pool: a reload keeps it and its token. New makes it, Attach gives it
// the environment of the running configuration, Start starts its background loop, and
// Destruct stops the loop.
type Keeper struct {
	policy   token.Policy
	endpoint Endpoint // nil for a static source
	clock    func() time.Time
	random   func() float64 // in [0, 1)
	id       string         // of this instance and process, in record.CallBy

	// current is the token to serve: nil when there is none or when the API
	// refused it. It can be expired.
	current atomic.Pointer[token.Token]

	env      atomic.Pointer[Env]
	attached chan struct{} // closed by the first Attach
	wake     chan struct{} // makes the loop check the state again

	mu            sync.Mutex
	record        record        // what the store holds, or should
	seen          uint64        // the highest generation seen in the store
	ownSkew       bool          // record.Skew is this machine's
	unsaved       bool          // the store lacks the record
	saveAt        time.Time     // when to try again to save it
	due           time.Time     // when to renew, jittered inside the window
	pollAt        time.Time     // when to read the store again
	doubted       bool          // a call was refused that no renewal of ours would help
	backoffUntil  time.Time     // no call before
	backoffFor    time.Duration // how long that wait was when it began
	failures      int           // in a row
	quickRetries  int           // tries left that wait a second only, after the end of a token
	lastErr       error         // of the last renewal, nil after a success
	wanted        bool          // somebody needs a token: renew even without one
	inflight      *inflight     // the renewal under way, or nil
	changed       chan struct{} // closed and replaced when a token is published
	stop          context.CancelFunc
	stopped       bool
	testedStorage string // the type of the storage whose lock was tested
	exchange      *token.Exchange
	refusals      refusals
	unconsented   bool // when the store was read last, nobody had consented
	pending       []pendingConsent

	staticWarned atomic.Int64 // Unix nanoseconds
	lockExcludes atomic.Bool  // the storage's lock is one, by its self-test
	unreadable   atomic.Bool  // the record couldn't be read last time
}

// Endpoint is what a keeper needs of a source: it signs in and renews. The keeper
// makes one call at a time. An error is always a *token.Failure.
type Endpoint interface {
	Obtain(ctx context.Context, in token.Params) (token.Grant, error)
	Refresh(ctx context.Context, in token.Params) (token.Grant, error)
	CanObtain() bool
	CanRefresh() bool
}

// Env is what the running configuration gives a keeper; each may be nil.
type Env struct {
	// Storage holds the sealed record. Without one, tokens are in memory only.
	Storage certmagic.Storage
	Logger  *zap.Logger
	Events  token.Observer

	store *store // nil without a storage
}

// How a token was obtained.
const (
	howRefresh = "refresh"
	howObtain  = "obtain"
	howAdopt   = "adopt"
)

// attachGrace is how long a keeper that is asked for a token waits for its
// first Attach. Caddy starts apps in any order: requests can come first, and
// a token call that the record would have saved must not be made for that.
const attachGrace = 2 * time.Second

// New makes the keeper of a source. The endpoint may be nil for a static token. It
// starts nothing and reads nothing; that is for Start and the first Token.
func New(p token.Policy, e Endpoint) *Keeper {
	k := &Keeper{
		policy:   p,
		endpoint: e,
		clock:    time.Now,
		random:   rand.Float64,
		id:       cryptorand.Text(),
		attached: make(chan struct{}),
		wake:     make(chan struct{}, 1),
		changed:  make(chan struct{}),
	}
	k.env.Store(&Env{Logger: zap.NewNop()})
	if k.static() {
		k.current.Store(&token.Token{Access: p.Static, Generation: 1, Obtained: k.now()})
	}
	k.wanted = p.Warm
	return k
}

// now is the wall clock: expiries are wall-clock times, and a monotonic clock
// stands still while a machine sleeps.
func (k *Keeper) now() time.Time { return k.clock().Round(0) }

func (k *Keeper) static() bool { return k.policy.Static != "" }

// renewable reports whether there is anything to renew with. A source may hold
// credentials only.
func (k *Keeper) renewable() bool {
	return !k.static() && k.endpoint != nil && (k.endpoint.CanObtain() || k.endpoint.CanRefresh())
}

// Attach gives the keeper the environment of the configuration that is about
// to run. It is called at each load; the latest wins.
func (k *Keeper) Attach(env Env) {
	if env.Logger == nil {
		env.Logger = zap.NewNop()
	}
	env.Logger = env.Logger.With(zap.String("token", k.policy.Name))
	env.store = newStore(env.Storage, &k.policy)
	k.env.Store(&env)

	k.mu.Lock()
	defer k.mu.Unlock()
	k.pollAt, k.saveAt = time.Time{}, time.Time{}
	k.unsaved = k.record.Access != "" // as far as is known of this storage
	select {
	case <-k.attached:
	default:
		close(k.attached)
	}
	k.wakeLoop()
}

// Token returns a token that is valid now. While one is held this costs one
// atomic load, whatever the endpoint and the storage are doing. Otherwise it
// waits, bounded by ctx, for the renewal that all callers share. When no call
// may be made before ctx ends (or [WithPatience] does), because the endpoint is
// failing or has refused the credentials, it doesn't wait at all.
//
// An error is always a *token.NoTokenError.
func (k *Keeper) Token(ctx context.Context) (*token.Token, error) {
	if t := k.current.Load(); t.Valid(k.clock()) {
		return t, nil
	}
	return k.waitForToken(ctx)
}

// Current returns the token if a valid one is held, else nil. It never waits.
func (k *Keeper) Current() *token.Token {
	if t := k.current.Load(); t.Valid(k.clock()) {
		return t
	}
	return nil
}

// Renew renews now, although the token may be valid and the source may be
// waiting after failures: an operator wants it. It joins a renewal under way.
func (k *Keeper) Renew(ctx context.Context) error {
	if !k.renewable() {
		return fmt.Errorf("token source %s has nothing to renew", k.policy.Name)
	}
	k.Start()
	for {
		k.mu.Lock()
		mine := k.inflight == nil
		f := k.joinOrStart(true)
		was := k.record.Generation
		k.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if mine || f.attempted() && (f.err != nil || k.snapshot().Generation != was) {
			return f.err
		}
	}
}

type patienceKey struct{}

// WithPatience sets how long the callers behind ctx wait, while the work may go on for
// longer. A token that can't be there by then is of no use to them, so Token fails at
// once instead of waiting.
func WithPatience(ctx context.Context, until time.Time) context.Context {
	return context.WithValue(ctx, patienceKey{}, until)
}

// patienceLeft returns how long it is worth waiting for the next attempt.
func patienceLeft(ctx context.Context) time.Duration {
	until, ok := ctx.Value(patienceKey{}).(time.Time)
	if deadline, ends := ctx.Deadline(); ends && (!ok || deadline.Before(until)) {
		until, ok = deadline, true
	}
	if !ok {
		return math.MaxInt64
	}
	return time.Until(until)
}

// State returns how the source is doing. It never waits for a renewal.
func (k *Keeper) State() token.State {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	s := token.State{Name: k.policy.Name, Static: k.static(), LastExchange: k.exchange}
	t := k.current.Load()
	valid := t.Valid(now)
	if valid {
		s.Generation, s.Obtained, s.Expires, s.Fingerprint = t.Generation, t.Obtained, t.Expires, t.Fingerprint()
	}
	if k.lastErr != nil {
		s.LastError = k.lastErr.Error()
	}
	wait, cause := k.backoffLeft(now)
	switch {
	case wait > 0:
		s.NextAttempt = now.Add(wait)
		if valid {
			s.NextAttempt = later(s.NextAttempt, k.due)
		}
		if s.LastError == "" {
			s.LastError = cause.Error()
		}
	case valid && !s.Static:
		s.NextAttempt = k.due
	case k.awaitsConsent():
		s.LastError = k.consentCause().Error()
	}
	s.Phase = k.phase(valid, wait > 0, now)
	return s
}

func (k *Keeper) phase(valid, waiting bool, now time.Time) string {
	switch {
	case k.static():
		return "fresh"
	case k.inflight != nil && valid:
		return "renewing"
	case k.inflight != nil:
		return "obtaining"
	case waiting || k.failures > 0:
		return "failing"
	case !valid:
		return "none"
	case k.inWindow(now):
		return "due"
	default:
		return "fresh"
	}
}
