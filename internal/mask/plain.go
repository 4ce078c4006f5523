package mask

import "strings"

// minDigits is how many digits make a telephone number. Extensions and short
// codes have fewer.
const minDigits = 7

// numbers masks runs of digits that could be telephone numbers: seven or more
// in one go, or in groups as people write them. A run counts only when no
// letter touches it, so that hex ids survive.
func numbers(s string) string {
	var out splice
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
			out.put(s, i, end, Hidden+lastDigits(s[i:end]))
		}
		i = end
	}
	return out.result(s)
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

// lastDigits returns the last two digits of s, which has them.
func lastDigits(s string) string {
	digits := make([]byte, 0, 2)
	for i := len(s) - 1; len(digits) < 2; i-- {
		if isDigit(s[i]) {
			digits = append(digits, s[i])
		}
	}
	return string([]byte{digits[1], digits[0]})
}

// emails masks addresses. A host that is an IP address makes no email: SIP
// call ids look like that.
func emails(s string) string {
	var out splice
	for from := 0; ; {
		at := strings.IndexByte(s[from:], '@')
		if at < 0 {
			return out.result(s)
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
		out.put(s, start, end, "***@***")
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
