package transport

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/token"
	"github.com/switchboard-ivr/switchboard/module/token/source"
)

// Attempt is what a handler and the transport below it share about one call
// of an API. The handler fills the first part before it calls the proxy; the
// transport fills the second. It belongs to one goroutine at a time.
type Attempt struct {
	// Token, when set, is the token to inject: the one that the handler's
	// request programs have already used.
	Token *token.Token
	// NoReplay leaves the replay to the handler, because the request itself
	// depends on the token (a signature over it, say).
	NoReplay bool
	// Read says that the request changes nothing, whatever its method: it is sent
	// once more when a reused connection breaks before an answer.
	Read bool
	// Part is what of an answer the handler's programs and the rule for dead
	// tokens look at, when it has to be decoded; nil is everything.
	Part *jsonval.Part
	// Room is what the memory of an answer that is looked into is reserved in. Nil is
	// a room of the answer's own.
	Room *jsonval.Room
	// Params and Request are what a token_expired program sees as $params and
	// $request: values for jq, null when nil.
	Params, Request any
	// Progress, when set, is called whenever the caller has sent more of a body
	// that streams, and at its end. Calls may come after the answer has begun.
	Progress func()

	// Err is why there was no answer of the API's: a *token.NoTokenError or a
	// *RequestError, and the answer was made up then. It is a *RequestError, too,
	// when the request's time has ended while its body was still to come.
	Err error
	// Expired tells that the last answer said that the token is dead.
	Expired bool
	// Replayed tells that the call was made twice.
	Replayed bool
	// Refused is the status of the API's answer in whose place Err stands: its
	// token was dead, and there was no other. 0 when the API wasn't called.
	Refused int
	// Cause is the error of the connection, when the last try got no answer. What
	// reverse_proxy makes of it hides what it was.
	Cause error
	// RuleErr is why the rule for dead tokens failed on the last answer: such a
	// rule counts as false.
	RuleErr error
	// Used is the token that the last try carried.
	Used *token.Token
	// TokenWait is the time spent on getting a token, Upstream the time from
	// sending the request to the answer's headers, replay included.
	TokenWait, Upstream time.Duration
	// Raw and Doc are the answer's decoded body and its JSON value, or Part of it, when the
	// transport had to look into it. Raw is nil when it had not, or when the
	// body is no JSON or too large. Doc must not be changed.
	Raw []byte
	Doc any

	upload *upload // the body that streams; nil for none
}

type attemptKey struct{}

// WithAttempt returns a context that hands a to the transport.
func WithAttempt(ctx context.Context, a *Attempt) context.Context {
	return context.WithValue(ctx, attemptKey{}, a)
}

func attemptOf(ctx context.Context) *Attempt {
	a, _ := ctx.Value(attemptKey{}).(*Attempt)
	return a
}

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
