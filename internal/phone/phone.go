// Package phone reads telephone numbers as phone systems and people write them.
// It is the only importer of phonenumbers.
package phone

import (
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers"
)

// maxLength is the longest text that can hold a number, in bytes: a SIP From
// header with a display name fits.
const maxLength = 256

// E164 is the number in E.164, as in "+8613800138000". It takes numbers with the
// usual blanks and signs, SIP and tel URIs, and both with a display name.
// Numbers without a country code are those of the region, an ISO 3166 code as in
// "CN"; with "" there are only international ones. ok is false for what is no
// valid number, and for callers who withhold theirs.
func E164(s, region string) (number string, ok bool) {
	if len(s) > maxLength {
		return "", false
	}
	s = subscriber(s)
	if slices.Contains(withheld, s) || strings.ContainsFunc(s, unicode.IsLetter) {
		return "", false
	}
	if region = strings.ToUpper(region); region == "" {
		region = phonenumbers.UNKNOWN_REGION
	}
	if number, ok, sure := plainE164(s, region); sure {
		return number, ok
	}
	return parsed(s, region)
}

// parsed is the number that phonenumbers finds in a text.
func parsed(s, region string) (number string, ok bool) {
	n, err := phonenumbers.Parse(s, region)
	if err != nil || !phonenumbers.IsValidNumber(n) {
		return "", false
	}
	return phonenumbers.Format(n, phonenumbers.E164), true
}

// withheld are what carriers send instead of a number: RESTRICTED, BLOCKED,
// UNKNOWN, ANONYMOUS and UNAVAILABLE on a telephone's keys. Without the plus
// some are somebody's number.
var withheld = []string{"+7378742833", "+2562533", "+8656696", "+266696687", "+86282452253"}

// subscriber is the number within a name-addr (RFC 3261, section 25.1), a SIP URI
// (section 19.1.1) or a tel URI (RFC 3966); other texts are as they come.
func subscriber(s string) string {
	if i := strings.LastIndexByte(s, '<'); i >= 0 {
		s, _, _ = strings.Cut(s[i+1:], ">")
	}
	s = strings.TrimSpace(s)
	if scheme, rest, ok := strings.Cut(s, ":"); ok && slices.Contains(schemes, strings.ToLower(scheme)) {
		s = rest
	}
	s, _, _ = strings.Cut(s, "@")
	s, params, _ := strings.Cut(s, ";")
	s, _, _ = strings.Cut(s, ":") // a SIP password
	if plain, err := url.PathUnescape(s); err == nil {
		s = plain
	}
	for param := range strings.SplitSeq(params, ";") {
		context, ok := strings.CutPrefix(strings.ToLower(param), "phone-context=+")
		if ok && !strings.HasPrefix(s, "+") {
			s = "+" + context + s
		}
	}
	return strings.TrimSpace(s)
}

var schemes = []string{"sip", "sips", "tel"}
