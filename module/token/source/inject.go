package source

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// Inject is the configuration of how a token travels to the API.
type Inject struct {
	// Where the token goes: `header`, `query`, `body` (a member of a JSON or form
	// body) or `none`. Default: `header`.
	In string `json:"in,omitempty"`
	// The name of the header, query parameter or member. Default, for a header:
	// `Authorization`.
	Name string `json:"name,omitempty"`
	// The value of a header, with `{token}` where the token goes. Default:
	// `Bearer {token}` for `Authorization`, else `{token}`.
	Template string `json:"template,omitempty"`
}

// Headers that carry no credential, or that the HTTP client itself writes.
var notInjectable = []string{
	"Host", "Connection", "Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Te",
	"Trailer", "Upgrade", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Expect", "Date",
}

// Headers that mean something else to most servers and proxies.
var unusualHeaders = []string{
	"Cookie", "Set-Cookie", "Proxy-Authorization", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host",
	"X-Forwarded-Proto", "User-Agent", "Accept", "Accept-Encoding", "Range", "Via", "Origin", "Referer",
}

// resolve checks the configuration and fills in the defaults. A nil Inject is
// all defaults.
func (in *Inject) resolve() (token.Injection, error) {
	if in == nil {
		in = new(Inject)
	}
	if in.Template != "" && in.In != "" && in.In != token.InHeader {
		return token.Injection{}, fmt.Errorf("only a header has a template; write `inject %s %s`", in.In, in.Name)
	}
	switch in.In {
	case "", token.InHeader:
		return in.header()
	case token.InQuery, token.InBody:
		if in.Name == "" {
			return token.Injection{}, fmt.Errorf("the %s needs a name; write `inject %s access_token`", in.In, in.In)
		}
		return token.Injection{Where: in.In, Name: in.Name}, nil
	case token.InNone:
		if in.Name != "" {
			return token.Injection{}, errors.New("`inject none` takes no name")
		}
		return token.Injection{Where: token.InNone}, nil
	default:
		return token.Injection{}, fmt.Errorf("%q is not a place for a token; write header, query, body or none", in.In)
	}
}

func (in *Inject) header() (token.Injection, error) {
	header, err := token.HeaderInjection(in.Name, in.Template)
	switch {
	case err != nil:
		return header, err
	case slices.Contains(notInjectable, header.Name):
		return header, fmt.Errorf("the header %s can't carry a token; the API's documentation names the one that does", header.Name)
	case !httpguts.ValidHeaderFieldValue(in.Template):
		return header, fmt.Errorf("the template of %s holds a control character", header.Name)
	default:
		return header, nil
	}
}

// injectionWarnings returns what is legal and still likely to hurt.
func injectionWarnings(in token.Injection) []string {
	switch {
	case in.Where == token.InQuery:
		return []string{"the token travels in the URL, which logs on the way and at the API hold; a header is safer where the API takes one"}
	case in.Where == token.InHeader && slices.Contains(unusualHeaders, in.Name):
		return []string{"the header " + in.Name + " is an unusual place for a token: servers and proxies on the way read or change it"}
	default:
		return nil
	}
}

// KeptURL reads a base URL that was kept with a token: https, on one of the
// hosts, and nothing in it but host, port and path. The error names the rule
// that it breaks and holds no part of the value.
func KeptURL(value any, hosts []string) (*url.URL, error) {
	base, _ := value.(string)
	u, err := url.Parse(base)
	switch {
	case err != nil || base == "":
		return nil, errors.New("not a URL")
	case u.Scheme != "https":
		return nil, errors.New("not an https URL")
	case !hostAllowed(u.Hostname(), hosts):
		return nil, errors.New("on a host that `keep … hosts` does not list")
	case u.User != nil:
		return nil, errors.New("a URL with a user name or password")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("a URL with a query or a fragment")
	default:
		return u, nil
	}
}

// addressLike finds what is meant as a base URL: with a scheme, without one, or
// a host and its port.
var addressLike = regexp.MustCompile(`(?i)^([a-z][a-z0-9+.-]*:)?//|^localhost([:/]|$)|^[a-z0-9.-]+:[0-9]+(/|$)`)

// checkKept checks the URLs among what is to be kept, so that a renewal fails
// with the rule in its reason, instead of every call that uses the URL.
func checkKept(keep map[string]any, hosts []string) error {
	for _, name := range slices.Sorted(maps.Keys(keep)) {
		text, ok := keep[name].(string)
		if !ok || !addressLike.MatchString(text) {
			continue
		}
		if _, err := KeptURL(text, hosts); err != nil {
			return fmt.Errorf("%s is %w", name, err)
		}
	}
	return nil
}

// hostAllowed reports whether a host matches one of the patterns. A `*` stands
// for one or more labels at the beginning.
func hostAllowed(host string, patterns []string) bool {
	host = strings.ToLower(host)
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		pattern = strings.ToLower(pattern)
		if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
			return strings.HasPrefix(suffix, ".") && strings.HasSuffix(host, suffix) && len(host) > len(suffix)
		}
		return host == pattern
	})
}
