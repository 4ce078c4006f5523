package transport

import (
	"context"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/module/token"
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
