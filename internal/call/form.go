package call

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/switchboard-ivr/switchboard/internal/phone"
)

func parseForm(raw []byte, l Limits) (pairs, error) {
	s := string(bytes.TrimSpace(raw))
	if s[0] == '{' || s[0] == '[' {
		// Asterisk's CURL() calls everything a form; as
		// one, a document would be a single blank parameter.
		return pairs{}, refuse(http.StatusBadRequest, "form: looks like JSON; send it as Content-Type: application/json")
	}
	return parsePairs("form", s, l)
}

// parseMultipart reads the text fields of a multipart form, RFC 7578.
func parseMultipart(raw []byte, boundary string, l Limits) (pairs, error) {
	p := pairs{from: "form", values: map[string]any{}}
	parts := multipart.NewReader(bytes.NewReader(raw), boundary)
	for n := 0; ; n++ {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) && bytes.Contains(raw, []byte("--"+boundary+"--")) {
			return p, nil
		}
		if err != nil { // io.EOF is also a body that was cut off
			return p, refuse(http.StatusBadRequest, "form: malformed multipart body")
		}
		if n == l.Params {
			return p, refuse(http.StatusBadRequest, "form: more than %d parameters", l.Params)
		}
		if err := checkPart(part); err != nil {
			return p, err
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return p, refuse(http.StatusBadRequest, "form: malformed multipart body")
		}
		if err := p.add(part.FormName(), string(value)); err != nil {
			return p, err
		}
	}
}

func checkPart(part *multipart.Part) error {
	if part.FileName() != "" {
		return refuse(http.StatusUnsupportedMediaType, "form: files are not accepted")
	}
	switch strings.ToLower(part.Header.Get("Content-Transfer-Encoding")) {
	case "", "7bit", "8bit", "binary":
	default: // deprecated by RFC 7578, section 4.7
		return refuse(http.StatusUnsupportedMediaType, "form: encoded parts are not accepted")
	}
	if t := part.Header.Get("Content-Type"); t != "" {
		media, params, err := mime.ParseMediaType(t)
		if err != nil || media != "text/plain" || !isUTF8(params["charset"]) {
			return refuse(http.StatusUnsupportedMediaType, "form: parts must be text in utf-8")
		}
	}
	return nil
}

// pairs are the parameters of a query string or a form, decoded. Values are
// strings, and arrays of strings where a name repeats.
type pairs struct {
	values map[string]any
	blank  bool // some value is blank
	from   string
}

