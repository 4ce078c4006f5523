// Package token holds what the two halves of a token's life share: source, where tokens
// come from (configuration, requests to the token endpoint), and keeper, which holds them
// (when to renew, whom to share a token with, where to store it).
package token

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// MinLifetime is the shortest lifetime that a token is expected to have. A shorter
// one may be what is left of a token that others hold, too, and is used once; a second
// in a row is a mistake of unit, and would mean a token call per request.
const MinLifetime = 30 * time.Second

// MaxWait bounds how long an endpoint is left alone, whether it has refused to sign us
// in or asks to come again later.
const MaxWait = time.Hour

// Token is one generation of an API's access token. It does not change: a renewal
// makes a new one. Its value must not be logged; Fingerprint may.
type Token struct {
	// Access is the access token as the API expects it, without any prefix.
	Access string
	// Generation counts the tokens of one source, across restarts and the fleet.
	Generation uint64
	// Obtained and Expires are wall-clock times (no monotonic reading).
	// A zero Expires means that the token does not expire by itself.
	Obtained, Expires time.Time
	// Keep is the object that the source's keep program made of the token
	// endpoint's answer; nil without such a program.
	Keep map[string]any

	accepted atomic.Bool // since the last refusal
}

// Accept notes that the API has accepted the token. It separates a dead token from a
// request that the API refuses whatever the token.
func (t *Token) Accept() {
	if !t.accepted.Load() { // many calls share it
		t.accepted.Store(true)
	}
}

// Accepted reports whether the API has accepted the token since the last refusal.
func (t *Token) Accepted() bool { return t.accepted.Load() }

// Refuse notes that the API has refused the token, and reports whether it had
// accepted it since the refusal before.
func (t *Token) Refuse() (accepted bool) { return t.accepted.Swap(false) }

// Valid reports whether the token may be sent at the given time.
func (t *Token) Valid(now time.Time) bool {
	return t != nil && t.Access != "" && (t.Expires.IsZero() || now.Before(t.Expires))
}

// Fingerprint names the token in logs: 8 hex digits of its SHA-256.
func (t *Token) Fingerprint() string {
	sum := sha256.Sum256([]byte(t.Access))
	return hex.EncodeToString(sum[:4])
}

// NoTokenError says that a source has no valid token and why. Its text holds
// no secret.
type NoTokenError struct {
	Source string
	// RetryAfter is when asking again makes sense.
	RetryAfter time.Duration
	Cause      error
}

func (e *NoTokenError) Error() string {
	return fmt.Sprintf("no token from %s: %v", e.Source, e.Cause)
}

// Unwrap returns the cause: a *Failure, the context's error, …
func (e *NoTokenError) Unwrap() error { return e.Cause }

// Observer is notified of renewals and failures, for metrics and events. It is called
// outside of locks, one call at a time per renewal, and must not block.
type Observer interface {
	// Renewed: a new token is served. how is "refresh", "obtain", or "adopt"
	// when it was found in the storage (after a restart, or because another
	// instance renewed). took is the time from the start of the renewal.
	Renewed(name string, t *Token, how string, took time.Duration)
	// Failed: a renewal gave no token. how is what was tried last.
	Failed(name string, err error, how string)
}

// State is what can be said of a keeper: for the admin API, metrics and the
// readiness matcher. It holds no secret.
type State struct {
	Name string
	// Phase is "none", "obtaining", "fresh", "due" (inside the window),
	// "renewing", or "failing" (between attempts; a valid token may be held).
	Phase string
	// Generation, Obtained, Expires and Fingerprint are those of the token that
	// is served; zero when there is none.
	Generation        uint64
	Obtained, Expires time.Time
	Fingerprint       string
	// NextAttempt is when the next renewal is planned, also while the source is
	// failing; zero when none is.
	NextAttempt time.Time
	// LastExchange is the last call of the token endpoint, masked; nil before the
	// first.
	LastExchange *Exchange
	// LastError is why the last renewal failed; "" after a success.
	LastError string
	// Static: the token is configured and never renewed.
	Static bool
}

var name = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// CheckName keeps names usable in URLs, metrics and storage keys. what is the kind of
// thing that has the name, for the error.
func CheckName(what, given string) error {
	if !name.MatchString(given) {
		return fmt.Errorf("%q can't be the name of %s; use up to 64 letters, digits, `-`, `_` and `.`", given, what)
	}
	return nil
}

// onePlaceholder is a value that is nothing but a placeholder.
var onePlaceholder = regexp.MustCompile(`^\{[a-z_]+\.[^{}]*\}$`)

// Resolve replaces the placeholders of a configured value, which may be a secret. Its
// errors quote a value only when it is a placeholder as a whole; else a password with
// braces would be shown.
func Resolve(repl *caddy.Replacer, value string) (string, error) {
	resolved, err := repl.ReplaceOrErr(value, true, true)
	switch {
	case err == nil:
		return resolved, nil
	case onePlaceholder.MatchString(value):
		return "", fmt.Errorf("%s is not set, or is empty", value)
	default:
		return "", errors.New("the value holds a placeholder that is unknown or empty; write a brace that is meant as one as \\{ or \\}")
	}
}
