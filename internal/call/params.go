package call

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

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
		kept := make([]any, 0, len(v))
		for _, e := range v {
			if s, ok := e.(string); !ok || !isBlank(s) {
				kept = append(kept, e)
			}
		}
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
