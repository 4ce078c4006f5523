package provider

import (
	"crypto/sha256"
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"
)

// codeLifetime is how long an authorization code is good.
const codeLifetime = time.Minute

// denies is the parameter by which a test's browser denies the consent.
const denies = "_deny"

// codes are the authorization codes that were given.
type codes struct {
	mu    sync.Mutex
	given map[string]*code
}

// code is an authorization code, and what it is bound to.
type code struct {
	redirect, challenge string
	expires             time.Time
	family              int // of the tokens that it was exchanged for; 0 before
}

// challenge is a code challenge by S256 (RFC 7636, section 4.2).
var challenge = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// verifier is a code verifier (RFC 7636, section 4.1).
var verifier = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// authorize is GET /oauth2/authorize after RFC 6749, section 4.1.1: a person consents
// at once, unless the browser says otherwise. PKCE with S256 is required.
func (c *call) authorize() answer {
	q := c.fields.query
	refuse := func(reason string) answer { return oauthError("invalid_request", reason) }
	switch {
	case c.r.Method != http.MethodGet:
		a := refuse("bad_method")
		a.status = http.StatusMethodNotAllowed
		return a
	case c.fields.err != nil:
		return refuse("malformed")
	case q.Get("client_id") != c.s.opt.AppKey:
		return refuse("unknown_client")
	case !c.registered(q.Get("redirect_uri")):
		return refuse("unknown_redirect_uri")
	}
	for _, vs := range q {
		if len(vs) > 1 {
			return refuse("repeated_parameter")
		}
	}
	// from here on the browser brings the error to the client
	back := url.Values{"state": {q.Get("state")}, "iss": {c.issuer()}}
	outcome := outcomeOK
	fail := func(name, reason string) {
		back.Set("error", name)
		back.Set("error_description", reason)
		outcome = reason
	}
	switch {
	case q.Get("response_type") != "code":
		fail("unsupported_response_type", "unsupported_response_type")
	case q.Get("code_challenge_method") != "S256" || !challenge.MatchString(q.Get("code_challenge")):
		fail("invalid_request", "bad_code_challenge")
	case len(q.Get("state")) < 16:
		fail("invalid_request", "weak_state")
	case q.Has(denies):
		fail("access_denied", "denied")
	default:
		back.Set("code", c.s.codes.give(q.Get("redirect_uri"), q.Get("code_challenge"), time.Now()))
	}
	to := q.Get("redirect_uri")
	separator := "?"
	if strings.Contains(to, "?") {
		separator = "&"
	}
	return answer{status: http.StatusFound, outcome: outcome, header: map[string]string{"Location": to + separator + back.Encode(), "Cache-Control": "no-store"}}
}

// issuer is what the redirect carries as iss (RFC 9207).
func (c *call) issuer() string { return "http://" + c.r.Host }

// registered reports whether codes may be sent to a redirect URI. One on a loopback
// address may have any port (RFC 8252, section 7.3).
func (c *call) registered(redirect string) bool {
	u, err := url.Parse(redirect)
	if err != nil {
		return false
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil && ip.IsLoopback() {
		u.Host = u.Hostname()
		redirect = u.String()
	}
	return redirect == c.s.opt.RedirectURI
}

// exchange is a token request after RFC 6749, section 4.1.3. A code that comes twice
// ends the tokens that it was exchanged for.
func (c *call) exchange(now time.Time) answer {
	f := c.fields.body
	if f.Get("code") == "" || f.Get("redirect_uri") == "" || !verifier.MatchString(f.Get("code_verifier")) {
		return oauthError("invalid_request", "missing_code_or_verifier")
	}
	s := &c.s.codes
	s.mu.Lock()
	defer s.mu.Unlock()
	given := s.given[f.Get("code")]
	sum := sha256.Sum256([]byte(f.Get("code_verifier")))
	switch {
	case given == nil:
		return oauthError("invalid_grant", "unknown_code")
	case given.family != 0:
		c.s.tokens.endFamily(given.family, now)
		return oauthError("invalid_grant", "reused_code")
	case !now.Before(given.expires):
		return oauthError("invalid_grant", "expired_code")
	case given.redirect != f.Get("redirect_uri"):
		return oauthError("invalid_grant", "another_redirect_uri")
	case given.challenge != base64.RawURLEncoding.EncodeToString(sum[:]):
		return oauthError("invalid_grant", "wrong_verifier")
	}
	p := c.s.tokens.obtain(now, c.same)
	given.family = p.family
	return c.grantOAuth(p, now)
}

func (s *codes) give(redirect, challenge string, now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.given == nil {
		s.given = map[string]*code{}
	}
	text := "code/" + random()
	s.given[text] = &code{redirect: redirect, challenge: challenge, expires: now.Add(codeLifetime)}
	return text
}

// Revoke ends all tokens, refresh tokens too, as a person does who withdraws a consent.
func (s *Server) Revoke() { s.tokens.endAll(time.Now()) }

func (v *vault) endFamily(family int, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.revokeFamily(family, now)
}

func (v *vault) endAll(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range v.order {
		v.revokeFamily(p.family, now)
	}
}
