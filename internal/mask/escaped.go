package mask

import (
	"encoding/base64"
	"html"
	"slices"
	"strings"
	"unicode/utf16"
)

// An escaping is a way to write characters as others, or a set of them.
type escaping uint8

const (
	entities    escaping = 1 << iota // &#43; &#x2B; &plus;
	jsonEscapes                      // \/ \u002b, and \x2b of JavaScript
	percents                         // %2B, and %u002B of old JavaScript
	marks                            // comments and the marks of CDATA, which split a text
)

// readings are the ways in which a text is read, each again and again. Single ones
// come first: a secret may look like an escape of another kind itself.
var readings = []escaping{
	entities, jsonEscapes, percents, marks,
	entities | jsonEscapes, entities | jsonEscapes | marks,
	entities | jsonEscapes | percents, entities | jsonEscapes | percents | marks,
}

// escapeSigns are the bytes that escapes and marks begin with.
const escapeSigns = `&\%<]`

const (
	minSecret    = 4 // bytes; shorter ones are in every text
	minBeginning = 8 // bytes of a secret at the end of a text that is cut off
)

// hider hides secrets in every spelling that it knows, and telephone numbers and
// addresses that are escaped.
type hider struct {
	secrets  []string // with their other spellings
	shortest int
}

func newHider(secrets []string) hider {
	var h hider
	for _, secret := range secrets {
		if len(secret) < minSecret {
			continue
		}
		h.add(secret)
		h.add(strings.ReplaceAll(secret, " ", "+")) // in a form
		if !strings.ContainsAny(secret, escapeSigns) {
			continue
		}
		for _, reading := range readings { // it looks like an escape itself
			read, changed := layer{text: secret}, true
			for n := 0; changed && n < maxNesting; n++ {
				read, changed = read.undo(reading)
			}
			h.add(read.text)
		}
	}
	return h
}

func (h *hider) add(secret string) {
	if len(strings.TrimSpace(secret)) < minSecret || slices.Contains(h.secrets, secret) {
		return
	}
	h.secrets = append(h.secrets, secret)
	if h.shortest == 0 || len(secret) < h.shortest {
		h.shortest = len(secret)
	}
}

// hide hides what is found in s, and of a text that is cut off the beginning of a
// secret at its end.
func (h *hider) hide(s string, cutOff bool) string {
	f := finder{hider: h, size: len(s), cutOff: cutOff}
	raw := layer{text: s}
	f.find(raw)
	f.findBase64(raw)
	if !strings.ContainsAny(s, escapeSigns) {
		return f.result(s)
	}
	for _, reading := range readings {
		l := raw
		for range maxNesting + 1 {
			var changed bool
			if l, changed = l.undo(reading); !changed {
				break
			}
			f.find(l)
			if reading&percents == 0 { // what is percent-encoded is masked by Value
				f.findPersonal(l)
			} else if reading != percents {
				f.findBase64(l)
			}
		}
	}
	return f.result(s)
}

// A layer is a text with escapes undone.
type layer struct {
	text string
	// Where each byte begins and ends in the original; nil for the original.
	begins, ends []int32
}

// origin returns where text[i:j] is in the original.
func (l layer) origin(i, j int) (begin, end int) {
	if l.begins == nil {
		return i, j
	}
	return int(l.begins[i]), int(l.ends[j-1])
}

// undo undoes one round of escaping. What isn't an escape stays.
func (l layer) undo(of escaping) (layer, bool) {
	s := l.text
	lastComment := -1
	if of&marks != 0 {
		lastComment = strings.LastIndex(s, "-->")
	}
	var out layer
	text, changed, done := []byte(nil), false, 0
	write := func(with string, i, j int) {
		begin, end := l.origin(i, j)
		for range len(with) {
			out.begins, out.ends = append(out.begins, int32(begin)), append(out.ends, int32(end)) //nolint:gosec // at most maxLooked
		}
		text = append(text, with...)
	}
	copyTo := func(end int) {
		for i := done; i < end; i++ {
			write(s[i:i+1], i, i+1)
		}
	}
	for i := 0; i < len(s); i++ {
		if strings.IndexByte(escapeSigns, s[i]) < 0 {
			continue
		}
		with, n := readEscape(s[i:], of, i < lastComment)
		if n == 0 {
			continue
		}
		if !changed {
			changed = true
			text = make([]byte, 0, len(s))
			out.begins, out.ends = make([]int32, 0, len(s)), make([]int32, 0, len(s))
		}
		copyTo(i)
		write(with, i, i+n)
		done = i + n
		i = done - 1
	}
	if !changed {
		return l, false
	}
	copyTo(len(s))
	out.text = string(text)
	return out, true
}

