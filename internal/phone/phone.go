// Package phone reads telephone numbers as phone systems and people write them.
// It is the only importer of phonenumbers.
package phone

import (
	"slices"
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers"
)

// maxLength is the longest text that can hold a number, in bytes: a SIP From
// header with a display name fits.
const maxLength = 256

// E164 returns the number in E.164, as in "+8613800138000". It takes numbers with
// the usual signs, with blanks and invisible characters anywhere, as spreadsheets
// write them (see [Unwrap]), in SIP and tel URIs and behind a channel's prefix as
// in "whatsapp:+8613800138000", and all of these with a display name. Numbers of
// before a renumbering are what they have become. Numbers without a country code
// are those of the region, an ISO 3166 code as in "CN"; with "" there are only
// international ones. ok is false for what is not a valid number, for an
// extension, and for callers who withhold their number.
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
	if err != nil || n.GetExtension() != "" {
		return "", false
	}
	number = phonenumbers.Format(n, phonenumbers.E164)
	if phonenumbers.IsValidNumber(n) {
		return number, true
	}
	return renumbered(number)
}

// withheld are what carriers send instead of a number: RESTRICTED, BLOCKED,
// UNKNOWN, ANONYMOUS and UNAVAILABLE on a telephone's keys. Without the plus
// some are somebody's number.
var withheld = []string{"+7378742833", "+2562533", "+8656696", "+266696687", "+86282452253"}
