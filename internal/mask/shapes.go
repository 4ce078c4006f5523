package mask

import "strings"

// known returns the length of what stands at the beginning of s and is full of
// digits but no telephone number, or 0.
func known(s string) int {
	if !isHex(s[0]) {
		return 0
	}
	for _, shape := range shapes {
		if n := layout(s, shape.layout); n > 0 && (shape.check == nil || shape.check(s[:n])) {
			return n
		}
	}
	if !isDigit(s[0]) {
		return 0
	}
	if n := ipv4(s); n > 0 {
		return n
	}
	if n := uniqueID(s); n > 0 {
		return n
	}
	return version(s)
}

// In a layout x is a hex digit, 0 a digit, and anything else itself.
var shapes = []struct {
	layout string
	check  func(string) bool
}{
	{"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", nil},                    // RFC 9562, a UUID
	{"00-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx", nil}, // W3C traceparent
	{"0000-00-00", date},
	{"0000/00/00", date},
	{"00:00:00.000000", nil},
	{"00:00:00.000", nil},
	{"00:00:00", nil},
}

// layout returns the length of l when s begins with it and doesn't go on with
// a letter or a digit. A date may go on with a T.
func layout(s, l string) int {
	if len(s) < len(l) {
		return 0
	}
	for i := range len(l) {
		switch c := s[i]; l[i] {
		case 'x':
			if !isHex(c) {
				return 0
			}
		case '0':
			if !isDigit(c) {
				return 0
			}
		default:
			if c != l[i] {
				return 0
			}
		}
	}
	if len(s) > len(l) && isAlnum(s[len(l)]) && s[len(l)] != 'T' && s[len(l)] != 'Z' {
		return 0
	}
	return len(l)
}

func isHex(c byte) bool { return hex(c) >= 0 }

func date(s string) bool {
	century, month, day := s[:2], s[5:7], s[8:10]
	return (century == "19" || century == "20") && month <= "12" && day <= "31"
}

// ipv4 returns the length of the dotted quad at the beginning of s, or 0.
func ipv4(s string) int {
	i := 0
	for part := range 4 {
		if part > 0 {
			if i == len(s) || s[i] != '.' {
				return 0
			}
			i++
		}
		value, start := 0, i
		for i < len(s) && isDigit(s[i]) && i-start < 3 {
			value = value*10 + int(s[i]-'0')
			i++
		}
		if i == start || value > 255 {
			return 0
		}
	}
	if touches(s, i) {
		return 0
	}
	return i
}

// uniqueID returns the length of a time in seconds with a fraction or a
// counter (1656143373.12) at the beginning of s, or 0. Asterisk names its
// calls like that. Times from 2017 to 2039 count.
func uniqueID(s string) int {
	const seconds, counter = 10, 6
	if len(s) < seconds+2 || s[seconds] != '.' || s[:2] < "15" || s[:2] > "21" {
		return 0
	}
	for i := range seconds {
		if !isDigit(s[i]) {
			return 0
		}
	}
	i := seconds + 1
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	if n := i - seconds - 1; n == 0 || n > counter || touches(s, i) {
		return 0
	}
	return i
}

// version returns the length of a version such as 120.0.6099.109 at the
// beginning of s, or 0. A part of one digit tells it from a telephone number,
// unless it comes first: 1 and 7 are country codes.
func version(s string) int {
	parts, short, i := 0, false, 0
	for {
		start := i
		for i < len(s) && isDigit(s[i]) {
			i++
		}
		size := i - start
		if size == 0 || size >= minDigits {
			return 0
		}
		parts++
		short = short || size == 1 && (parts > 1 || s[start] != '1' && s[start] != '7')
		if i == len(s) || s[i] != '.' || i+1 == len(s) || !isDigit(s[i+1]) {
			break
		}
		i++
	}
	if parts < 3 || !short || touches(s, i) {
		return 0
	}
	return i
}

// touches reports whether more of the same follows at i.
func touches(s string, i int) bool {
	return i < len(s) && (isAlnum(s[i]) || s[i] == '.' && i+1 < len(s) && isAlnum(s[i+1]))
}

// minDigits is how many digits make a telephone number. Extensions and short
// codes have fewer.
const minDigits = 7

// numbers masks runs of digits that could be telephone numbers: seven or more
// in one go, or in groups as people write them. A run counts only when no
// letter touches it, so that hex ids survive.
func numbers(s string) string {
	var out splice
	eachNumber(s, func(i, j int) { out.put(s, i, j, personal(s[i:j])) })
	return out.result(s)
}

// eachNumber calls found for each of these runs.
func eachNumber(s string, found func(i, j int)) {
	for i := 0; i < len(s); {
		if !isAlnum(s[i]) {
			i++
			continue
		}
		if n := known(s[i:]); n > 0 {
			i += n
			continue
		}
		j, digits := wordEnd(s, i)
		if !digits {
			i = j
			continue
		}
		end, count := groups(s, i, j)
		if count >= minDigits {
			found(i, end)
		}
		i = end
	}
}

// wordEnd returns the end of the letters and digits at i, and whether there
// were digits only.
func wordEnd(s string, i int) (end int, digits bool) {
	digits = true
	for end = i; end < len(s) && isAlnum(s[end]); end++ {
		digits = digits && isDigit(s[end])
	}
	return end, digits
}

// groups extends the digits s[start:end] over the groups that follow, as in
// "138-0013-8000", "+1 (555) 123.4567", and counts their digits.
func groups(s string, start, end int) (last, count int) {
	last, count = end, end-start
	for {
		i := last
		for i < len(s) && i-last < 3 && strings.IndexByte(" -.()", s[i]) >= 0 {
			i++
		}
		if i == last || i == len(s) || !isDigit(s[i]) || known(s[i:]) > 0 {
			return last, count
		}
		j, digits := wordEnd(s, i)
		if !digits {
			return last, count
		}
		last, count = j, count+j-i
	}
}

// emails masks addresses. A host that is an IP address makes no email: SIP
// call ids look like that.
func emails(s string) string {
	var out splice
	eachEmail(s, func(i, j int) { out.put(s, i, j, hiddenEmail) })
	return out.result(s)
}

// hiddenEmail stands for an address.
const hiddenEmail = "***@***"

// eachEmail calls found for each of these addresses.
func eachEmail(s string, found func(i, j int)) {
	for from := 0; ; {
		at := strings.IndexByte(s[from:], '@')
		if at < 0 {
			return
		}
		at += from
		start := at
		for start > from && isLocal(s[start-1]) {
			start--
		}
		end := hostEnd(s, at+1)
		if start == at || end == at+1 || ipv4(s[at+1:]) == end-at-1 {
			from = at + 1
			continue
		}
		for end < len(s) && s[end] == '@' { // a@b@c
			end = hostEnd(s, end+1)
		}
		found(start, end)
		from = end
	}
}

func isLocal(c byte) bool {
	return isAlnum(c) || c >= 0x80 || strings.IndexByte("._%+-", c) >= 0
}

func hostEnd(s string, i int) int {
	start := i
	for i < len(s) && (isAlnum(s[i]) || s[i] >= 0x80 || s[i] == '.' || s[i] == '-') {
		i++
	}
	for i > start && (s[i-1] == '.' || s[i-1] == '-') { // the end of a sentence
		i--
	}
	return i
}