// readEscape returns what the escape at the beginning of s stands for, and its length; 0
// for none. comments says that a comment may end in s.
func readEscape(s string, of escaping, comments bool) (with string, n int) {
	switch c := s[0]; {
	case c == '&' && of&entities != 0:
		return entity(s)
	case c == '\\' && of&jsonEscapes != 0:
		return jsonEscape(s)
	case c == '%' && of&percents != 0:
		if code, ok := hexDigits(s, 1, 2); ok {
			return string([]byte{byte(code)}), 3 //nolint:gosec // of two digits
		}
		if code, ok := hexDigits(s, 2, 4); ok && (s[1] == 'u' || s[1] == 'U') {
			return string(code), 6
		}
	case of&marks == 0:
	case strings.HasPrefix(s, "<![CDATA["):
		return "", len("<![CDATA[")
	case strings.HasPrefix(s, "]]>"):
		return "", len("]]>")
	case comments && strings.HasPrefix(s, "<!--"):
		if end := strings.Index(s, "-->"); end >= 0 {
			return "", end + len("-->")
		}
	}
	return "", 0
}

// entity undoes a character reference of HTML or XML, with or without a semicolon.
func entity(s string) (with string, n int) {
	const longest = 40
	n = 1
	isPart := isAlnum
	if n < len(s) && s[n] == '#' {
		n++
		isPart = isDigit
		if n < len(s) && (s[n] == 'x' || s[n] == 'X') {
			n++
			isPart = isHex
		}
	}
	for n < len(s) && n < longest && isPart(s[n]) {
		n++
	}
	if n < len(s) && s[n] == ';' {
		n++
	}
	if with = html.UnescapeString(s[:n]); with == s[:n] {
		return "", 0
	}
	return with, n
}

func jsonEscape(s string) (with string, n int) {
	if len(s) < 2 {
		return "", 0
	}
	switch s[1] {
	case '"', '\\', '/', '\'':
		return s[1:2], 2
	case 'b', 'f', 'n', 'r', 't':
		return " ", 2
	case 'x':
		if code, ok := hexDigits(s, 2, 2); ok {
			return string(code), 4
		}
	case 'u', 'U':
		code, ok := hexDigits(s, 2, 4)
		if !ok {
			return "", 0
		}
		if low, ok := hexDigits(s, 8, 4); ok && utf16.IsSurrogate(code) && s[6] == '\\' && s[7] == 'u' {
			if pair := utf16.DecodeRune(code, low); pair != '\uFFFD' {
				return string(pair), 12
			}
		}
		return string(code), 6
	}
	return "", 0
}

// hexDigits reads n hex digits at i.
func hexDigits(s string, i, n int) (code rune, ok bool) {
	if len(s) < i+n {
		return 0, false
	}
	for _, c := range []byte(s[i : i+n]) {
		if !isHex(c) {
			return 0, false
		}
		code = code<<4 | rune(hex(c)) //nolint:gosec // 0 to 15
	}
	return code, true
}

// finder collects what is to be hidden in a text.
type finder struct {
	*hider
	size   int // of the text
	cutOff bool
	found  []span
}

// span is a part of the original text, and what stands for it.
type span struct {
	begin, end int
	with       string
}

func (f *finder) add(l layer, i, j int, with string) {
	begin, end := l.origin(i, j)
	f.found = append(f.found, span{begin, end, with})
}

