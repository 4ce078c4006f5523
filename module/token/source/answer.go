package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-ivr/switchboard/module/token"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/module/program"
)

// judge reads what a token endpoint has answered. The values
// that were sent are kept out of a Failure; the skew says how far the endpoint's
// clock is ahead of ours.
func (e *Endpoint) readGrant(ctx context.Context, r *response, sent *secrets, skew time.Duration) (token.Grant, *token.Failure) {
	doc, other, failure := r.decode()
	fail := func(kind token.FailureKind, why string) *token.Failure {
		date, _ := http.ParseTime(r.header.Get("Date"))
		return &token.Failure{
			Kind: kind, Status: r.status, Code: code(doc, sent.sent), Date: date, Reason: why,
			Message: sent.message(doc), RetryAfter: r.retryAfter(date),
		}
	}
	if failure != nil {
		return token.Grant{}, fail(failure.Kind, failure.Reason)
	}
	a := answerDoc{ctx, doc, []any{r.status, program.Headers(r.header)}}
	no := func(why string) *token.Failure {
		if other != "" { // nothing that could say no
			return fail(token.Ambiguous, "the endpoint answered with "+other+" where a token was expected")
		}
		return fail(token.Refused, why)
	}
	if e.plan.success != nil {
		if success, _ := e.plan.success.Test(ctx, doc, a.vars...); !success {
			return token.Grant{}, no("the endpoint said no")
		}
	}
	access, err := a.tokenAt(e.plan.accessToken)
	switch {
	case other != "" && strings.Contains(access, " "):
		return token.Grant{}, no("") // a sentence, not a token
	case e.plan.success == nil && (errors.Is(err, errTokenEmpty) || errors.Is(err, jq.ErrFailed)):
		return token.Grant{}, no("the answer holds no token")
	case err != nil:
		return token.Grant{}, fail(token.Invalid, "access_token: "+plain(err))
	}
	grant := token.Grant{Access: access}
	// A renewal can do without a refresh token, so a bad one costs no service.
	grant.Refresh, err = a.tokenAt(e.plan.refreshToken)
	if err != nil && !errors.Is(err, errTokenEmpty) {
		grant.Refresh = ""
		grant.Warnings = append(grant.Warnings, "refresh_token: "+plain(err)+"; going on without it")
	}
	if err := e.lifetime(&grant, a, time.Now().Add(skew)); err != nil {
		return token.Grant{}, fail(token.Invalid, plain(err))
	}
	if e.plan.keep != nil {
		value, err := a.run(e.plan.keep)
		if err == nil {
			grant.Keep = value.(map[string]any)
			err = checkKept(grant.Keep, e.plan.Keep.Hosts)
		}
		if err != nil {
			return token.Grant{}, fail(token.Invalid, "keep: "+plain(err))
		}
	}
	return grant, nil
}

// lifetime finds out how long a granted token lives. now is the time at the
// endpoint.
func (e *Endpoint) lifetime(grant *token.Grant, a answerDoc, now time.Time) error {
	if e.plan.expiresIn != nil {
		value, err := a.run(e.plan.expiresIn)
		if err != nil {
			return fmt.Errorf("expires_in: %s", plain(err))
		}
		stated, err := parseExpires(value, e.plan.ExpiresInUnit, now)
		if err != nil {
			return err
		}
		grant.Lifetime, grant.Expires, grant.Ended = stated.lifetime, stated.at, stated.ended
		if stated.warning != "" {
			grant.Warnings = append(grant.Warnings, stated.warning)
		}
	}
	// A lifetime that the dialect assumes knows less than the token itself.
	if grant.Lifetime == 0 && grant.Expires.IsZero() && e.source.Lifetime == 0 {
		grant.Expires = jwtExpiry(grant.Access, now)
	}
	return nil
}

// answer is what the programs see of a readable answer.
type answerDoc struct {
	ctx  context.Context
	doc  any
	vars []any
}

func (a answerDoc) run(p *jq.Program) (any, error) { return p.Run(a.ctx, a.doc, a.vars...) }

// token runs a program for an access or refresh token. Null is none, a number is
// its text.
func (a answerDoc) tokenAt(p *jq.Program) (string, error) {
	if p == nil {
		return "", errTokenEmpty
	}
	value, err := a.run(p)
	if err != nil {
		return "", err
	}
	switch value := value.(type) {
	case nil:
		return "", errTokenEmpty
	case string:
		return value, checkToken(value)
	case json.Number:
		return value.String(), checkToken(value.String())
	default:
		return "", errTokenType
	}
}

// codeNames are the members that hold a business code, of the answers known to
// us, in the order in which they are looked for.
var codeNames = []string{
	"code", "error", "errcode", "err_no", "ret_code", "retCode", "error_code", "errorCode", "status",
}

// code finds a short business code for logs. What was sent is none: an endpoint
// may echo a secret.
func code(doc any, sent []any) string {
	object, _ := doc.(map[string]any)
	for _, name := range codeNames {
		var text string
		switch v := object[name].(type) {
		case string:
			text = v
		case json.Number:
			text = v.String()
		}
		if text == "" {
			continue
		}
		if len(text) > 64 || strings.Trim(text, codeCharacters) != "" || slices.Contains(sent, any(text)) {
			return ""
		}
		return text
	}
	return ""
}

const codeCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-"
