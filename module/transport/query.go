package transport

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
)

// withParameter returns a raw query, or a form body, in which name has value
// and that once, at the end. The client's copies are gone however they are
// spelled; everything else stays byte for byte and in its order, so that a
// signature over it still fits.
func withParameter(raw, name, value string) string {
	kept := withoutParameter(raw, name)
	if kept != "" {
		kept += "&"
	}
	return kept + escapeParameter(name) + "=" + escapeParameter(value)
}

// withoutParameter returns a raw query without the parts that spell name.
func withoutParameter(raw, name string) string {
	var out strings.Builder
	out.Grow(len(raw))
	wrote := false
	// Some servers still split at semicolons, so a copy may stand after one.
	for start, separator := 0, byte(0); ; {
		end := len(raw)
		if i := strings.IndexAny(raw[start:], "&;"); i >= 0 {
			end = start + i
		}
		if part := raw[start:end]; !spellsParameter(part, name) {
			if wrote {
				out.WriteByte(separator)
			}
			out.WriteString(part)
			wrote = true
		}
		if end == len(raw) {
			break
		}
		separator, start = raw[end], end+1
	}
	return out.String()
}

// hideParameter takes a parameter out of the URLs in an answer's header. A
// server that redirects to another path or scheme repeats the query, and with it
// the token, to the client.
func hideParameter(h http.Header, name string) {
	for _, field := range []string{"Location", "Content-Location"} {
		for i, line := range h[field] {
			rest, fragment, hasFragment := strings.Cut(line, "#")
			path, query, hasQuery := strings.Cut(rest, "?")
			if !hasQuery {
				continue
			}
			kept := withoutParameter(query, name)
			if kept == query {
				continue
			}
			line = path
			if kept != "" {
				line += "?" + kept
			}
			if hasFragment {
				line += "#" + fragment
			}
			h[field][i] = line
		}
	}
}

// escapeParameter encodes for a query and for a form alike: `%20` is a blank to
// every reader, `+` is not.
func escapeParameter(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

// spellsParameter tells whether a part of a query, `key` or `key=value`, is one
// that a server could take for name: encoded (`%61ccess_token`), in another
// case, or as an array (`access_token[]`).
func spellsParameter(part, name string) bool {
	key, _, _ := strings.Cut(part, "=")
	if strings.ContainsAny(key, "%+") {
		key = unescapeKey(key)
	}
	key, _, _ = strings.Cut(key, "[")
	return strings.EqualFold(strings.TrimSpace(key), name)
}

// unescapeKey decodes as leniently as the most lenient server does: a broken
// escape stands for itself, and `%u0061` is a letter.
func unescapeKey(key string) string {
	var out strings.Builder
	out.Grow(len(key))
	for i := 0; i < len(key); i++ {
		switch key[i] {
		case '+':
			out.WriteByte(' ')
			continue
		case '%':
			if b := unhex(key, i+1, 2); b != nil {
				out.Write(b)
				i += 2
				continue
			}
			if b := unhex(key, i+2, 4); b != nil && key[i+1]|0x20 == 'u' {
				out.WriteRune(rune(b[0])<<8 | rune(b[1]))
				i += 5
				continue
			}
		}
		out.WriteByte(key[i])
	}
	return out.String()
}

// unhex decodes n hexadecimal digits of s from start; nil when there are none.
func unhex(s string, start, n int) []byte {
	if start+n > len(s) {
		return nil
	}
	b, err := hex.DecodeString(s[start : start+n])
	if err != nil {
		return nil
	}
	return b
}
