package transport

import (
	"context"
	"fmt"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/document"
	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/module/token"
	"github.com/switchboard-ivr/switchboard/module/token/source"
)

// Attempt is shared by a handler and the transport below it, for one call of an
// API. The handler fills the first part before it calls the proxy; the transport
// fills the second. It must be used by one goroutine at a time.
type Attempt struct {
	// Token, if set, is the token to inject, because the handler's request
	// programs have already used it.
	Token *token.Token
	// NoReplay leaves the replay to the handler, because the request itself
	// depends on the token, e.g. by a signature.
	NoReplay bool
	// Read says that the request changes nothing, whatever its method. It is then
	// sent once more if a reused connection breaks before an answer.
	Read bool
	// Once says that the request must not be sent once more by itself, not even a
	// GET.
	Once bool
	// Reader reads an answer for the rule for expired tokens, as the handler does.
	// Its Part is what that rule and the handler's programs use.
	Reader document.Reader
	// Room is where the memory of a decoded answer is reserved. Nil means that
	// each answer has a room of its own.
	Room *jsonval.Room
	// Params and Request are $params and $request of a token_expired program: jq
	// values, nil for null.
	Params, Request any
	// Progress, if set, is called whenever the caller has sent more of a streamed
	// body, and at its end. It may still be called after the answer has begun.
	Progress func()

	// Err is why the API gave no answer: a *token.NoTokenError or a
	// *RequestError. The response is then made by the transport. It is also a
	// *RequestError if the request timed out while its body was still arriving.
	Err error
	// Expired reports that the last answer said that the token has expired.
	Expired bool
	// Replayed reports that the call was repeated.
	Replayed bool
	// Refused is the status of the API's answer that Err replaces: the token had
	// expired, and there was no other. It is 0 if the API wasn't called.
	Refused int
	// Cause is the error of the connection, if the last attempt got no answer.
	// reverse_proxy hides it.
	Cause error
	// RuleErr is why the rule for expired tokens failed on the last answer: such
	// a rule counts as false.
	RuleErr error
	// Used is the token that was sent in the last attempt.
	Used *token.Token
	// TokenWait is the time spent on getting a token, and Upstream the time from
	// sending the request to the answer's headers, including the replay.
	TokenWait, Upstream time.Duration
	// Raw and Doc are the answer's decoded body and the value that Reader has read
	// from it, if the transport has decoded it. Raw is nil if it has not, or if the
	// body can't be read or is too large. Doc must not be changed.
	Raw []byte
	Doc any

	upload *upload // the streamed body; nil for none
}

type attemptKey struct{}

// WithAttempt returns a context that passes a to the transport.
func WithAttempt(ctx context.Context, a *Attempt) context.Context {
	return context.WithValue(ctx, attemptKey{}, a)
}

func attemptOf(ctx context.Context) *Attempt {
	a, _ := ctx.Value(attemptKey{}).(*Attempt)
	return a
}

// tokenSource is the part of a token source that the transport uses: its keeper and
// its rules. It is safe for concurrent use.
type tokenSource interface {
	// Current returns a token that may be sent now, or nil. It never waits.
	Current() *token.Token
	// Token returns a token that may be sent now. It waits for one until ctx
	// ends. The error is a *token.NoTokenError or that of ctx.
	Token(ctx context.Context) (*token.Token, error)
	// Invalidate reports that the API has refused the token of that generation. A
	// newer token is not affected. request identifies the request: the same
	// request has the same number.
	Invalidate(generation, request uint64, reason string)
	// Injection returns where the token goes in a request.
	Injection() token.Injection
	// ExpiredRule returns which answers mean that the token has expired: the
	// statuses, and a predicate with the variables in source.ExpiredVars, or nil.
	ExpiredRule() (statuses []int, program *jq.Program)
	// HasToken is false for a source that only holds credentials.
	HasToken() bool
}

// rule says which answers mean that the token has expired.
type rule struct {
	statuses []int
	program  *jq.Program
}

// compile compiles a configured rule.
func compile(written *source.Expired, define string) (rule, error) {
	r := rule{statuses: written.Status}
	err := written.CheckStatus()
	if err == nil && written.Program != "" {
		r.program, err = jq.Compile(written.Program, jq.Spec{Vars: source.ExpiredVars, Want: jq.Predicate, Define: define})
	}
	if err != nil {
		return rule{}, fmt.Errorf("token_expired: %w", err)
	}
	return r, nil
}
