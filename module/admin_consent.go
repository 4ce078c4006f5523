package switchboard

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/token/keeper"
)

// BeginConsent begins a consent for a token source, which EndConsent ends within 10
// minutes.
func (o Operator) BeginConsent(name string, with adminapi.Connect) (adminapi.Consent, error) {
	source, err := o.consenting(name)
	if err != nil {
		return adminapi.Consent{}, err
	}
	redirect, err := source.Redirect(with.Redirect, with.Port)
	if err != nil {
		return adminapi.Consent{}, apiError(http.StatusBadRequest, err)
	}
	begun := source.BeginConsent(redirect)
	return adminapi.Consent{
		URL:   source.AuthorizationURL(begun.State, begun.Challenge, redirect),
		State: begun.State, Redirect: redirect, Expires: begun.Until,
	}, nil
}

// EndConsent exchanges the code that a consent gave, and waits for the token for up to
// 30 s.
func (o Operator) EndConsent(ctx context.Context, name string, back adminapi.Redirected) (adminapi.Token, error) {
	source, err := o.consenting(name)
	if err != nil {
		return adminapi.Token{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, renewTime)
	defer cancel()
	err = source.EndConsent(ctx, keeper.Redirected(back))
	switch {
	case err == nil:
		return described(source.State()), nil
	case errors.Is(err, keeper.ErrUnknownState), errors.Is(err, keeper.ErrNoIssuer), errors.Is(err, keeper.ErrWrongIssuer), errors.Is(err, keeper.ErrNoCode):
		return adminapi.Token{}, apiError(http.StatusBadRequest, err)
	case ctx.Err() != nil:
		return adminapi.Token{}, apiError(http.StatusGatewayTimeout, errors.New("token "+name+" is still waiting for the endpoint; caddy switchboard tokens shows what comes of it"))
	default:
		return adminapi.Token{}, apiError(http.StatusBadGateway, errors.New("token "+name+" got nothing for the consent: "+err.Error()))
	}
}

// consenting returns a token source that needs a consent.
func (o Operator) consenting(name string) (*TokenSource, error) {
	source, err := o.source(name)
	if err == nil && !source.NeedsConsent() {
		err = apiError(http.StatusConflict, errors.New("token "+name+" has no `authorize`; it needs nobody's consent"))
	}
	return source, err
}

// beginConsent reads the body of a request; an empty one asks for nothing.
func (o Operator) beginConsent(r *http.Request) (any, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	var with adminapi.Connect
	if len(body) > 0 && json.Unmarshal(body, &with) != nil || with.Port < 0 || with.Port > 65535 {
		return nil, apiError(http.StatusBadRequest, errors.New(`the body doesn't say where the code comes to; write e.g. {"redirect":"http://localhost:8765/callback"}, or nothing`))
	}
	return o.BeginConsent(r.PathValue("name"), with)
}

// endConsent reads the parameters of a redirect from the body: URLs are logged.
func (o Operator) endConsent(r *http.Request) (any, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	var back adminapi.Redirected
	if json.Unmarshal(body, &back) != nil {
		return nil, apiError(http.StatusBadRequest, errors.New(`the body is not what a redirect carries; write e.g. {"state":"…","code":"…"}`))
	}
	return o.EndConsent(r.Context(), r.PathValue("name"), back)
}
