package call

import (
	"slices"
	"strings"
	"unicode"

	"github.com/switchboard-ivr/switchboard/internal/phone"
)

// unescapeValue undoes form encoding of a value, where a plus stands for a blank,
// save that the plus of an international telephone number stays one. Phone systems
// send such numbers unencoded, as Asterisk does with ${CALLERID(num)}; read as
// a blank and digits they would be the number of somebody else, whose digits are
// the same without a country code.
//
// A value reads as a telephone number when a plus stands at its start, behind the
// scheme of a SIP, tel or messaging URI, or behind <, and nothing follows but
// digits, blanks, dots, hyphens, slashes, asterisks, tildes, parentheses and
// brackets, with 5 to 16 digits in all. What can't be seen doesn't count. Behind <
// or a scheme, the host and the parameters of the URI and the closing > may follow.
func unescapeValue(value string) (string, bool) {
	decoded, ok := unescape(value)
	if !ok || strings.IndexByte(value, '+') < 0 || strings.IndexByte(decoded, 0) >= 0 {
		return decoded, ok
	}
	// Once more, with a sign that the value doesn't hold where the pluses were.
	marked, _ := unescape(strings.ReplaceAll(value, "+", "%00"))
	if at := numberPlus(marked); at >= 0 {
		return decoded[:at] + "+" + decoded[at+1:], true
	}
	return decoded, true
}

// numberPlus returns which of the NUL bytes in a value is the plus of a telephone
// number; -1 for none.
func numberPlus(value string) int {
	begin := strings.LastIndexByte(value, '<') + 1
	uri := begin > 0
	if scheme, _, ok := strings.Cut(value[begin:], ":"); ok {
		name := phone.Fold(strings.Trim(scheme, "\x00"))
		if slices.Contains(phone.Schemes, strings.ToLower(name)) {
			begin += len(scheme) + 1
			uri = true
		}
	}
	number := value[begin:]
	if end := strings.IndexAny(number, "@;>"); end >= 0 && uri {
		number = number[:end]
	}
	// The last plus before the first digit.
	first := strings.IndexFunc(number, unicode.IsDigit)
	at := strings.LastIndexByte(number[:max(first, 0)], 0)
	if at < 0 || !readsAsNumber(strings.ReplaceAll(number, "\x00", " ")) {
		return -1
	}
	return begin + at
}

// readsAsNumber reports whether nothing but a telephone number is in a text.
func readsAsNumber(s string) bool {
	digits := 0
	for _, r := range phone.Fold(s) {
		switch {
		case unicode.IsDigit(r):
			digits++
		case !strings.ContainsRune(".-()/[]~*", r):
			return false
		}
	}
	return 5 <= digits && digits <= 16
}
