// Package issuer is the provider's half of the signed token protocol: it
// signs partners in, renews their tokens and checks them. Read issuer.go for
// what is configured, obtain.go and check.go for what is done, and
// record.go for the rules of a family of tokens.
package issuer

import (
	"cmp"
	"crypto/fips140"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/module/pool"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// Issuer is the configuration of an issuer: who may ask it for tokens, and how
// they come back.
//
// A sign-in (`obtain`) begins a family of tokens: one access token and one
// refresh token at a time. Every `refresh` replaces both. Tokens are valid on
// every instance that shares Caddy's storage and has the same clients.
type Issuer struct {
	// Who may sign in. A key that stands here twice has two secrets, so that a
	// secret can be replaced without downtime.
	Clients []Client `json:"clients,omitempty"`

	// How long an access token is good, 30 s to 400 days. A refresh token is good
	// for 24 hours longer. Default: 2h.
	Lifetime caddy.Duration `json:"lifetime,omitempty"`

	// Where a request carries its access token. Default: the header
	// `Authorization: Bearer {token}`.
	Accept *Accept `json:"accept,omitempty"`

	// The HTTP status of refusals at the token endpoints: 401, or 200 for clients
	// that can't read the body of anything else. Default: 401.
	Errors int `json:"errors,omitempty"`

	name    string
	clients clients
	accept  finder
	storage func() certmagic.Storage
	held    *pool.Held[*state]
	state   *state
	logger  *zap.Logger
}

const (
	defaultLifetime  = 2 * time.Hour
	shortestLifetime = 30 * time.Second
	longestLifetime  = 400 * 24 * time.Hour
)

// states outlive a reload, so that a storage that fails during one doesn't turn
// away those who hold a token. An issuer's name is all that gives its state a
// meaning: the keys that tokens are checked with are not in it.
var states = pool.New[*state]()

// Provision resolves the clients' placeholders and derives their keys. It does
// nothing else: the storage is used when the first request comes.
func (i *Issuer) Provision(ctx caddy.Context, name string) error {
	i.logger = ctx.Logger().With(zap.String("issuer", name))
	i.storage = ctx.Storage
	if err := i.prepare(name); err != nil {
		return err
	}
	held, err := states.Hold(name, func() (*state, error) { return newState(), nil })
	if err != nil {
		return err
	}
	i.held, i.state = held, held.Value
	return nil
}

// prepare checks the configuration and prepares what requests need.
func (i *Issuer) prepare(name string) error {
	i.name = name
	if fips140.Enforced() {
		return errors.New("the token protocol signs with MD5, which GODEBUG=fips140=only forbids; use fips140=on, or leave the issuer out")
	}
	err := cmp.Or(token.CheckName("an issuer", name), checkLifetime(time.Duration(i.Lifetime)))
	if err != nil {
		return err
	}
	if status := i.RefusalStatus(); status != http.StatusOK && status != http.StatusUnauthorized {
		return fmt.Errorf("errors: status %d; use 401 or 200", status)
	}
	if i.accept, err = newFinder(i.Accept); err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	i.clients, err = newClients(name, i.Clients, caddy.NewReplacer(), i.logger)
	return err
}

func checkLifetime(d time.Duration) error {
	if d != 0 && (d < shortestLifetime || d > longestLifetime) {
		return fmt.Errorf("lifetime: %s; use 30s to 400d", d)
	}
	return nil
}

func (i *Issuer) lifetime() time.Duration {
	return cmp.Or(time.Duration(i.Lifetime), defaultLifetime)
}

// RefusalStatus is the HTTP status of a refusal at the token endpoints.
func (i *Issuer) RefusalStatus() int { return cmp.Or(i.Errors, http.StatusUnauthorized) }

// Cleanup releases what the issuer shares with the configurations before and
// after. Requests in flight may still use the issuer. It may be called again,
// after a failed Provision, and on nil.
func (i *Issuer) Cleanup() error {
	if i != nil {
		i.held.Release()
	}
	return nil
}

// Find returns the issuer of that name, from the app `switchboard`. The error lists
// those that exist.
func Find(ctx caddy.Context, name string) (*Issuer, error) {
	if name == "" {
		return nil, errors.New("the issuer's name is missing")
	}
	app, err := ctx.App("switchboard")
	if err != nil {
		return nil, fmt.Errorf("loading the app switchboard: %w", err)
	}
	holder, ok := app.(interface {
		Issuer(name string) (*Issuer, error)
	})
	if !ok {
		return nil, fmt.Errorf("the app switchboard (%T) has no issuers", app)
	}
	return holder.Issuer(name)
}
