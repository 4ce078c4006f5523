package endpoint

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/jqhttp"
	switchboard "github.com/switchboard-ivr/switchboard/module"
)

// Authorize refuses the call if its caller is not authorized.
func (c *Call) Authorize() bool {
	principal, ok := c.Route.Gate.Admits(c.R, c.Repl)
	if !ok {
		return c.Refuse(http.StatusUnauthorized, call.Unauthorized, "the caller could not be authenticated")
	}
	c.Principal = principal
	return true
}

// Receive reads the phone system's request. It builds $request, if a program of
// the handler or call_id uses it.
func (c *Call) Receive(asksRequest bool) bool {
	input, err := c.readInput()
	if err != nil {
		c.Identify()
		bad, ok := errors.AsType[*call.InputError](err)
		if c.Ctx.Spent() { // aborting the read has ended the request's context, too
			if !ok || bad.Status != http.StatusServiceUnavailable {
				return c.Refuse(http.StatusRequestTimeout, call.BadRequest, "body: took too long to arrive")
			}
		} else if c.R.Context().Err() != nil {
			return c.Expire("")
		}
		if ok {
			if bad.Status == http.StatusServiceUnavailable {
				c.RetryAfter = time.Second
			}
			return c.Refuse(bad.Status, call.BadRequest, bad.Message)
		}
		return c.Expire("the request could not be read")
	}
	c.Input = input
	if asksRequest || c.Route.asksRequest() {
		ip, _ := caddyhttp.GetVar(c.R.Context(), caddyhttp.ClientIPVarKey).(string)
		c.Request = input.Request(c.R, ip)
	}
	return true
}

// asksRequest reports whether a program of the route itself uses $request.
func (r *Route) asksRequest() bool {
	return (r.CallID != nil && r.CallID.Uses("request")) ||
		(r.cache != nil && r.cache.key != nil && r.cache.key.Uses("request")) ||
		(r.once != nil && r.once.key != nil && r.once.key.Uses("request"))
}

// readInput reads the body within the budget: a stalled body is refused in time.
func (c *Call) readInput() (*call.Input, error) {
	if c.R.Body != nil && c.R.Body != http.NoBody {
		stop := call.AbortReads(c.Ctx, c.W)
		defer stop()
	}
	return call.ReadInput(c.R, call.Limits{Body: c.Route.MaxBody, Room: &c.Room})
}

// callIDs are the params that hold the phone call's id, by phone system: Twilio,
// Amazon Connect, Asterisk, others.
var callIDs = []string{"CallSid", "ContactId", "uniqueid", "call_id"}

// Identify finds the phone call's id, or generates one.
func (c *Call) Identify() {
	id := ""
	if p := c.Route.CallID; p != nil && c.Input != nil {
		if v, err := p.Run(c.Ctx, c.Input.Params, c.Request); err == nil {
			id, _ = jqhttp.Scalar(v)
		}
		c.givenID = id
	} else {
		id = c.knownID()
	}
	if id = strings.Map(printable, id); len(id) > 128 {
		id = id[:128]
	}
	if id == "" {
		id = newID()
	}
	c.ID = id
}

// newID generates a call id of 32 hex digits. It identifies the call and need not
// be secret.
func newID() string {
	var id [16]byte
	binary.NativeEndian.PutUint64(id[:8], rand.Uint64()) //nolint:gosec // an identifier, not a secret
	binary.NativeEndian.PutUint64(id[8:], rand.Uint64()) //nolint:gosec // an identifier, not a secret
	return hex.EncodeToString(id[:])
}

func (c *Call) knownID() string {
	if c.Input != nil {
		for _, name := range callIDs {
			if id, err := jqhttp.Scalar(c.Input.Params[name]); err == nil && id != "" {
				c.givenID = id
				return id
			}
		}
	}
	if id := c.R.Header.Get("X-Request-Id"); id != "" {
		return id
	}
	// W3C trace context: version-traceid-parentid-flags
	if parts := strings.Split(c.R.Header.Get("Traceparent"), "-"); len(parts) == 4 {
		return parts[1]
	}
	return ""
}

func printable(r rune) rune {
	if r <= ' ' || r > '~' {
		return -1
	}
	return r
}

