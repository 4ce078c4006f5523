package mask

import "strings"

// jwts masks JSON web tokens: they begin with {" in base64.
func jwts(s string) string {
	const begin, shortest = "eyJ", 20
	return hideRuns(s, begin, 0, func(run string) bool { return len(run) >= shortest })
}

// schemes masks credentials after the name of an authentication scheme.
func schemes(s string) string {
	for _, scheme := range []string{"earer ", "asic ", "oauthtoken "} {
		s = hideRuns(s, scheme, len(scheme), looksRandom)
	}
	return s
}

// hideRuns masks the runs of token bytes that begin skip bytes after a marker, as
// far as they are secret.
func hideRuns(s, marker string, skip int, secret func(run string) bool) string {
	var out splice
	for i := 0; ; {
		at := strings.Index(s[i:], marker)
		if at < 0 {
			return out.result(s)
		}
		start := i + at + skip
		i = start
		for i < len(s) && isTokenByte(s[i]) {
			i++
		}
		if secret(s[start:i]) {
			out.put(s, start, i, Hidden)
		}
	}
}

func isTokenByte(c byte) bool { return isAlnum(c) || strings.IndexByte("-_.~+/=", c) >= 0 }

// looksRandom tells credentials from prose: "bearer token refused".
func looksRandom(s string) bool {
	const shortest = 6
	if len(s) < shortest {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && c != '.' {
			return true
		}
	}
	return len(s) > 20
}

// jsonPairs masks "name":"value" in a document, quoted once more or not, when
// the name says that it is a secret or a number.
func jsonPairs(s string) string {
	if !strings.Contains(s, `":`) && !strings.Contains(s, `" :`) {
		return s
	}
	var out splice
	for i := 0; i < len(s); {
		quote := strings.IndexByte(s[i:], '"')
		if quote < 0 {
			break
		}
		quote += i
		end := strings.IndexByte(s[quote+1:], '"')
		if end < 0 {
			break
		}
		end += quote + 1
		name := s[quote+1 : end]
		i = end
		if strings.ContainsAny(name, " =/?&") { // a quoted URL or sentence before a colon
			continue
		}
		start, stop, ok := jsonValue(s, end+1)
		if !ok {
			continue
		}
		if Secret(name) {
			out.put(s, start, stop, Hidden)
			i = stop
		} else if Personal(name) && strings.TrimSpace(s[start:stop]) != "" {
			out.put(s, start, stop, personal(s[start:stop]))
			i = stop
		}
	}
	return out.result(s)
}

// jsonValue finds the scalar after a colon at i. Its quotes stay outside.
func jsonValue(s string, i int) (start, stop int, ok bool) {
	value, ok := strings.CutPrefix(strings.TrimLeft(s[i:], " \t"), ":")
	if !ok {
		return 0, 0, false
	}
	i = len(s) - len(strings.TrimLeft(value, " \t"))
	if i < len(s) && s[i] == '\\' {
		i++
	}
	if i < len(s) && s[i] == '"' {
		start = i + 1
		for stop = start; stop < len(s) && s[stop] != '"'; stop++ {
			if s[stop] == '\\' {
				if stop+1 == len(s) || s[stop+1] == '"' && s[i-1] == '\\' {
					break // the closing \" of a document within a string
				}
				stop++
			}
		}
		return start, min(stop, len(s)), stop > start
	}
	start = i
	for stop = start; stop < len(s) && strings.IndexByte(",}] \t\r\n", s[stop]) < 0; stop++ {
		if s[stop] == '{' || s[stop] == '[' {
			return 0, 0, false
		}
	}
	value = s[start:stop]
	return start, stop, value != "" && value != "null" && value != "true" && value != "false"
}
