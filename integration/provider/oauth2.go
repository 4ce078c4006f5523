package provider

import (
	"cmp"
	"net/http"
	"net/url"
	"time"
)

// oauth2 is POST /oauth2/token after RFC 6749: client credentials and refresh
// tokens, and authorization codes (see authorize), with the client's credentials by Basic or in the body, never both.
func (c *call) oauth2() answer {
	if refused, ok := c.strictOAuth(); !ok {
		return refused
	}
	if refused, ok := c.authenticate(); !ok {
		return refused
	}

	now := time.Now()
	switch c.fields.get("grant_type") {
	case "client_credentials":
		return c.grantOAuth(c.s.tokens.obtain(now, c.same), now)
	case "refresh_token":
		if c.entry.RefreshToken == "" {
			return oauthError("invalid_request", "missing_refresh_token")
		}
		p, outcome := c.s.tokens.renew(c.entry.RefreshToken, now, c.same)
		if outcome != outcomeOK {
			return oauthError("invalid_grant", outcome)
		}
		return c.grantOAuth(p, now)
	case "authorization_code":
		return c.exchange(now)
	case "":
		return oauthError("invalid_request", "missing_grant_type")
	default:
		return oauthError("unsupported_grant_type", "unsupported_grant_type")
	}
}

// strictOAuth checks the request's form: sections 2.3.1 and 3.2 want a form,
// nothing in the URI, and no parameter twice.
func (c *call) strictOAuth() (refused answer, ok bool) {
	switch {
	case c.r.Method != http.MethodPost:
		a := oauthError("invalid_request", "bad_method")
		a.status, a.header["Allow"] = http.StatusMethodNotAllowed, http.MethodPost
		return a, false
	case c.fields.err != nil:
		return oauthError("invalid_request", "malformed"), false
	case c.fields.kind != "form":
		return oauthError("invalid_request", "not_a_form"), false
	case len(c.fields.query) > 0:
		return oauthError("invalid_request", "parameters_in_uri"), false
	}
	for _, vs := range c.fields.body {
		if len(vs) > 1 {
			return oauthError("invalid_request", "repeated_parameter"), false
		}
	}
	return answer{}, true
}

// authenticate checks who asks.
func (c *call) authenticate() (refused answer, ok bool) {
	id, secret, basic := c.r.BasicAuth()
	inBody := c.fields.body.Has("client_id") || c.fields.body.Has("client_secret")
	switch {
	case basic && inBody:
		return oauthError("invalid_request", "two_credentials"), false
	case basic:
		// Section 2.3.1: both are form-encoded before they go into Basic.
		var errID, errSecret error
		id, errID = url.QueryUnescape(id)
		secret, errSecret = url.QueryUnescape(secret)
		if errID != nil || errSecret != nil {
			return invalidClient(), false
		}
	default:
		id, secret = c.fields.body.Get("client_id"), c.fields.body.Get("client_secret")
	}
	if id != c.s.opt.AppKey || secret != c.s.opt.AppSecret {
		return invalidClient(), false
	}
	return answer{}, true
}

// grantOAuth answers as section 5.1 says. It gives a refresh token for client
// credentials too, which section 4.4.3 advises against and many servers do.
func (c *call) grantOAuth(p pair, now time.Time) answer {
	c.entry.Issued, c.entry.Generation = p.access, p.generation
	v := map[string]any{"access_token": p.access, "token_type": "Bearer"}
	if !c.s.opt.ReusableRefresh {
		v["refresh_token"] = p.refresh
	}
	if left := expiresIn(cmp.Or(c.s.opt.ExpiresIn, ExpiresNumber), p.expires, now); left != nil {
		v["expires_in"] = left
	}
	a := asJSON(outcomeOK, http.StatusOK, v)
	a.header = noStore()
	return a
}

// oauthError is an error answer after section 5.2. The reason goes to the
// ledger and into the description.
func oauthError(code, reason string) answer {
	a := asJSON(reason, http.StatusBadRequest, map[string]any{"error": code, "error_description": reason})
	a.header = noStore()
	return a
}

func invalidClient() answer {
	a := oauthError("invalid_client", "invalid_client")
	a.status = http.StatusUnauthorized
	a.header["WWW-Authenticate"] = `Basic realm="provider"`
	return a
}

func noStore() map[string]string {
	return map[string]string{"Cache-Control": "no-store", "Pragma": "no-cache"}
}