// Auth configures who may call an API.
type Auth struct {
	// `key`, `user`, `issuer` or `none`.
	Mode string `json:"mode,omitempty"`

	// For `key`: the accepted keys, with placeholders such as {env.IVR_KEY}. More
	// than one key allows rotation.
	Keys []string `json:"keys,omitempty"`

	// For `key`: the header that carries the key. Default: X-API-Key.
	Header string `json:"header,omitempty"`

	// For `issuer`: the name of the issuer whose tokens are accepted.
	Issuer string `json:"issuer,omitempty"`
}

// authenticator checks a request's token for an issuer, and removes an accepted
// token from the request. The principal is the client's name.
type authenticator interface {
	Admit(r *http.Request) (principal string, ok bool)
	CredentialName() string
}

// Gate is a provisioned Auth. A nil Gate admits every request.
type Gate struct {
	mode   string
	header string
	keys   [][sha256.Size]byte
	issuer authenticator
}

// Gate provisions the settings, for handlers that have no Route.
func (a *Auth) Gate(app *switchboard.App) (*Gate, error) {
	return newGate(a, func(name string) (authenticator, error) { return app.Issuer(name) })
}

func newGate(auth *Auth, issuer func(name string) (authenticator, error)) (*Gate, error) {
	if auth == nil {
		return nil, nil
	}
	g := &Gate{mode: auth.Mode, header: http.CanonicalHeaderKey(auth.Header)}
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

func (g *Gate) setKeys(keys []string) error {
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

// Admits reports whether the request may call, and returns who calls, as far as
// that is known: the user's id, the issuer's client, or the number of the key.
// Keys are compared as digests, in constant time. An accepted key or token is
// removed from the request, so that no later handler and no API can see it.
func (g *Gate) Admits(r *http.Request, repl *caddy.Replacer) (principal string, ok bool) {
	if g == nil {
		return "", true
	}
	switch g.mode {
	case "user":
		id, _ := repl.GetString("http.auth.user.id")
		return id, id != ""
	case "issuer":
		return g.issuer.Admit(r)
	}
	given := sha256.Sum256([]byte(r.Header.Get(g.header)))
	for i := range g.keys {
		if hmac.Equal(given[:], g.keys[i][:]) {
			principal, ok = "key "+strconv.Itoa(i+1), true
		}
	}
	if ok {
		r.Header.Del(g.header)
	}
	return principal, ok
}

// KeyHeader returns the header that carries the key, or "" without keys.
func (g *Gate) KeyHeader() string {
	if g == nil || g.mode != "key" {
		return ""
	}
	return g.header
}

// CredentialName returns the header or query parameter that carries the
// credential, or "" if the gate itself checks none.
func (g *Gate) CredentialName() string {
	switch {
	case g == nil:
		return ""
	case g.issuer != nil:
		return g.issuer.CredentialName()
	default:
		return g.KeyHeader()
	}
}

// Derive returns one secret for each accepted key. What is signed with such a
// secret stops being valid when the key is removed.
func (g *Gate) Derive(purpose string) [][]byte {
	if g == nil {
		return nil
	}
	secrets := make([][]byte, len(g.keys))
	for i := range g.keys {
		mac := hmac.New(sha256.New, g.keys[i][:])
		mac.Write([]byte(purpose))
		secrets[i] = mac.Sum(nil)
	}
	return secrets
}

// Warn warns of a key in clear text, which /config/ would show.
func (a *Auth) Warn(logger *zap.Logger, name string) {
	if a != nil && slices.ContainsFunc(a.Keys, func(key string) bool { return !strings.HasPrefix(key, "{") }) {
		logger.Warn("a key is in clear text, and the configuration shows it; write `auth key {env.…}` or `{file.…}`", zap.String("api", name))
	}
}

// Challenge returns the WWW-Authenticate value for a refused caller (RFC 9110,
// section 11.6.1).
func (g *Gate) Challenge() string {
	switch g.mode {
	case "issuer":
		return `Bearer realm="switchboard"`
	case "key":
		return `ApiKey realm="switchboard", header="` + g.header + `"`
	default:
		return "" // the handler that authenticates users sends its own
	}
}
