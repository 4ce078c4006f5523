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

import "strings"

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
