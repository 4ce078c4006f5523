package mask

import (
	"slices"
	"strings"
)

// Names are compared in lower case and without punctuation, so that appKey,
// app_key and X-App-Key are one name.
var (
	secretParts = []string{
		"token", "secret", "passw", "pwd", "apikey", "appkey", "accesskey", "signature",
		"credential", "authorization", "jwt", "ticket", "cookie",
	}
	secretEnds  = []string{"key", "sign"}
	secretNames = []string{"sig", "auth", "pass", "pin", "otp", "sk", "hmac", "session", "sessionid"}

	personalParts = []string{"phone", "mobile", "caller", "callee", "msisdn", "email"}
	personalEnds  = []string{"number"}
	personalNames = []string{
		"tel", "telno", "tel1", "tel2", "cell", "fax", "mail", "from", "to", "called", "ani", "dnis", "cli", "clid",
		"src", "dst",
	}
)

// Secret tells whether a name (of a parameter, a header, a field) looks like
// that of a secret: access_token, sign, app_key, X-Api-Key, password …
func Secret(name string) bool {
	return matches(name, secretParts, secretEnds, secretNames)
}

// Personal tells whether a name looks like that of a telephone number or an
// email address: tel, phone, callerNumber, From, email …
func Personal(name string) bool {
	return matches(name, personalParts, personalEnds, personalNames)
}

func matches(name string, parts, ends, names []string) bool {
	n := squash(name)
	return n != "" &&
		(slices.Contains(names, n) ||
			slices.ContainsFunc(ends, func(e string) bool { return strings.HasSuffix(n, e) }) ||
			slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(n, p) }))
}

// squash returns the ASCII letters and digits of a name in lower case. Names
// that are squashed already cost nothing.
func squash(name string) string {
	clean := true
	for i := range len(name) {
		if c := name[i]; !isAlnum(c) || 'A' <= c && c <= 'Z' {
			clean = false
			break
		}
	}
	if clean {
		return name
	}
	out := make([]byte, 0, 48)
	for i := range len(name) {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			out = append(out, c+('a'-'A'))
		case isAlnum(c):
			out = append(out, c)
		}
	}
	return string(out)
}
