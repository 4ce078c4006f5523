package mask

import "strings"

// webWords masks, word by word, what looks like a part of a URL, a form or a
// percent-encoded text.
func webWords(s string, depth int) string {
	if !strings.ContainsAny(s, "=%") && !strings.Contains(s, "://") {
		return s
	}
	var out splice
	for i := 0; i < len(s); {
		if isBreak(s[i]) {
			i++
			continue
		}
		j := i + 1
		for j < len(s) && !isBreak(s[j]) {
			j++
		}
		if word := s[i:j]; strings.ContainsAny(word, "=%@") {
			out.put(s, i, j, webWord(word, depth))
		}
		i = j
	}
	return out.result(s)
}

// isBreak tells what ends a word of text. None of these is allowed in a URL.
func isBreak(c byte) bool {
	return c <= ' ' || c == '"' || c == '<' || c == '>' || c == '`' || c == '\\' || c == 0x7f
}

// webWord masks the parts of a URL. A semicolon separates too: ;token=… is a
// parameter of a path segment or of a SIP address.
func webWord(s string, depth int) string {
	s = userinfo(s)
	var out splice
	query := false
	for i := 0; i <= len(s); {
		j := i
		for j < len(s) && !isDelimiter(s[j]) {
			j++
		}
		out.put(s, i, j, parameter(s[i:j], query, depth))
		query = true
		i = j + 1
	}
	return out.result(s)
}

func isDelimiter(c byte) bool { return c == '?' || c == '&' || c == '#' || c == ';' }

// userinfo hides user and password of the URLs in s. Text up to the last @ of
// the authority counts: passwords are often written unescaped.
func userinfo(s string) string {
	const scheme = "://"
	var out splice
	for i := 0; ; {
		at := strings.Index(s[i:], scheme)
		if at < 0 {
			return out.result(s)
		}
		start := i + at + len(scheme)
		end := start
		for end < len(s) && s[end] != '/' && s[end] != '?' && s[end] != '#' {
			end++
		}
		if n := strings.LastIndexByte(s[start:end], '@'); n > 0 {
			out.put(s, start, start+n, Hidden)
		}
		i = start
	}
}

// parameter masks "name=value", or a piece of a path when there is no name.
// Personal names count only within a query: elsewhere "from=cache" is prose.
func parameter(s string, query bool, depth int) string {
	head, value, ok := strings.Cut(s, "=")
	if !ok {
		return encoded(s, query, depth)
	}
	name := unescape(head, query)
	if !query {
		name = name[lastWord(name):]
	}
	masked := value
	switch {
	case value == "":
	case Secret(name):
		masked = Hidden
	case query && Personal(name):
		if v := unescape(value, true); strings.TrimSpace(v) != "" {
			masked = personal(v)
		}
	default:
		masked = encoded(value, query, depth)
	}
	if decoded := encoded(head, query, depth); decoded != head || masked != value {
		return decoded + "=" + masked
	}
	return s
}

// lastWord returns where the identifier at the end of s begins.
func lastWord(s string) int {
	i := len(s)
	for i > 0 && (isAlnum(s[i-1]) || s[i-1] == '_' || s[i-1] == '-' || s[i-1] == ']' || s[i-1] == '[') {
		i--
	}
	return i
}

// encoded masks what s holds once its percent-encoding is taken off.
func encoded(s string, query bool, depth int) string {
	decoded := unescape(s, query)
	if decoded == s {
		return s
	}
	if depth == maxNesting {
		return Hidden
	}
	if masked := text(decoded, depth+1); masked != decoded {
		return escape(masked)
	}
	return s
}

// unescape undoes percent-encoding, and "+" for a blank in a query. What is
// not an escape stays as it is.
func unescape(s string, query bool) string {
	if strings.IndexByte(s, '%') < 0 && (!query || strings.IndexByte(s, '+') < 0) {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%' && i+2 < len(s) && hex(s[i+1]) >= 0 && hex(s[i+2]) >= 0:
			out = append(out, byte(hex(s[i+1])<<4|hex(s[i+2]))) //nolint:gosec // two hex digits are a byte
			i += 2
		case c == '+' && query:
			out = append(out, ' ')
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

// escape writes masked text so that it can't be taken for more parameters.
func escape(s string) string {
	const digits = "0123456789ABCDEF"
	out := make([]byte, 0, len(s)+8)
	for i := range len(s) {
		c := s[i]
		if isAlnum(c) || strings.IndexByte("*@/:,.~-_!$()'[]", c) >= 0 {
			out = append(out, c)
			continue
		}
		out = append(out, '%', digits[c>>4], digits[c&15])
	}
	return string(out)
}

func hex(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
