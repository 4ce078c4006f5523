package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// programs are an API's jq programs, compiled. A nil one is not written.
type programs struct {
	require                    []*jq.Program
	path, query, body, headers *jq.Program
	success, notFound          *jq.Program
	unhealthy, output, expired *jq.Program

	// part is what of an answer they look at; nil is everything.
	part *jsonval.Part

	// notFoundBySign tells that not_found looks for a sign, and not only for
	// something to be there: it is false for null.
	notFoundBySign bool

	credentials   []any // values of the credentials, after the fixed variables
	signs         bool  // a request depends on the token or the time
	request       bool  // some program asks for $request
	answerHeaders bool  // some program asks for the answer's headers
}

// The variables of each kind of program, in the order of their values. Those of
// request programs are followed by the credentials.
var (
	requestVars = []string{"request", "token", "timestamp", "nonce"}
	headerVars  = []string{"url", "query", "body"}
	answerVars  = []string{"status", "headers", "params", "request"}
)

// compile compiles all programs of an API. The names are those of the
// credentials that request programs may use; define is put before each.
func (a *API) compile(names []string, define string) (programs, error) {
	var p programs
	forRequest := append(append([]string(nil), requestVars...), names...)
	forHeaders := append(append([]string(nil), forRequest...), headerVars...)
	var bodySource string
	bodyKind := jq.Any
	if a.Body != nil {
		bodySource, bodyKind = a.Body.Program, a.Body.kind()
	}
	var expired string
	if a.TokenExpired != nil {
		expired = a.TokenExpired.Program
	}
	var err error
	if p.require, err = a.Require.compile(forRequest, define); err != nil {
		return p, err
	}
	for _, condition := range p.require {
		p.request = p.request || condition.Uses("request")
	}
	for _, it := range []struct {
		name   string
		source string
		vars   []string
		want   jq.Kind
		into   **jq.Program
	}{
		{"path", a.Path, forRequest, jq.Array, &p.path},
		{"query", a.Query, forRequest, jq.Object, &p.query},
		{"body", bodySource, forRequest, bodyKind, &p.body},
		{"headers", a.Headers, forHeaders, jq.Object, &p.headers},
		{"success", a.Success, answerVars, jq.Predicate, &p.success},
		{"not_found", a.NotFound, answerVars, jq.Predicate, &p.notFound},
		{"unhealthy", a.Unhealthy, answerVars, jq.Predicate, &p.unhealthy},
		{"output", a.Output, answerVars, jq.Any, &p.output},
		{"token_expired", expired, answerVars, jq.Predicate, &p.expired},
	} {
		if it.source == "" {
			continue
		}
		program, err := jq.Compile(it.source, jq.Spec{Vars: it.vars, Want: it.want, Define: define})
		if err != nil {
			return p, fmt.Errorf("%s: %w", it.name, err)
		}
		*it.into = program
		p.request = p.request || program.Uses("request")
		p.answerHeaders = p.answerHeaders || program.Uses("headers")
	}
	for _, program := range []*jq.Program{p.path, p.query, p.body, p.headers} {
		if program != nil && (program.Uses("token") || program.Uses("timestamp") || program.Uses("nonce")) {
			p.signs = true
		}
	}
	if p.notFound != nil {
		ofNull, err := p.notFound.Test(context.Background(), nil, http.StatusOK, map[string]any{}, map[string]any{}, map[string]any{})
		p.notFoundBySign = err != nil || !ofNull
	}
	return p, nil
}

// makesRequest reports whether any part of the API's request is computed.
func (p *programs) makesRequest() bool {
	return p.path != nil || p.query != nil || p.body != nil || p.headers != nil
}
