package source

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

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