// parsePairs decodes application/x-www-form-urlencoded. It differs from
// net/url on purpose: nothing malformed is skipped, a semicolon is an ordinary
// character, and the plus of a telephone number is a plus; see [unescapeValue].
func parsePairs(from, s string, l Limits) (pairs, error) {
	p := pairs{from: from}
	if n := strings.Count(s, "&") + 1; n > l.Params {
		return p, refuse(http.StatusBadRequest, "%s: more than %d parameters", from, l.Params)
	} else if s != "" {
		p.values = make(map[string]any, min(n, 8))
	}
	for s != "" {
		var pair string
		pair, s, _ = strings.Cut(s, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, ok1 := unescape(name)
		value, ok2 := unescapeValue(value)
		if !ok1 || !ok2 {
			return p, refuse(http.StatusBadRequest, "%s: malformed percent-encoding", from)
		}
		if err := p.add(name, value); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (p *pairs) add(name, value string) error {
	if err := checkText(p.from, name); err != nil {
		return err
	}
	if err := checkText(p.from, value); err != nil {
		return err
	}
	blank := isBlank(value)
	if name == "" {
		if blank {
			return nil
		}
		return refuse(http.StatusBadRequest, "%s: a value without a name", p.from)
	}
	p.blank = p.blank || blank
	switch old := p.values[name].(type) {
	case nil:
		p.values[name] = value
	case string:
		p.values[name] = []any{old, value}
	case []any:
		p.values[name] = append(old, value)
	}
	return nil
}

// given returns the parameters without blank ones. It may be p.values itself.
func (p *pairs) given() map[string]any {
	if !p.blank {
		return p.values
	}
	m := make(map[string]any, len(p.values))
	for name, value := range p.values {
		if value = givenValue(value); value != nil {
			m[name] = value
		}
	}
	return m
}

// givenValue returns a value without its blank parts, nil when nothing is left
// and a string when one of a repeated name is left.
func givenValue(value any) any {
	switch v := value.(type) {
	case string:
		if isBlank(v) {
			return nil
		}
	case []any:
		kept := slices.DeleteFunc(slices.Clone(v), func(e any) bool {
			s, ok := e.(string)
			return ok && isBlank(s)
		})
		switch len(kept) {
		case 0:
			return nil
		case 1:
			return kept[0]
		}
		return kept
	}
	return value
}

func isBlank(s string) bool { return strings.TrimSpace(s) == "" }

// checkText refuses what no program and no API could make sense of.
func checkText(from, s string) error {
	if !utf8.ValidString(s) {
		return refuse(http.StatusBadRequest, "%s: not UTF-8", from)
	}
	if strings.IndexByte(s, 0) >= 0 {
		return refuse(http.StatusBadRequest, "%s: a NUL byte", from)
	}
	return nil
}

// unescape undoes form encoding. It returns s itself where nothing is encoded.
func unescape(s string) (string, bool) {
	out, err := url.QueryUnescape(s)
	return out, err == nil
}

// unescapeValue undoes form encoding of a value, where a plus stands for a blank,
// save that the plus of an international telephone number stays one. Phone systems
// send such numbers unencoded, as Asterisk does with ${CALLERID(num)}; read as
// a blank and digits they would be the number of somebody else, whose digits are
// the same without a country code.
//
// A value reads as a telephone number when a plus stands at its start, behind the
// scheme of a SIP, tel or messaging URI, or behind <, and nothing follows but
// digits, blanks, dots, hyphens, slashes, asterisks, tildes, parentheses and
// brackets, with 5 to 16 digits in all. What can't be seen doesn't count. Behind <
// or a scheme, the host and the parameters of the URI and the closing > may follow.
func unescapeValue(value string) (string, bool) {
	decoded, ok := unescape(value)
	if !ok || strings.IndexByte(value, '+') < 0 || strings.IndexByte(decoded, 0) >= 0 {
		return decoded, ok
	}
	// Once more, with a sign that the value doesn't hold where the pluses were.
	marked, _ := unescape(strings.ReplaceAll(value, "+", "%00"))
	if at := numberPlus(marked); at >= 0 {
		return decoded[:at] + "+" + decoded[at+1:], true
	}
	return decoded, true
}

// numberPlus returns which of the NUL bytes in a value is the plus of a telephone
// number; -1 for none.
func numberPlus(value string) int {
	begin := strings.LastIndexByte(value, '<') + 1
	uri := begin > 0
	if scheme, _, ok := strings.Cut(value[begin:], ":"); ok {
		name := phone.Fold(strings.Trim(scheme, "\x00"))
		if slices.Contains(phone.Schemes, strings.ToLower(name)) {
			begin += len(scheme) + 1
			uri = true
		}
	}
	number := value[begin:]
	if end := strings.IndexAny(number, "@;>"); end >= 0 && uri {
		number = number[:end]
	}
	// The last plus before the first digit.
	first := strings.IndexFunc(number, unicode.IsDigit)
	at := strings.LastIndexByte(number[:max(first, 0)], 0)
	if at < 0 || !readsAsNumber(strings.ReplaceAll(number, "\x00", " ")) {
		return -1
	}
	return begin + at
}

// readsAsNumber reports whether nothing but a telephone number is in a text.
func readsAsNumber(s string) bool {
	digits := 0
	for _, r := range phone.Fold(s) {
		switch {
		case unicode.IsDigit(r):
			digits++
		case !strings.ContainsRune(".-()/[]~*", r):
			return false
		}
	}
	return 5 <= digits && digits <= 16
}
