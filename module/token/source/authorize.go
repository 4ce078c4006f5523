package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/jqhttp"
	"github.com/switchboard-ivr/switchboard/module/blocks"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// Authorize is the configuration of a consent: a person signs in at the API's owner
// once, in a browser, and Switchboard gets a code for it (RFC 6749, section 4.1, with
// PKCE, RFC 7636). Obtain exchanges the code, when the person has consented and at no
// other time; Refresh renews.
//
// The parameters response_type, client_id, redirect_uri, state, code_challenge and
// code_challenge_method are always sent.
type Authorize struct {
	// The authorization endpoint: an https URL, or http on this machine.
	URL string `json:"url,omitempty"`
	// Yields an object of further query parameters. Its variables are the
	// credentials; secret ones are refused, as people see the URL.
	Query string `json:"query,omitempty"`
	// Where the browser goes with the code, as it is registered with the API: http on
	// this machine, where a missing port stands for any that is free (RFC 8252,
	// section 7.3), or https. Default: `http://127.0.0.1/callback`.
	Redirect string `json:"redirect,omitempty"`
	// The `iss` that the redirect must carry (RFC 9207). Default: any or none.
	Issuer string `json:"issuer,omitempty"`
}

// consentVars are the additional variables of Obtain with Authorize.
var consentVars = []string{"code", "code_verifier", "redirect_uri"}

// clientID is the credential that names us at the authorization endpoint. sealKey is
// one that seals the stored record and isn't sent.
const (
	clientID = "client_id"
	sealKey  = "seal_key"
)

// ownParameters are those of an authorization request that a query must not set, as
// we set them, or as they change how the code comes back.
var ownParameters = []string{
	"response_type", clientID, "redirect_uri", "state", "code_challenge", "code_challenge_method", "response_mode",
}

const defaultRedirect = "http://127.0.0.1/callback"

// over completes a with the dialect's.
func (a *Authorize) over(dialect *Authorize) *Authorize {
	m := *a
	m.Query = cmp.Or(a.Query, dialect.Query)
	return &m
}

// authorize reads `URL { … }`, or in a dialect `{ … }`.
func (p *parser) authorize() error {
	a := new(Authorize)
	switch args := p.d.RemainingArgs(); {
	case len(args) == 1 && !p.dialect:
		a.URL = args[0]
	case len(args) > 0 || !p.dialect:
		return p.d.Err("write `authorize URL`")
	}
	p.s.Authorize = a
	in := blocks.New(p.d, "authorize")
	text := func(word string, into *string) func() error {
		read := in.Text(into)
		return func() error {
			_ = p.Once("authorize " + word) // for errors; the block refuses a second one
			return read()
		}
	}
	return in.Read(blocks.Lines{
		"query":    p.program("authorize query", &a.Query),
		"redirect": text("redirect", &a.Redirect),
		"issuer":   text("issuer", &a.Issuer),
	})
}

// checkConsent checks a source that needs a person's consent.
func (p *plan) checkConsent() error {
	const setting = "authorize"
	switch {
	case p.Static != "":
		return wrongf("static", "a static token needs no `authorize`; leave out one of the two")
	case p.Obtain == nil:
		return wrongf(setting, "there is nowhere to exchange the code; write `obtain URL`, which is the token endpoint")
	case p.Refresh == nil:
		return wrongf(setting, "without a renewal a person would have to consent again whenever a token ends; write `refresh URL`, usually with the URL of `obtain`")
	case p.CredentialValues[clientID] == "":
		return wrongf(setting, "the client has no name; write `credential client_id VALUE`")
	case !slices.ContainsFunc(slices.Collect(maps.Keys(p.CredentialValues)), isSecret):
		return wrongf(setting, "no credential is a secret with which the refresh token could be sealed; write `credential client_secret VALUE`, "+
			"or for a client without one `credential seal_key VALUE`, a random text that is not sent")
	}
	for _, name := range consentVars {
		if _, given := p.CredentialValues[name]; given || slices.Contains(p.Optional, name) {
			return wrongf("credential "+name, "$%s is a variable of `obtain`; give the credential another name, such as my_%s", name, name)
		}
	}
	if !strings.Contains(p.Authorize.URL, "{") {
		if _, err := parseAuthorizeURL(p.Authorize.URL); err != nil {
			return wrong(setting, err)
		}
	}
	if r := p.Authorize.Redirect; r != "" && !strings.Contains(r, "{") {
		if _, err := parseRedirect(r); err != nil {
			return wrong(setting+" redirect", err)
		}
	}
	return nil
}

// parseAuthorizeURL reads the URL of an authorization endpoint.
func parseAuthorizeURL(raw string) (*url.URL, error) {
	u, err := parseURL(raw)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "https" && !isLoopback(u.Hostname()) {
		return nil, errors.New("a person would sign in over a connection that anybody can read; write https")
	}
	for name := range u.Query() {
		if slices.Contains(ownParameters, name) {
			return nil, errOwnParameter(name)
		}
	}
	return u, nil
}

