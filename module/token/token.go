// Package token holds a token's life: where it comes from (Source), who keeps
// it fresh (Keeper) and where it survives a restart (vault).
package token

import (
	"crypto/sha256"
	"encoding/hex"
	"sync/atomic"
	"time"
)

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

	refresh string

	accepted atomic.Bool // since the last refusal
}

// Accept notes that the API has accepted the token. It tells a dead token from a
// request that the API refuses whatever the token.
func (t *Token) Accept() {
	if !t.accepted.Load() { // many calls share it
		t.accepted.Store(true)
	}
}

// Valid tells whether the token may be sent at the given time.
func (t *Token) Valid(now time.Time) bool {
	return t != nil && t.Access != "" && (t.Expires.IsZero() || now.Before(t.Expires))
}

// Fingerprint names the token in logs: 8 hex digits of its SHA-256.
func (t *Token) Fingerprint() string {
	sum := sha256.Sum256([]byte(t.Access))
	return hex.EncodeToString(sum[:4])
}
