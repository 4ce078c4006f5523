package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/internal/call"
)

// Auth says who may call an API.
type Auth struct {
	// `key`, `user`, `issuer` or `none`.
	Mode string `json:"mode,omitempty"`

	// For `key`: the keys that open, with placeholders such as {env.IVR_KEY}.
	// More than one lets a key rotate.
	Keys []string `json:"keys,omitempty"`

	// For `key`: the header that holds it. Default: X-API-Key.
	Header string `json:"header,omitempty"`

	// For `issuer`: the name of the issuer whose tokens open.
	Issuer string `json:"issuer,omitempty"`
}

// authenticator checks a request's token for an issuer. The principal names
// who asks.
type authenticator interface {
	Authenticate(r *http.Request) (principal string, ok bool)
}

// gate is an Auth at work. A nil gate is open.
type gate struct {
	mode   string
	header string
	keys   [][sha256.Size]byte
	issuer authenticator
}

func newGate(auth *Auth, issuer func(name string) (authenticator, error)) (*gate, error) {
	if auth == nil {
		return nil, nil
	}
	g := &gate{mode: auth.Mode, header: http.CanonicalHeaderKey(auth.Header)}
	switch auth.Mode {
	case "none":
		return nil, nil
	case "user":
		return g, nil
	case "key":
		return g, g.setKeys(auth.Keys)
	case "issuer":
		if auth.Issuer == "" {
			return nil, errors.New("auth issuer: the issuer's name is missing")
		}
		var err error
		g.issuer, err = issuer(auth.Issuer)
		return g, err
	default:
		return nil, fmt.Errorf("auth %q is unknown; write key, user, issuer or none", auth.Mode)
	}
}

func (g *gate) setKeys(keys []string) error {
	if g.header == "" {
		g.header = "X-Api-Key"
	}
	if len(keys) == 0 {
		return errors.New("auth key: the key is missing; write `auth key {env.IVR_KEY}`")
	}
	repl := caddy.NewReplacer()
	for _, key := range keys {
		resolved, err := repl.ReplaceOrErr(key, true, true)
		if err != nil {
			return fmt.Errorf("auth key: %w", err)
		}
		if resolved == "" {
			return errors.New("auth key: the key is empty")
		}
		g.keys = append(g.keys, sha256.Sum256([]byte(resolved)))
	}
	return nil
}

// admits tells whether the request may call. Keys are compared as digests, in
// constant time.
func (g *gate) admits(r *http.Request, repl *caddy.Replacer) bool {
	if g == nil {
		return true
	}
	switch g.mode {
	case "user":
		id, _ := repl.GetString("http.auth.user.id")
		return id != ""
	case "issuer":
		_, ok := g.issuer.Authenticate(r)
		return ok
	}
	given := sha256.Sum256([]byte(r.Header.Get(g.header)))
	ok := false
	for i := range g.keys {
		ok = hmac.Equal(given[:], g.keys[i][:]) || ok
	}
	return ok
}

// challenge tells a caller who is refused what to bring (RFC 9110, section
// 11.6.1).
func (g *gate) challenge() string {
	switch g.mode {
	case "issuer":
		return `Bearer realm="switchboard"`
	case "key":
		return `ApiKey realm="switchboard", header="` + g.header + `"`
	default:
		return "" // whoever authenticates users has a scheme of its own
	}
}

// authorize ends the call when the caller may not make it.
func (c *run) authorize() bool {
	if c.api.auth.admits(c.r, c.repl) {
		return true
	}
	return c.refuse(http.StatusUnauthorized, call.Unauthorized, "who calls could not be verified")
}