func errOwnParameter(name string) error {
	return fmt.Errorf("%s can't be set here: Switchboard sets it, or relies on its default; leave it out", name)
}

// parseRedirect reads a redirect URI.
func parseRedirect(raw string) (*url.URL, error) {
	const write = "write http://127.0.0.1/callback, http://localhost:8765/callback or an https URL, as it is registered with the API"
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("the redirect URI can't be read; " + write)
	case u.User != nil || u.Fragment != "" || u.Hostname() == "":
		return nil, errors.New("a redirect URI has a host, and neither a user name nor a fragment; " + write)
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return u, nil
	default:
		return nil, errors.New("the code would be sent over a connection that anybody can read; " + write)
	}
}

// compileConsent compiles the program of Authorize and checks what the programs of
// Obtain send. The program runs once, over the credentials as they are written, to
// find parameters that it must not set.
func (p *plan) compileConsent(c *compiler) {
	const setting = "authorize query"
	c.compile(setting, p.Authorize.Query, jq.Object, p.names, &p.authorizeQuery)
	if c.err != nil {
		return
	}
	if q := p.authorizeQuery; q != nil {
		for _, name := range p.names {
			if isSecret(name) && q.Uses(name) {
				c.err = wrongf(setting, "$%s is a secret, and a person's browser shows the URL; leave it out", name)
				return
			}
		}
		if _, err := p.consentParameters(p.CredentialValues); errors.As(err, new(ownParameterError)) {
			c.err = wrong(setting, err)
			return
		}
	}
	for _, name := range consentVars {
		if !p.obtainCall.uses(name) {
			c.err = wrongf("obtain", "with `authorize` its programs exchange the code, and must send $%s; write `dialect oauth2_code`, or a block such as "+
				"`{ form … }` with code: $code, code_verifier: $code_verifier, redirect_uri: $redirect_uri", name)
			return
		}
	}
}

type ownParameterError struct{ error }

// consentParameters runs the program of Authorize.
func (p *plan) consentParameters(values map[string]string) (string, error) {
	if p.authorizeQuery == nil {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	vars := make([]any, len(p.names))
	for i, name := range p.names {
		if value, ok := values[name]; ok {
			vars[i] = value
		}
	}
	object, err := p.authorizeQuery.Run(ctx, nil, vars...)
	if err != nil {
		return "", errors.New(plain(err))
	}
	for name := range object.(map[string]any) {
		if slices.Contains(ownParameters, name) {
			return "", ownParameterError{errOwnParameter(name)}
		}
	}
	return jqhttp.Query(object.(map[string]any))
}

// resolveConsent replaces the placeholders in Authorize, once, and makes its URL.
func (s *Source) resolveConsent(repl *caddy.Replacer) error {
	a := s.Authorize
	raw, err := token.Resolve(repl, a.URL)
	if err != nil {
		return wrong("authorize", err)
	}
	if s.authorizeURL, err = parseAuthorizeURL(raw); err != nil {
		return wrong("authorize", err)
	}
	more, err := s.plan.consentParameters(s.values)
	if err != nil {
		return wrong("authorize query", err)
	}
	s.authorizeURL.RawQuery = strings.Trim(s.authorizeURL.RawQuery+"&"+more, "&")
	if s.redirect, err = token.Resolve(repl, cmp.Or(a.Redirect, defaultRedirect)); err != nil {
		return wrong("authorize redirect", err)
	}
	if _, err := parseRedirect(s.redirect); err != nil {
		return wrong("authorize redirect", err)
	}
	s.issuer, err = token.Resolve(repl, a.Issuer)
	return wrong("authorize issuer", err)
}

// Redirect returns the redirect URI of a consent: the given one, or if it is blank the
// configured one. One on this machine without a port gets the given port, unless that
// is 0.
func (s *Source) Redirect(given string, port int) (string, error) {
	u, err := parseRedirect(cmp.Or(given, s.redirect))
	if err != nil {
		return "", err
	}
	if u.Scheme == "http" && u.Port() == "" && port > 0 {
		u.Host = net.JoinHostPort(u.Hostname(), strconv.Itoa(port))
	}
	return u.String(), nil
}

// AuthorizationURL returns the URL at which a person consents (RFC 6749, section
// 4.1.1). The challenge is the S256 one of RFC 7636.
func (s *Source) AuthorizationURL(state, challenge, redirect string) string {
	u := *s.authorizeURL
	own := url.Values{
		"response_type": {"code"}, clientID: {s.values[clientID]}, "redirect_uri": {redirect},
		"state": {state}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	u.RawQuery = strings.Trim(u.RawQuery+"&"+own.Encode(), "&")
	return u.String()
}
