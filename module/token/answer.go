package token

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/module/program"
)

// judge reads what a token endpoint has answered (reliability T10). The values
// that were sent are kept out of a Failure; the skew says how far the endpoint's
// clock is ahead of ours.
func (e *tokenEndpoint) judge(ctx context.Context, r *reply, sent []any, skew time.Duration) (Grant, *Failure) {
	doc, failure := r.read()
	fail := func(kind FailureKind, why string) (Grant, *Failure) {
		date, _ := http.ParseTime(r.header.Get("Date"))
		return Grant{}, &Failure{Kind: kind, Status: r.status, Code: code(doc, sent), Date: date, Reason: why}
	}
	if failure != nil {
		return fail(failure.Kind, failure.Reason)
	}
	a := answer{ctx, doc, []any{r.status, program.Headers(r.header)}}
	if e.plan.success != nil {
		if success, _ := e.plan.success.Test(ctx, doc, a.vars...); !success {
			return fail(Refused, "the endpoint said no")
		}
	}
	access, err := a.token(e.plan.accessToken)
	switch {
	case e.plan.success == nil && (errors.Is(err, errTokenEmpty) || errors.Is(err, jq.ErrFailed)):
		return fail(Refused, "the answer holds no token")
	case err != nil:
		return fail(Invalid, "access_token: "+plain(err))
	}
	refresh, err := a.token(e.plan.refreshToken)
	if err != nil && !errors.Is(err, errTokenEmpty) {
		return fail(Invalid, "refresh_token: "+plain(err))
	}
	grant := Grant{Access: access, Refresh: refresh}
	if e.plan.expiresIn != nil {
		value, err := a.run(e.plan.expiresIn)
		if err != nil {
			return fail(Invalid, "expires_in: "+plain(err))
		}
		grant.Lifetime, grant.Expires, err = parseExpires(value, e.plan.ExpiresInUnit, time.Now().Add(skew))
		if err != nil {
			return fail(Invalid, err.Error())
		}
	}
	if e.plan.keep != nil {
		value, err := a.run(e.plan.keep)
		if err != nil {
			return fail(Invalid, "keep: "+plain(err))
		}
		grant.Keep = value.(map[string]any)
	}
	return grant, nil
}

// read decodes the body and sorts out what needs no program. The document is
// also returned with a failure, when there is one, for its code.
func (r *reply) read() (any, *Failure) {
	var doc any
	broken := r.broken
	if broken == "" {
		var err error
		if doc, err = jq.Decode(r.body, jq.Limits{}); err != nil {
			broken = "the answer is unreadable: " + plain(err)
		}
	}
	switch {
	case r.status >= 500, r.status == http.StatusRequestTimeout:
		return doc, &Failure{Kind: Ambiguous, Reason: "the endpoint failed"}
	case r.status >= 400:
		return doc, &Failure{Kind: Refused, Reason: "the endpoint said no"}
	case r.status >= 300:
		return doc, &Failure{Kind: Refused, Reason: "a redirect, which is not followed; write the final URL"}
	case broken != "":
		return nil, &Failure{Kind: Ambiguous, Reason: broken}
	default:
		return doc, nil
	}
}

// answer is what the programs see of a readable answer.
type answer struct {
	ctx  context.Context
	doc  any
	vars []any
}

func (a answer) run(p *jq.Program) (any, error) { return p.Run(a.ctx, a.doc, a.vars...) }

// token runs a program for an access or refresh token. Null is none.
func (a answer) token(p *jq.Program) (string, error) {
	if p == nil {
		return "", errTokenEmpty
	}
	value, err := a.run(p)
	if err != nil {
		return "", err
	}
	if value == nil {
		return "", errTokenEmpty
	}
	token, ok := value.(string)
	if !ok {
		return "", errTokenType
	}
	return token, checkToken(token)
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
