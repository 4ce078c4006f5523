package transport

import (
	"context"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/token"
	"github.com/switchboard-ivr/switchboard/module/token/source"
)

// Holder is what the transport needs of a token source: its keeper and its
// rules. It is safe for concurrent use.
type Holder interface {
	// Current returns a token that may be sent now, or nil. It never waits.
	Current() *token.Token
	// Token returns a token that may be sent now. It waits for one as long as
	// ctx lives. The error is a *token.NoTokenError or that of ctx.
	Token(ctx context.Context) (*token.Token, error)
	// Invalidate says that the API has refused the token of that generation. A
	// newer one is not touched. The same request has the same number.
	Invalidate(generation, request uint64, reason string)
	// Injection tells how the token travels.
	Injection() token.Injection
	// ExpiredRule tells which answers mean that the token is dead: the statuses,
	// and a predicate with the variables of ExpiredVars, or nil.
	ExpiredRule() (statuses []int, program *jq.Program)
	// HasToken is false for a source that holds credentials only.
	HasToken() bool
}

// ExpiredVars names the variables of a token_expired program, in the order of
// their values.
var ExpiredVars = []string{"status", "headers", "params", "request"}

// find gives the token source of that name, and the jq functions that every
// program may use. The error says which names there are.
func find(ctx caddy.Context, name string) (Holder, string, error) {
	app, err := ctx.App("switchboard")
	if err != nil {
		return nil, "", fmt.Errorf("getting the app switchboard: %w", err)
	}
	holder, err := app.(*switchboard.App).Token(name)
	return holder, app.(*switchboard.App).Define, err
}

// rule tells which answers mean that the token is dead.
type rule struct {
	statuses []int
	program  *jq.Program
}

// compile makes a rule of its configuration.
func compile(written *source.Expired, define string) (rule, error) {
	r := rule{statuses: slices.Clone(written.Status)}
	for _, status := range r.statuses {
		if status < 300 || status > 599 {
			return rule{}, fmt.Errorf("token_expired: the status %d does not tell that a token is dead; write a program for what is in the answer", status)
		}
	}
	if written.Program == "" {
		return r, nil
	}
	var err error
	r.program, err = jq.Compile(written.Program, jq.Spec{Vars: ExpiredVars, Want: jq.Predicate, Define: define})
	if err != nil {
		return rule{}, fmt.Errorf("token_expired: %w", err)
	}
	return r, nil
}
