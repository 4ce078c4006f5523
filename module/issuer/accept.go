package issuer

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/switchboard-ivr/switchboard/module/token"
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

// finder finds access tokens in requests, where an Accept says.
type finder struct{ token.Injection }

func newFinder(a *Accept) (finder, error) {
	if a == nil {
		a = &Accept{In: token.InHeader}
	}
	switch a.In {
	case token.InHeader:
		in, err := token.HeaderInjection(a.Name, a.Template)
		// no HTTP client or server keeps blanks around a value
		in.Prefix, in.Suffix = strings.TrimLeft(in.Prefix, " \t"), strings.TrimRight(in.Suffix, " \t")
		return finder{in}, err
	case token.InQuery:
		if a.Name == "" || a.Template != "" {
			return finder{}, errors.New("query takes the name of the parameter, and nothing else")
		}
		return finder{token.Injection{Where: token.InQuery, Name: a.Name}}, nil
	default:
		return finder{}, fmt.Errorf("%q is unknown; use `header` or `query`", a.In)
	}
}

// consume takes out of the request what find has found, so that it doesn't reach
// whoever handles the request next.
func (f *finder) consume(r *http.Request) {
	if f.Where == token.InHeader {
		r.Header.Del(f.Name)
		return
	}
	var kept []string
	for part := range strings.SplitSeq(r.URL.RawQuery, "&") {
		name, _, _ := strings.Cut(part, "=")
		if decoded, err := url.QueryUnescape(name); err != nil || decoded != f.Name {
			kept = append(kept, part)
		}
	}
	r.URL.RawQuery = strings.Join(kept, "&")
	r.RequestURI = r.URL.RequestURI()
}

// find returns what the request carries where the token should be. What is
// there twice is not there: it is unclear which one counts.
func (f *finder) find(r *http.Request) (raw string, ok bool) {
	if f.Where == token.InQuery {
		values, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil || len(values[f.Name]) != 1 {
			return "", false
		}
		return values[f.Name][0], true
	}
	values := r.Header[f.Name]
	if len(values) != 1 {
		return "", false
	}
	raw = values[0]
	inner := len(raw) - len(f.Suffix)
	if inner < len(f.Prefix) || !strings.EqualFold(raw[:len(f.Prefix)], f.Prefix) || !strings.EqualFold(raw[inner:], f.Suffix) {
		return "", false
	}
	return raw[len(f.Prefix):inner], true
}
