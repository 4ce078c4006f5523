package token

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/caddyserver/caddy/v2"
)

var name = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// CheckName keeps names usable in URLs, metrics and storage keys. what is the kind of
// thing that has the name, for the error.
func CheckName(what, given string) error {
	if !name.MatchString(given) {
		return fmt.Errorf("%q can't be the name of %s; use up to 64 letters, digits, `-`, `_` and `.`", given, what)
	}
	return nil
}

// onePlaceholder is a value that is nothing but a placeholder.
var onePlaceholder = regexp.MustCompile(`^\{[a-z_]+\.[^{}]*\}$`)

// Resolve replaces the placeholders of a configured value, which may be a secret. Its
// errors quote a value only when it is a placeholder as a whole; else a password with
// braces would be shown.
func Resolve(repl *caddy.Replacer, value string) (string, error) {
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
