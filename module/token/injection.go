package token

import (
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Places where a token goes.
const (
	InHeader = "header"
	InQuery  = "query"
	InBody   = "body"
	InNone   = "none"
)

// Injection is where a token travels in a request: to an API as its source's `inject`
// says, or from a client as an issuer's `accept` says. The value that travels is
// Prefix + token + Suffix.
type Injection struct {
	// Where is InHeader, InQuery, InBody or InNone.
	Where string
	// Name is a header in canonical spelling, a query parameter or a member of
	// the body; "" for InNone.
	Name           string
	Prefix, Suffix string
}

// tokenHole is where the token goes in a template.
const tokenHole = "{token}"

// HeaderInjection is for a header whose value is the template, with the token instead
// of `{token}`. The default is `Authorization: Bearer {token}`; any other header has the
// token alone.
func HeaderInjection(name, template string) (Injection, error) {
	if name == "" {
		name = "Authorization"
	}
	if !httpguts.ValidHeaderFieldName(name) {
		return Injection{}, fmt.Errorf("%q is not the name of a header", name)
	}
	name = http.CanonicalHeaderKey(name)
	if template == "" {
		template = tokenHole
		if name == "Authorization" {
			template = "Bearer " + tokenHole
		}
	}
	if strings.Count(template, tokenHole) != 1 {
		return Injection{}, fmt.Errorf("the template %q must hold {token} once, as \"Bearer {token}\" does", template)
	}
	prefix, suffix, _ := strings.Cut(template, tokenHole)
	return Injection{Where: InHeader, Name: name, Prefix: prefix, Suffix: suffix}, nil
}
