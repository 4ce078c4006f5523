package token

// Places where a token goes.
const (
	InHeader = "header"
	InQuery  = "query"
	InBody   = "body"
	InNone   = "none"
)

// Injection is a checked Inject. The value that travels is Prefix + token +
// Suffix.
type Injection struct {
	// Where is InHeader, InQuery, InBody or InNone.
	Where string
	// Name is a header in canonical spelling, a query parameter or a member of
	// the body; "" for InNone.
	Name           string
	Prefix, Suffix string
}
