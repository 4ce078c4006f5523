package source

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"time"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// tokenEndpoint calls the URLs of one source. It has no state besides the
// transport's: the keeper decides when to call.
type Endpoint struct {
	source *Source
	plan   *plan
	values []any // of plan.names
}

// Endpoint gives the endpoint of a provisioned source; of one without URLs
// neither obtain nor refresh may be called.
func (s *Source) Endpoint() *Endpoint {
	_, values := s.Credentials()
	return &Endpoint{source: s, plan: s.plan, values: values}
}

func (e *Endpoint) CanObtain() bool  { return e.plan.obtainCall != nil }
func (e *Endpoint) CanRefresh() bool { return e.plan.refreshCall != nil }

// obtain signs in with the credentials.
func (e *Endpoint) Obtain(ctx context.Context, in token.Params) (token.Grant, error) {
	return e.call(ctx, e.plan.obtainCall, e.source.obtainURL, nil, nil, in)
}

// refresh renews prev, or begins with the configured refresh token when prev has
// none. The old refresh token stays where the answer brings no new one (RFC 6749,
// section 6).
func (e *Endpoint) Refresh(ctx context.Context, in token.Params) (token.Grant, error) {
	var access, refresh any
	if in.Access != "" {
		access = in.Access
	}
	spent := cmp.Or(in.Refresh, e.source.values[seedName])
	if spent != "" {
		refresh = spent
	} else if e.plan.refreshCall.uses("refresh_token") {
		return token.Grant{}, &token.Failure{Kind: token.Refused, Reason: "there is no refresh token to send"}
	}
	grant, err := e.call(ctx, e.plan.refreshCall, e.source.refreshURL, access, refresh, in)
	if err == nil {
		grant.Refresh = cmp.Or(grant.Refresh, spent)
	}
	return grant, err
}

func (e *Endpoint) call(ctx context.Context, r *requestPrograms, u *url.URL, access, refresh any, in token.Params) (token.Grant, error) {
	ctx, cancel := context.WithTimeout(ctx, e.source.timeout())
	defer cancel()
	// one timestamp and one nonce for all programs, so that a signature agrees
	// with the parameters that it signs
	vars := slices.Concat(
		[]any{e.plan.stamp.at(time.Now().Add(in.Skew)), Nonce(), access, refresh, in.Refused},
		e.values,
	)
	req, failure := r.build(ctx, u, vars)
	if failure != nil {
		return token.Grant{}, failure
	}
	known := newSecrets(vars, req)
	made := known.describe(r.setting, req)
	answer, failure := send(e.source.roundTripper, req)
	if failure == nil {
		var grant token.Grant
		if grant, failure = e.readGrant(ctx, answer, known, in.Skew); failure == nil {
			known.addAnswer(made, answer, grant.Access, grant.Refresh)
			grant.Exchange = made
			return grant, nil
		}
		known.addAnswer(made, answer)
	}
	made.Error = failure.Error()
	failure.Exchange = made
	return token.Grant{}, failure
}
