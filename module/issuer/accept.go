package issuer

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"strings"
)

// Accept says where a request carries its access token.
type Accept struct {
	// `header` or `query`.
	In string `json:"in,omitempty"`

	// The name of the header or of the query parameter. Default: `Authorization`
	// for a header.
	Name string `json:"name,omitempty"`

	// For `header`: the value, with `{token}` for the token. Letter case counts in
	// the token only. Default: `Bearer {token}` in Authorization, else `{token}`.
	Template string `json:"template,omitempty"`
}

const (
	inHeader  = "header"
	inQuery   = "query"
	tokenHole = "{token}"
)

// headerName is a token of RFC 9110, section 5.6.2.
var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// finder is an Accept at work.
type finder struct {
	header, query  string
	prefix, suffix string
}

func newFinder(a *Accept) (finder, error) {
	if a == nil {
		a = &Accept{In: inHeader}
	}
	switch a.In {
	case inHeader:
		return newHeaderFinder(a.Name, a.Template)
	case inQuery:
		if a.Name == "" || a.Template != "" {
			return finder{}, errors.New("query takes the name of the parameter, and nothing else")
		}
		return finder{query: a.Name}, nil
	default:
		return finder{}, fmt.Errorf("%q is unknown; use `header` or `query`", a.In)
	}
}

func newHeaderFinder(name, template string) (f finder, err error) {
	if name == "" {
		name = "Authorization"
	}
	if !headerName.MatchString(name) {
		return f, fmt.Errorf("%q can't be the name of a header", name)
	}
	f.header = textproto.CanonicalMIMEHeaderKey(name)
	if template == "" {
		template = tokenHole
		if f.header == "Authorization" {
			template = "Bearer " + tokenHole
		}
	}
	if strings.Count(template, tokenHole) != 1 {
		return f, errors.New("the template holds {token} once")
	}
	f.prefix, f.suffix, _ = strings.Cut(template, tokenHole)
	f.prefix, f.suffix = strings.TrimLeft(f.prefix, " \t"), strings.TrimRight(f.suffix, " \t")
	return f, nil
}

// consume takes out of the request what find has found, so that it doesn't reach
// whoever handles the request next.
func (f *finder) consume(r *http.Request) {
	if f.query == "" {
		r.Header.Del(f.header)
		return
	}
	var kept []string
	for part := range strings.SplitSeq(r.URL.RawQuery, "&") {
		name, _, _ := strings.Cut(part, "=")
		if decoded, err := url.QueryUnescape(name); err != nil || decoded != f.query {
			kept = append(kept, part)
		}
	}
	r.URL.RawQuery = strings.Join(kept, "&")
	r.RequestURI = r.URL.RequestURI()
}

// name is that of the header or parameter.
func (f *finder) name() string { return f.header + f.query }

// find returns what the request carries where the token should be. What is
// there twice is not there: nobody could tell which one counts.
func (f *finder) find(r *http.Request) (raw string, ok bool) {
	if f.query != "" {
		values, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil || len(values[f.query]) != 1 {
			return "", false
		}
		return values[f.query][0], true
	}
	values := r.Header[f.header]
	if len(values) != 1 {
		return "", false
	}
	raw = values[0]
	inner := len(raw) - len(f.suffix)
	if inner < len(f.prefix) || !strings.EqualFold(raw[:len(f.prefix)], f.prefix) || !strings.EqualFold(raw[inner:], f.suffix) {
		return "", false
	}
	return raw[len(f.prefix):inner], true
}
