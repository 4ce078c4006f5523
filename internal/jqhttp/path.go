package jqhttp

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxRounds is how often a segment is decoded in search of dot segments. Each
// proxy or framework on the way to an API decodes a path once, at most twice.
const maxRounds = 8

// Climbs reports whether a server could find a dot segment in a path or in a
// segment of one:
// "." or ".." on its own between slashes or backslashes, after any number of
// rounds of percent-decoding. It also sees the spellings that some servers take
// for dots and slashes: `%u002e`, overlong UTF-8, full-width characters, path
// parameters ("..;x"), control characters, and blanks beside the dots. A segment
// that is still encoded after maxRounds is taken for one that hides something.
//
// Segments need not be looked at together: the "/" between two of them stays
// through all decoding, so nothing can grow across it.
func Climbs(s string) bool {
	if !suspicious(s) {
		return false
	}
	for range maxRounds {
		if hasDots(s) {
			return true
		}
		decoded := Unescape(s)
		if decoded == s {
			return false
		}
		s = decoded
	}
	return true
}

// suspicious is a quick look: most segments are plain letters and digits.
func suspicious(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r == '.' || r == '%' || r >= utf8.RuneSelf })
}

// lookalikes are taken for dots and slashes by servers that decode overlong
// UTF-8, or that normalize compatible characters.
var lookalikes = strings.NewReplacer(
	"\xc0\xae", ".", "\xe0\x80\xae", ".", "\uff0e", ".", "\u2024", ".", "\u2025", "..", "\ufe52", ".",
	"\xc0\xaf", "/", "\xe0\x80\xaf", "/", "\uff0f", "/", "\u2044", "/", "\u2215", "/",
	"\xc1\x9c", "/", "\xe0\x81\x9c", "/", "\uff3c", "/", "\ufe68", "/", `\`, "/",
)

// hasDots reports whether s has a dot segment as it is.
func hasDots(s string) bool {
	for part := range strings.SplitSeq(lookalikes.Replace(s), "/") {
		// A server that decodes %3F, %23 or %3B too early ends the segment there.
		if i := strings.IndexAny(part, ";?#"); i >= 0 {
			part = part[:i]
		}
		part = strings.Map(func(r rune) rune {
			if invisible(r) {
				return -1
			}
			return r
		}, part)
		if part != "" && strings.Trim(part, ".") == "" {
			return true
		}
	}
	return false
}

// invisible reports whether servers may drop a character: blanks, control and
// format characters, and bytes that aren't UTF-8.
func invisible(r rune) bool {
	return unicode.IsSpace(r) || !unicode.IsGraphic(r) || r == utf8.RuneError
}

var escapes = regexp.MustCompile(`%(?:[uU][0-9a-fA-F]{4}|[0-9a-fA-F]{2})`)

// Unescape undoes one round of percent-encoding as leniently as the most lenient
// server: `%u0061` is a letter, and what isn't an escape stays.
func Unescape(s string) string {
	return escapes.ReplaceAllStringFunc(s, func(escape string) string {
		n, _ := strconv.ParseUint(strings.TrimLeft(escape, "%uU"), 16, 16)
		if len(escape) > len("%61") { // `%u` and four digits
			return string(rune(n))
		}
		return string([]byte{byte(n)}) //nolint:gosec // of two digits
	})
}
