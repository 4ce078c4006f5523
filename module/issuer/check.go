package issuer

import (
	"context"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Authenticate checks the access token of a request and tells whose it is: the
// principal is the client's app_key. It doesn't ask the storage, except for a
// token that this instance hasn't seen for the last 5 s.
func (i *Issuer) Authenticate(r *http.Request) (principal string, ok bool) {
	raw, found := i.accept.find(r)
	if !found {
		i.logger.Debug("no access token")
		return "", false
	}
	c, err := i.check(r.Context(), raw)
	if err != nil {
		_ = i.outcome(r.Context(), "access token", c, err)
		return "", false
	}
	return c.key, true
}

// Admit is Authenticate, and takes the token out of the request when it opens, for
// it is nobody else's business. The same issuer admits the same request again.
func (i *Issuer) Admit(r *http.Request) (principal string, ok bool) {
	const key = "switchboard.issuer."
	vars, _ := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	if principal, ok = vars[key+i.name].(string); ok {
		return principal, true
	}
	if principal, ok = i.Authenticate(r); !ok {
		return "", false
	}
	i.accept.consume(r)
	if vars != nil {
		vars[key+i.name] = principal
	}
	return principal, true
}

// CredentialName is the header or query parameter that carries an access token.
func (i *Issuer) CredentialName() string { return i.accept.name() }

func (i *Issuer) check(ctx context.Context, raw string) (*client, error) {
	t, c, _, err := i.verify(raw, accessToken)
	if err != nil {
		return c, err
	}
	rec, err := i.state.look(ctx, i.store(), t.lineage(), t.generation())
	if err != nil {
		return c, err
	}
	return c, rec.admits(&t, time.Now())
}

// verify tells all that a token tells by itself: whether it is one of ours, and
// whose, and with which secret's key it was made.
func (i *Issuer) verify(raw string, want kind) (t token, c *client, with *secret, err error) {
	t, ok := parseToken(raw)
	if !ok {
		return t, nil, nil, errMalformed
	}
	if c = i.clients.byID[t.lineage().client]; c == nil {
		return t, nil, nil, errUnknownClient
	}
	switch with = c.maker(&t); {
	case with == nil:
		return t, c, nil, errForged
	case t.kind() != want:
		return t, c, nil, errWrongKind
	case !time.Now().Before(t.expires()):
		return t, c, nil, errExpired
	}
	return t, c, with, nil
}
