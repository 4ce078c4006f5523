package token

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"time"
)

// tokenEndpoint calls the URLs of one source. It has no state besides the
// transport's: the keeper decides when to call.
type tokenEndpoint struct {
	source *Source
	plan   *plan
	values []any // of plan.names
}

// newEndpoint gives the endpoint of a provisioned source; of one without URLs
// neither obtain nor refresh may be called.
func newEndpoint(s *Source) endpoint {
	_, values := s.Credentials()
	return &tokenEndpoint{source: s, plan: s.plan, values: values}
}

func (e *tokenEndpoint) canObtain() bool  { return e.plan.obtainCall != nil }
func (e *tokenEndpoint) canRefresh() bool { return e.plan.refreshCall != nil }

// obtain signs in with the credentials.
func (e *tokenEndpoint) obtain(ctx context.Context, in circumstances) (Grant, error) {
	return e.call(ctx, e.plan.obtainCall, e.source.obtainURL, nil, nil, in)
}

// refresh renews prev, or begins with the configured refresh token when prev has
// none. The old refresh token stays where the answer brings no new one (RFC 6749,
// section 6).
func (e *tokenEndpoint) refresh(ctx context.Context, prev *Token, in circumstances) (Grant, error) {
	var access, refresh any
	spent := e.source.values[seedName]
	if prev != nil {
		spent = cmp.Or(prev.refresh, spent)
		if prev.Access != "" {
			access = prev.Access
		}
	}
	if spent != "" {
		refresh = spent
	} else if e.plan.refreshCall.uses("refresh_token") {
		return Grant{}, &Failure{Kind: Refused, Reason: "there is no refresh token to send"}
	}
	grant, err := e.call(ctx, e.plan.refreshCall, e.source.refreshURL, access, refresh, in)
	if err == nil {
		grant.Refresh = cmp.Or(grant.Refresh, spent)
	}
	return grant, err
}

func (e *tokenEndpoint) call(ctx context.Context, r *requestPrograms, u *url.URL, access, refresh any, in circumstances) (Grant, error) {
	ctx, cancel := context.WithTimeout(ctx, e.source.timeout())
	defer cancel()
	// one timestamp and one nonce for all programs, so that a signature agrees
	// with the parameters that it signs
	vars := slices.Concat(
		[]any{e.plan.stamp.at(time.Now().Add(in.skew)), Nonce(), access, refresh, in.refused},
		e.values,
	)
	req, failure := r.build(ctx, u, vars)
	if failure != nil {
		return Grant{}, failure
	}
	known := newSecrets(vars, req)
	made := known.exchange(r.setting, req)
	answer, failure := send(e.source.roundTripper, req)
	if failure == nil {
		var grant Grant
		if grant, failure = e.judge(ctx, answer, known, in.skew); failure == nil {
			known.answered(made, answer, grant.Access, grant.Refresh)
			grant.Exchange = made
			return grant, nil
		}
		known.answered(made, answer)
	}
	made.Error = failure.Error()
	failure.Exchange = made
	return Grant{}, failure
}
