package switchboard

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// renewTime is how long an operator waits for a renewal. It goes on behind.
const renewTime = 30 * time.Second

func (a *App) listTokens(*http.Request) (any, error) { return a.Operator().Tokens(), nil }

func (a *App) getToken(r *http.Request) (any, error) { return a.Operator().Token(r.PathValue("name")) }

func (a *App) renewToken(r *http.Request) (any, error) {
	return a.Operator().Renew(r.Context(), r.PathValue("name"))
}

// Tokens tells how all token sources do, by name, and never a token. Those that
// hold credentials only are left out.
func (o Operator) Tokens() []adminapi.Token {
	list := make([]adminapi.Token, 0, len(o.app.sources))
	for _, name := range slices.Sorted(maps.Keys(o.app.sources)) {
		if source := o.app.sources[name]; source.HasToken() {
			list = append(list, described(source.State()))
		}
	}
	return list
}

// Token tells how a token source does.
func (o Operator) Token(name string) (adminapi.Token, error) {
	source, err := o.source(name)
	if err != nil {
		return adminapi.Token{}, err
	}
	return described(source.State()), nil
}

// Renew renews a token now, whatever its state, and waits for it for 30 s at most.
func (o Operator) Renew(ctx context.Context, name string) (adminapi.Token, error) {
	source, err := o.source(name)
	if err != nil {
		return adminapi.Token{}, err
	}
	if source.State().Static {
		return adminapi.Token{}, apiError(http.StatusConflict, errors.New("token "+name+" is static: there is nothing to renew"))
	}
	ctx, cancel := context.WithTimeout(ctx, renewTime)
	defer cancel()
	switch err := source.Renew(ctx); {
	case ctx.Err() != nil:
		return adminapi.Token{}, apiError(http.StatusGatewayTimeout, errors.New("token "+name+" is still being renewed"))
	case err != nil:
		return adminapi.Token{}, apiError(http.StatusBadGateway, errors.New("token "+name+" could not be renewed: "+err.Error()))
	}
	return described(source.State()), nil
}

// source is a source that has a token.
func (o Operator) source(name string) (*TokenSource, error) {
	source, err := o.app.Token(name)
	if err == nil && !source.HasToken() {
		err = errors.New("token " + name + " holds credentials only")
	}
	if err != nil {
		return nil, apiError(http.StatusNotFound, err)
	}
	return source, nil
}

func described(s token.State) adminapi.Token {
	return adminapi.Token{
		Name: s.Name, State: s.Phase, Static: s.Static, Generation: s.Generation, Fingerprint: s.Fingerprint,
		Obtained: s.Obtained, Expires: s.Expires, NextAttempt: s.NextAttempt, LastError: s.LastError, LastExchange: s.LastExchange,
	}
}
