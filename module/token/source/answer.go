package source

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/module/program"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// readGrant makes a grant or a failure of a token endpoint's answer. The values
// that were sent are kept out of a Failure; the skew is how far the endpoint's
// clock is ahead of ours.
func (e *Endpoint) readGrant(ctx context.Context, r *response, sent *secrets, skew time.Duration) (token.Grant, *token.Failure) {
	fail := func(kind token.FailureKind, why string) *token.Failure {
		date, _ := http.ParseTime(r.header.Get("Date"))
		return &token.Failure{
			Kind: kind, Status: r.status, Code: code(r.doc, sent.sent), Date: date, Reason: why,
			Message: sent.message(r.doc), RetryAfter: r.retryAfter(date),
		}
	}
	if kind, why := r.failure(); kind != 0 {
		return token.Grant{}, fail(kind, why)
	}
	a := answerDoc{ctx, r.doc, []any{r.status, program.Headers(r.header)}}
	no := func(why string) *token.Failure {
		if r.other != "" { // such an answer can't refuse anything
			return fail(token.Ambiguous, "the endpoint answered with "+r.other+" where a token was expected")
		}
		return fail(token.Refused, why)
	}
	if e.plan.success != nil {
		if success, _ := e.plan.success.Test(ctx, r.doc, a.vars...); !success {
			return token.Grant{}, no(token.SaidNo)
		}
	}
	access, err := a.tokenAt(e.plan.accessToken)
	switch {
	case r.other != "" && strings.Contains(access, " "):
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

// lifetime determines how long a granted token lives. now is the time at the
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
		grant.Lifetime, grant.Expires, grant.Ended = stated.Lifetime, stated.Expires, stated.Ended
		grant.Warnings = append(grant.Warnings, stated.Warnings...)
	}
	// A lifetime that the dialect assumes knows less than the token itself.
	if grant.Lifetime == 0 && grant.Expires.IsZero() && e.source.Lifetime == 0 {
		grant.Expires = jwtExpiry(grant.Access, now)
	}
	return nil
}

// answerDoc is what the programs see of a readable answer.
type answerDoc struct {
	ctx  context.Context
	doc  any
	vars []any
}

func (a answerDoc) run(p *jq.Program) (any, error) { return p.Run(a.ctx, a.doc, a.vars...) }

// tokenAt runs a program for an access or refresh token. Null is none, a number is
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

// maxToken is the size in bytes up to which tokens are taken; Feishu asks for 4
// KiB, and HTTP servers rarely take more than 16 in all headers.
const maxToken = 16 << 10

var (
	errTokenEmpty = errors.New("the token is blank")
	errTokenLarge = errors.New("the token is larger than 16 KiB")
	errTokenText  = errors.New("the token holds blanks at its ends, or what a header can't carry")
	errTokenType  = errors.New("the token is not a text")
)

// checkToken reports what keeps an access or refresh token from being sent.
func checkToken(token string) error {
	switch {
	case token == "":
		return errTokenEmpty
	case len(token) > maxToken:
		return errTokenLarge
	case strings.Trim(token, " ") != token, strings.ContainsFunc(token, func(r rune) bool { return r < ' ' || r > '~' }):
		return errTokenText
	default:
		return nil
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

// maxLifetime is the longest lifetime that is taken for one; see also
// token.MinLifetime.
const maxLifetime = 400 * 24 * time.Hour

// The units of expires_in.
const (
	unitSeconds      = "s"
	unitMilliseconds = "ms"
	unitAt           = "at" // a point in time, not a duration
)

// epochMilliseconds separates Unix time in seconds from Unix time in milliseconds:
// in seconds it is the year 5138, in milliseconds March 1973.
const epochMilliseconds = 1e11

// errNotATime is for an expires_in that can't be read at all.
var errNotATime = errors.New("expires_in is neither a number nor a time")

// parseExpires reads the value of an expires_in program: a number or a string
// that holds one, in s or ms, or with `at` Unix time in s or ms or an RFC 3339
// string. Null and blank state nothing. A life of 0 or less counts as not stated,
// one of more than 400 days as 400 days: what can't be meant must not cost the
// token; a warning says so. now is the time at the token endpoint.
func parseExpires(value any, unit string, now time.Time) (stated token.Grant, err error) {
	if text, ok := value.(string); ok {
		text = strings.TrimSpace(text)
		if text == "" {
			return stated, nil
		}
		if unit == unitAt {
			if at, err := time.Parse(time.RFC3339, text); err == nil {
				return pointInTime(at, now), nil
			}
		}
		value = json.Number(text)
	}
	if value == nil {
		return stated, nil
	}
	n, ok := float(value)
	if !ok {
		return stated, errNotATime
	}
	switch unit {
	case unitAt:
		if n < epochMilliseconds {
			n *= 1000
		}
		// beyond what a time can hold, the year doesn't matter
		n = max(min(n, math.MaxInt64/2), math.MinInt64/2)
		return pointInTime(time.UnixMilli(int64(n)), now), nil
	case unitMilliseconds:
		n /= 1000
	}
	switch {
	case n <= 0:
		return token.Grant{Ended: true, Warnings: []string{"expires_in is 0 or less and counts as not stated"}}, nil
	case n > 1e9: // Unix time since 2001, in either unit
		return token.Grant{Lifetime: maxLifetime, Warnings: []string{"expires_in counts as 400 days; it looks like a point in time, whose unit is `at`"}}, nil
	case n > maxLifetime.Seconds():
		return token.Grant{Lifetime: maxLifetime, Warnings: []string{"expires_in counts as 400 days"}}, nil
	default:
		return token.Grant{Lifetime: max(time.Duration(n*float64(time.Second)), time.Millisecond)}, nil
	}
}

func pointInTime(at, now time.Time) token.Grant {
	switch left := at.Sub(now); {
	case left <= 0:
		return token.Grant{Ended: true, Warnings: []string{"expires_in lies in the past and counts as not stated; a number of seconds is written without `at`"}}
	case left > maxLifetime:
		return token.Grant{Expires: now.Add(maxLifetime), Warnings: []string{"expires_in counts as 400 days from now"}}
	default:
		return token.Grant{Expires: at}
	}
}

// float reads a number of any type that a program may yield. Text counts when it
// is spelled as a JSON number, leading zeros and a plus sign forgiven.
func float(value any) (float64, bool) {
	switch v := value.(type) {
	case int:
		return float64(v), true
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	case *big.Int:
		n, _ := new(big.Float).SetInt(v).Float64()
		return n, !math.IsInf(n, 0)
	case json.Number:
		// ParseFloat also reads hexadecimal, underscores, "inf" and "nan"
		if len(v) > 64 || strings.Trim(string(v), "0123456789+-.eE") != "" {
			return 0, false
		}
		n, err := strconv.ParseFloat(string(v), 64)
		return n, err == nil
	default:
		return 0, false
	}
}

// jwtExpiry returns the `exp` of an access token that is a signed JWT (RFC 7519),
// by the issuer's clock, or zero when the token is none or is over by now. The
// signature isn't checked: the time is only used to renew.
func jwtExpiry(access string, now time.Time) time.Time {
	parts := strings.Split(access, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	text, _ := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	doc, _ := jsonval.Decode(text, jsonval.Limits{Bytes: maxToken})
	claims, _ := doc.(map[string]any) // none of what can't be read
	exp, ok := float(claims["exp"])
	if !ok || exp <= float64(now.Unix()) {
		return time.Time{}
	}
	left := min(exp-float64(now.UnixNano())/1e9, maxLifetime.Seconds())
	return now.Add(time.Duration(left * float64(time.Second))).Round(time.Second)
}
