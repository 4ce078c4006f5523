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
	"unicode/utf8"
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
