// Package phone reads telephone numbers as phone systems and people write them.
// It is the only importer of phonenumbers.
package phone

import (
	"fmt"
	"net/url"
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

// Region is where numbers belong that come without a country code. The zero
// Region knows only international numbers.
type Region struct {
	// Country is an ISO 3166 code, as in "CN".
	Country string
	// AreaCode is put before numbers that have none, as in "010". It may be "".
	AreaCode string
}

// ParseRegion reads a country and, if given, an area code.
func ParseRegion(country, areaCode string) (Region, error) {
	code := strings.ToUpper(country)
	if !phonenumbers.GetSupportedRegions()[code] {
		return Region{}, fmt.Errorf("%q is not a country with telephone numbers; write its ISO 3166 code, e.g. CN", country)
	}
	if len(areaCode) > 8 || strings.Trim(areaCode, "0123456789") != "" {
		return Region{}, fmt.Errorf("the area code %q is not a number; write it as it is dialled, e.g. 010", areaCode)
	}
	return Region{code, areaCode}, nil
}

// E164 is the number in E.164; see [E164]. A local number, which is valid only
// behind the area code, is completed with it.
func (r Region) E164(s string) (number string, ok bool) {
	if number, ok = E164(s, r.Country); ok || r.AreaCode == "" {
		return number, ok
	}
	if len(s) > maxLength {
		return "", false
	}
	local := subscriber(s)
	if local == "" || strings.HasPrefix(local, "+") || strings.HasPrefix(local, "0") {
		return "", false
	}
	return E164(r.AreaCode+local, r.Country)
}

// Fold removes from a text what can't be seen, and blanks, and turns the other
// forms of digits and signs that people and input methods write into ASCII:
// full-width characters, and all kinds of dashes. Nothing of that ever matters in
// a telephone number. Line breaks stay: they separate one number from the next.
func Fold(s string) string { return strings.Map(fold, s) }

func fold(r rune) rune {
	switch {
	case r > ' ' && r < 0x7f:
		return r
	case r == '\t', r == ' ':
		return -1
	case r < 0x80:
		return r
	case r >= '！' && r <= '～': // the full-width forms of ASCII
		return r - '！' + '!'
	case unicode.Is(unicode.Pd, r), r == '−', r == 'ー', r == 'ｰ':
		return '-'
	case unicode.In(r, unicode.Cf, unicode.Zs, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point), r == '\u2800': // a blank in Braille
		return -1
	}
	return r
}

// Unwrap returns the text in a spreadsheet's cell that holds a telephone number,
// without what the spreadsheet has put around it: ="13800138000", '13800138000
// and 13800138000.0 are 13800138000. Other texts are as they come.
func Unwrap(s string) string {
	for {
		inner := s
		switch {
		case len(s) > 3 && strings.HasPrefix(s, `="`) && strings.HasSuffix(s, `"`):
			inner = s[2 : len(s)-1]
		case len(s) > 1 && s[0] == '\'' && strings.IndexByte("+0123456789", s[1]) >= 0:
			inner = s[1:]
		default:
			whole, fraction, ok := strings.Cut(s, ".")
			if ok && fraction != "" && strings.Trim(fraction, "0") == "" && isPlain(whole) {
				inner = whole
			}
		}
		if inner == s {
			return s
		}
		s = inner
	}
}

// isPlain reports whether a text is digits, perhaps behind a plus.
func isPlain(s string) bool {
	s = strings.TrimPrefix(s, "+")
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// Schemes are those of URIs and messaging channels that hold telephone numbers,
// in lower case.
var Schemes = []string{"sip", "sips", "tel", "sms", "whatsapp", "rcs"}

// subscriber is the number within a name-addr (RFC 3261, section 25.1), a SIP URI
// (section 19.1.1), a tel URI (RFC 3966) or a messaging channel's address; other
// texts are as they come. It is "" for an extension, which is somebody else than
// the number before it.
func subscriber(s string) string {
	if isPlain(s) {
		return s
	}
	s = Unwrap(strings.TrimSpace(Fold(s)))
	if i := strings.LastIndexByte(s, '<'); i >= 0 {
		s, _, _ = strings.Cut(s[i+1:], ">")
	}
	if scheme, rest, ok := strings.Cut(s, ":"); ok && slices.Contains(Schemes, strings.ToLower(scheme)) {
		s = rest
	}
	s, _, _ = strings.Cut(s, "@")
	s, params, _ := strings.Cut(s, ";")
	s, _, _ = strings.Cut(s, ":") // a SIP password
	if strings.IndexByte(s, '%') >= 0 {
		if decoded, err := url.PathUnescape(s); err == nil {
			s = Fold(decoded)
		}
	}
	for param := range strings.SplitSeq(params, ";") {
		param = strings.ToLower(param)
		if strings.HasPrefix(param, "ext=") {
			return ""
		}
		context, ok := strings.CutPrefix(param, "phone-context=+")
		if ok && !strings.HasPrefix(s, "+") {
			s = "+" + context + s
		}
	}
	return strings.TrimSpace(s)
}
