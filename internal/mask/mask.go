// Package mask hides secrets, telephone numbers and email addresses in text
// that goes to logs and traces.
//
// Tokens become "***", numbers "***" and their last two digits, addresses
// "***@***". What somebody reads logs for survives: UUIDs and hex ids, IP
// addresses, dates, clock times, versions, Asterisk's unique ids
// (1656143373.12) and SIP call ids whose host is an IP address.
//
// Masking prefers hiding too much to hiding too little, works on both readings
// of a percent-encoded text, and never fails.
package mask

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Hidden stands for a value that is hidden whole.
const Hidden = "***"

// maxNesting is how many layers of percent-encoding are looked through. What
// is nested deeper is hidden whole.
const maxNesting = 4

// Text masks a line of free text: an error message, a header value, a URL
// somewhere in a sentence, a JSON document. It returns s itself when there is
// nothing to hide, without allocating.
func Text(s string) string { return text(s, 0) }

// URI masks a request URI, a URL or a query string with its "?". Other than
// [Text] it takes s as one URI even when blanks or quotes are in it.
func URI(s string) string { return text(webWord(s, 0), 0) }

// Value masks a value whose name is known: "***" for the names of secrets, at
// most two digits for the names of telephone numbers and the like, and else
// as [Text].
func Value(name, s string) string {
	switch {
	case strings.TrimSpace(s) == "":
		return s
	case Secret(name):
		return Hidden
	case Personal(name):
		return personal(s)
	}
	return Text(s)
}

func text(s string, depth int) string {
	var web, blank bool
	for i := range len(s) {
		switch s[i] {
		case '=', '%', ':':
			web = true
		case ' ':
			blank = true
		}
	}
	if web {
		s = jsonPairs(webWords(s, depth))
	}
	if blank {
		s = schemes(s)
	}
	return plain(s)
}

// plain masks what needs no context.
func plain(s string) string {
	s = jwts(s)
	digits, at := 0, false
	for i := range len(s) {
		if isDigit(s[i]) {
			digits++
		}
		at = at || s[i] == '@'
	}
	if at {
		s = emails(s)
	}
	if digits >= minDigits {
		s = numbers(s)
	}
	return s
}

// personal leaves at most the last two digits of a value.
func personal(s string) string {
	if strings.HasPrefix(s, Hidden) && len(s) <= len(Hidden)+2 {
		return s // masked before
	}
	digits, last := 0, [2]byte{}
	for i := range len(s) {
		if isDigit(s[i]) {
			digits++
			last[0], last[1] = last[1], s[i]
		}
	}
	if digits < minDigits {
		return Hidden
	}
	return Hidden + string(last[:])
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isAlnum(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// splice rewrites parts of a string, in order, and costs nothing when no part
// changes.
type splice struct {
	b    strings.Builder
	done int // how far the original is written
}

// put replaces s[i:j].
func (p *splice) put(s string, i, j int, with string) {
	if s[i:j] == with {
		return
	}
	if p.b.Cap() == 0 {
		p.b.Grow(len(s))
	}
	p.b.WriteString(s[p.done:i])
	p.b.WriteString(with)
	p.done = j
}

// result returns the rewritten s.
func (p *splice) result(s string) string {
	if p.done == 0 {
		return s
	}
	p.b.WriteString(s[p.done:])
	return p.b.String()
}

// configured are the names that count as those of secrets because a configuration
// says so, squashed, with how many say it. The map is never changed.
var configured struct {
	mu    sync.Mutex // held while the map is replaced
	names atomic.Pointer[map[string]int]
}

// AddSecrets makes names those of secrets, beside the ones that look like it: a
// header that a key comes in, a parameter that a token goes out with. They are
// compared whole. They stay until remove is called; configurations may overlap.
func AddSecrets(names []string) (remove func()) {
	names = slices.Clone(names)
	count(names, 1)
	return sync.OnceFunc(func() { count(names, -1) })
}

// count counts names that don't look like secrets anyway.
func count(names []string, by int) {
	configured.mu.Lock()
	defer configured.mu.Unlock()
	all := make(map[string]int)
	if now := configured.names.Load(); now != nil {
		maps.Copy(all, *now)
	}
	for _, name := range names {
		n := squash(nil, name)
		if len(n) == 0 || matches(n, secretParts, secretEnds, secretNames) {
			continue
		}
		if all[string(n)] += by; all[string(n)] <= 0 {
			delete(all, string(n))
		}
	}
	if len(all) == 0 {
		configured.names.Store(nil)
		return
	}
	configured.names.Store(&all)
}

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

// Secret reports whether a name (of a parameter, a header, a field) looks like
// that of a secret: access_token, sign, app_key, X-Api-Key, password … or is one
// by [AddSecrets].
func Secret(name string) bool {
	var buf [nameSize]byte
	n := squash(buf[:0], name)
	if matches(n, secretParts, secretEnds, secretNames) {
		return true
	}
	all := configured.names.Load()
	return all != nil && (*all)[string(n)] > 0
}

// Personal reports whether a name looks like that of a telephone number or an
// email address: tel, phone, callerNumber, From, email …
func Personal(name string) bool {
	var buf [nameSize]byte
	return matches(squash(buf[:0], name), personalParts, personalEnds, personalNames)
}

// nameSize is how much of a name is looked at.
const nameSize = 128

// matches reports whether a squashed name is one of names, or has one of ends or parts.
func matches(n []byte, parts, ends, names []string) bool {
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
