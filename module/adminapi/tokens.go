package adminapi

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// Token is how a token source does: GET /switchboard/tokens/NAME. The token itself
// is never told. Times are left out where there are none.
type Token struct {
	Name string `json:"name"`
	// State is none, obtaining, fresh, due (to be renewed soon), renewing, or
	// failing (between attempts; a valid token may be held).
	State       string    `json:"state"`
	Static      bool      `json:"static"`                // configured, and never renewed
	Generation  uint64    `json:"generation"`            // of the token that is held; 0 without one
	Fingerprint string    `json:"fingerprint,omitempty"` // eight hex digits of its digest
	Obtained    time.Time `json:"obtained,omitzero"`
	Expires     time.Time `json:"expires,omitzero"`
	NextAttempt time.Time `json:"next_attempt,omitzero"` // of a renewal
	LastError   string    `json:"last_error,omitempty"`  // of the last renewal, when it failed, with the endpoint's own message
	// LastExchange is the last call of the token endpoint, masked; nil before the first.
	LastExchange *token.Exchange `json:"last_exchange,omitempty"`
}

// Tokens asks how all token sources do.
func (c *Client) Tokens(ctx context.Context) ([]Token, error) {
	return do[[]Token](ctx, c, http.MethodGet, "/switchboard/tokens", nil)
}

// RenewToken renews a token now, and waits for it.
func (c *Client) RenewToken(ctx context.Context, name string) (Token, error) {
	return do[Token](ctx, c, http.MethodPost, "/switchboard/tokens/"+url.PathEscape(name)+"/renew", nil)
}