// find finds secrets in a layer.
func (f *finder) find(l layer) {
	for _, secret := range f.secrets {
		for i := 0; ; {
			at := strings.Index(l.text[i:], secret)
			if at < 0 {
				break
			}
			f.add(l, i+at, i+at+len(secret), Hidden)
			i += at + len(secret)
		}
		if f.cutOff {
			f.findBeginning(l, secret)
		}
	}
}

// findBeginning finds the beginning of a secret at the end of a layer, with or without
// an escape that is cut off itself.
func (f *finder) findBeginning(l layer, secret string) {
	for _, text := range []string{l.text, l.text[:wholeEscapes(l.text)]} {
		if n := overlap(text, secret); n >= minBeginning {
			begin, _ := l.origin(len(text)-n, len(text))
			f.found = append(f.found, span{begin, f.size, Hidden})
			return
		}
	}
}

// overlap returns how many bytes at the end of a text are the beginning of a secret.
func overlap(text, secret string) int {
	for n := min(len(text), len(secret)); n > 0; n-- {
		if text[len(text)-n] == secret[0] && strings.HasSuffix(text, secret[:n]) {
			return n
		}
	}
	return 0
}

// wholeEscapes returns the length of a text without the beginning of an escape at its
// end.
func wholeEscapes(text string) int {
	const longest = 10
	for i := len(text) - 1; i >= 0 && i >= len(text)-longest; i-- {
		if strings.IndexByte(`&\%`, text[i]) >= 0 {
			return i
		}
	}
	return len(text)
}

// findBase64 finds secrets in base64, of either alphabet and with line breaks. Where
// the secret begins in it isn't known, so it is read from each of four digits.
func (f *finder) findBase64(l layer) {
	if f.shortest == 0 {
		return
	}
	var digits []byte
	for i := 0; i < len(l.text); i++ {
		if !isBase64(l.text[i]) {
			continue
		}
		begin, end := i, i
		digits = digits[:0]
		for ; i < len(l.text) && (isBase64(l.text[i]) || l.text[i] == '\r' || l.text[i] == '\n'); i++ {
			switch c := l.text[i]; c {
			case '\r', '\n':
				continue
			case '-':
				digits = append(digits, '+')
			case '_':
				digits = append(digits, '/')
			default:
				digits = append(digits, c)
			}
			end = i + 1
		}
		if f.isBase64(digits, f.cutOff && end == len(l.text)) {
			f.add(l, begin, end, Hidden)
		}
	}
}

func isBase64(c byte) bool { return isAlnum(c) || strings.IndexByte("+/-_", c) >= 0 }

// isBase64 reports whether a secret is in digits of base64.
func (f *finder) isBase64(digits []byte, cutOff bool) bool {
	if base64.RawStdEncoding.DecodedLen(len(digits)) < min(f.shortest, minBeginning) {
		return false
	}
	text := make([]byte, len(digits))
	for from := range 4 {
		run := digits[min(from, len(digits)):]
		if len(run)%4 == 1 {
			run = run[:len(run)-1]
		}
		n, _ := base64.RawStdEncoding.Decode(text, run) // of digits only
		for _, secret := range f.secrets {
			if decoded := string(text[:n]); strings.Contains(decoded, secret) || cutOff && overlap(decoded, secret) >= minBeginning {
				return true
			}
		}
	}
	return false
}

// findPersonal finds telephone numbers and addresses in a layer.
func (f *finder) findPersonal(l layer) {
	eachNumber(l.text, func(i, j int) { f.add(l, i, j, personal(l.text[i:j])) })
	eachEmail(l.text, func(i, j int) { f.add(l, i, j, hiddenEmail) })
}

// result returns s with what was found hidden. Of what overlaps, all is hidden.
func (f *finder) result(s string) string {
	slices.SortFunc(f.found, func(a, b span) int { return a.begin - b.begin })
	var out splice
	for i := 0; i < len(f.found); {
		part := f.found[i]
		for i++; i < len(f.found) && f.found[i].begin < part.end; i++ {
			if next := f.found[i]; next.begin != part.begin || next.end != part.end || next.with != part.with {
				part.end, part.with = max(part.end, next.end), Hidden
			}
		}
		out.put(s, part.begin, part.end, part.with)
	}
	return out.result(s)
}
