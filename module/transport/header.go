package transport

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// connectionFields list other header fields by name. A client that names the
// token's field there asks the next hop to drop it (reliability X1).
var connectionFields = []string{"Connection", "Trailer", "Te"}

// withHeader returns a copy of h in which name has value and nothing else
// claims to be it: no copy of the client's in any spelling, no field that asks
// for its removal. The slices of other fields are shared with h.
func withHeader(h http.Header, name, value string) http.Header {
	out := maps.Clone(h)
	if out == nil {
		out = make(http.Header, 1)
	}
	for key := range out {
		if sameField(key, name) {
			delete(out, key)
		}
	}
	for _, field := range connectionFields {
		if lines, ok := out[field]; ok {
			if lines = withoutMember(lines, name); len(lines) == 0 {
				delete(out, field)
			} else {
				out[field] = lines
			}
		}
	}
	out[name] = []string{value}
	return out
}

// withoutTrailer returns a copy of a trailer without the fields that could be
// taken for name: recipients may merge a trailer into the header (RFC 9110,
// section 6.5.2).
func withoutTrailer(trailer http.Header, name string) http.Header {
	out := make(http.Header, len(trailer))
	for key, lines := range trailer {
		if !sameField(key, name) {
			out[key] = lines
		}
	}
	return out
}

// withoutMember returns lines, the values of a comma-separated field, without
// the members that spell name. It returns lines itself when there are none.
func withoutMember(lines []string, name string) []string {
	spells := func(member string) bool { return sameField(strings.TrimSpace(member), name) }
	if !slices.ContainsFunc(lines, func(line string) bool {
		return slices.ContainsFunc(strings.Split(line, ","), spells)
	}) {
		return lines
	}
	var kept []string
	for _, line := range lines {
		members := slices.DeleteFunc(strings.Split(line, ","), spells)
		if len(members) > 0 {
			kept = append(kept, strings.TrimSpace(strings.Join(members, ",")))
		}
	}
	return kept
}

// sameField tells whether a server could take one field name for the other.
// Case never counts; CGI and its heirs also can't tell a hyphen from an
// underscore or another sign.
func sameField(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if foldField(a[i]) != foldField(b[i]) {
			return false
		}
	}
	return true
}

func foldField(c byte) byte {
	switch {
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return c
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	default:
		return '-'
	}
}
