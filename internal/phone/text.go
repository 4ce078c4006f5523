package phone

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
)

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
