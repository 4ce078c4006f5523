package token

import (
	"encoding/base64"
	"strings"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// jwtExpiry returns the `exp` of an access token that is a signed JWT (RFC 7519),
// by the issuer's clock, or zero when the token is none or is over by now. The
// signature isn't checked: the time is only used to renew.
func jwtExpiry(access string, now time.Time) time.Time {
	parts := strings.Split(access, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return time.Time{}
	}
	doc, err := jsonval.Decode(text, jsonval.Limits{Bytes: maxToken})
	if err != nil {
		return time.Time{}
	}
	claims, _ := doc.(map[string]any)
	exp, ok := float(claims["exp"])
	if !ok || exp <= float64(now.Unix()) {
		return time.Time{}
	}
	left := min(exp-float64(now.UnixNano())/1e9, maxLifetime.Seconds())
	return now.Add(time.Duration(left * float64(time.Second))).Round(time.Second)
}
