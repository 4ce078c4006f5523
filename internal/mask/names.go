package mask

import "slices"

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
// that of a secret: access_token, sign, app_key, X-Api-Key, password … or is one
// by [AddSecrets].
func Secret(name string) bool {
	return matches(name, secretParts, secretEnds, secretNames) || isConfigured(name)
}

// Personal tells whether a name looks like that of a telephone number or an
// email address: tel, phone, callerNumber, From, email …
func Personal(name string) bool {
	return matches(name, personalParts, personalEnds, personalNames)
}

// nameSize is how much of a name is looked at.
const nameSize = 128

func matches(name string, parts, ends, names []string) bool {
	var buf [nameSize]byte
	n := squash(buf[:0], name)
	if slices.Contains(names, string(n)) {
		return true
	}
	for _, x := range ends {
		if len(n) >= len(x) && string(n[len(n)-len(x):]) == x {
			return true
		}
	}
	for _, x := range parts {
		for i := 0; i+len(x) <= len(n); i++ {
			if n[i] == x[0] && string(n[i:i+len(x)]) == x {
				return true
			}
		}
	}
	return false
}

// squash appends the ASCII letters and digits of a name in lower case.
func squash(dst []byte, name string) []byte {
	for i := 0; i < len(name) && len(dst) < nameSize; i++ {
		switch c := name[i]; {
		case 'A' <= c && c <= 'Z':
			dst = append(dst, c+('a'-'A'))
		case isAlnum(c):
			dst = append(dst, c)
		}
	}
	return dst
}
