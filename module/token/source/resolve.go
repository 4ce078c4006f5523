package source

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"

	"github.com/caddyserver/caddy/v2"
)

// resolve replaces the placeholders in everything that may hold them, once.
func (s *Source) resolve() error {
	repl := caddy.NewReplacer()
	s.values = make(map[string]string, len(s.CredentialValues))
	for _, name := range slices.Sorted(maps.Keys(s.CredentialValues)) {
		value, err := replace(repl, s.CredentialValues[name])
		if err != nil {
			return wrong("credential "+name, err)
		}
		s.values[name] = value
	}
	var err error
	if s.obtainURL, err = s.Obtain.resolve(repl); err != nil {
		return wrong("obtain", err)
	}
	if s.refreshURL, err = s.Refresh.resolve(repl); err != nil {
		return wrong("refresh", err)
	}
	if s.Static == "" {
		return nil
	}
	if s.token, err = replace(repl, s.Static); err != nil {
		return wrong("static", err)
	}
	return wrong("static", checkToken(s.token))
}

func (r *Request) resolve(repl *caddy.Replacer) (*url.URL, error) {
	if r == nil {
		return nil, nil
	}
	raw, err := replace(repl, r.URL)
	if err != nil {
		return nil, err
	}
	return parseURL(raw)
}

// onePlaceholder is a value that is nothing but a placeholder.
var onePlaceholder = regexp.MustCompile(`^\{[a-z_]+\.[^{}]*\}$`)

// replace resolves the placeholders of value. Its errors quote a value only when
// it is a placeholder as a whole; else a password with braces would be shown.
func replace(repl *caddy.Replacer, value string) (string, error) {
	resolved, err := repl.ReplaceOrErr(value, true, true)
	switch {
	case err == nil:
		return resolved, nil
	case onePlaceholder.MatchString(value):
		return "", fmt.Errorf("%s is not set, or is empty", value)
	default:
		return "", errors.New("the value holds a placeholder that is unknown or empty; write a brace that is meant as one as \\{ or \\}")
	}
}

// maxToken is the size in bytes up to which tokens are taken; Feishu asks for 4
// KiB, and HTTP servers rarely take more than 16 in all headers.
const maxToken = 16 << 10

var (
	errTokenEmpty = errors.New("the token is blank")
	errTokenLarge = errors.New("the token is larger than 16 KiB")
	errTokenText  = errors.New("the token holds blanks at its ends, or what a header can't carry")
	errTokenType  = errors.New("the token is no text")
)

// checkToken tells whether an access or refresh token can travel.
func checkToken(token string) error {
	switch {
	case token == "":
		return errTokenEmpty
	case len(token) > maxToken:
		return errTokenLarge
	case token[0] == ' ', token[len(token)-1] == ' ':
		return errTokenText
	}
	for i := range len(token) {
		if token[i] < ' ' || token[i] > '~' {
			return errTokenText
		}
	}
	return nil
}
