package token

import (
	"fmt"
	"strings"
	"time"
)

// Grant is what a token endpoint gave.
type Grant struct {
	Access, Refresh string
	// Lifetime is 0 when the answer stated none.
	Lifetime time.Duration
	// Expires is set instead of Lifetime when the answer gave an absolute time.
	Expires time.Time
	// Ended is set when the answer stated a lifetime of 0 or less. It counts as
	// not stated, save for a token that is held already: that one has ended.
	Ended bool
	// Keep is what the source's keep program made of the answer; nil without one.
	Keep map[string]any
	// Warnings are what the answer got wrong without losing the token. None holds
	// a secret.
	Warnings []string
	// Exchange is the call that gave it.
	Exchange *Exchange
}

// Params are what a token call depends on besides the configuration.
type Params struct {
	// Access and Refresh are the tokens that are held, which a renewal may send; ""
	// for none.
	Access, Refresh string
	// Skew is added to the clock for $timestamp; the keeper learns it from a
	// refusal's Date.
	Skew time.Duration
	// Refused is $refused: an API has refused the token that is held.
	Refused bool
	// Consent is what a person's consent gave; nil when the source signs in by itself.
	Consent *Consent
}

// Consent is an authorization code and what is needed to exchange it.
type Consent struct {
	Code string
	// Verifier is the code verifier of RFC 7636.
	Verifier string
	// Redirect is the redirect URI to which the code came.
	Redirect string
}

// FailureKind is what a failed token call means for the next one.
type FailureKind uint8

const (
	// Refused says that the endpoint understood and said no. The token that was sent, if
	// any, was not used up by an unseen success.
	Refused FailureKind = iota + 1
	// Ambiguous says that it is unknown what the endpoint did (transport error, time-out,
	// truncated or unreadable answer, 5xx). A refresh token may be spent.
	Ambiguous
	// Invalid says that the endpoint said yes, but what it gave can't be used.
	Invalid
	// Busy says that the endpoint asks to come again later (status 429 or 503).
	Busy
)

var kinds = [...]string{"unknown", Refused: "refused", Ambiguous: "ambiguous", Invalid: "invalid", Busy: "busy"}

// String returns the kind as one lower-case word, for logs and metrics.
func (k FailureKind) String() string { return kinds[k] }

// SaidNo is the reason of a refusal that nothing more is known of. [Failure.Error] leaves
// it out where the endpoint says why.
const SaidNo = "the endpoint said no"

// Failure is why a token call gave no token. Nothing in it is secret.
type Failure struct { //nolint:errname // what it is called in logs and documentation
	Kind FailureKind
	// Status is the HTTP status, or 0 when there was no answer.
	Status int
	// Code is the business code of the answer, when it had a short one, else "".
	Code string
	// Date is the answer's Date header, zero if it had none.
	Date time.Time
	// RetryAfter is how long the endpoint asks to wait, 0 when it doesn't.
	RetryAfter time.Duration
	// Reason is for logs: it holds no secret and no text of the answer.
	Reason string
	// Message is the endpoint's own words, masked and cut to 200 characters.
	Message string
	// Exchange is the call that failed; nil when nothing was sent.
	Exchange *Exchange
}

// Error names the kind, the status, the business code, the reason and what the
// endpoint said.
func (f *Failure) Error() string {
	msg := f.Kind.String()
	if f.Kind == Ambiguous { // a word that a call's outcome has, too
		msg = "no clear answer"
	}
	if f.Status != 0 {
		msg += fmt.Sprintf(" (status %d", f.Status)
		if f.Code != "" {
			msg += ", code " + f.Code
		}
		msg += ")"
	} else if f.Code != "" {
		msg += " (code " + f.Code + ")"
	}
	var why []string
	if f.Reason != "" && (f.Reason != SaidNo || f.Message == "") {
		why = append(why, f.Reason)
	}
	if f.Message != "" {
		why = append(why, fmt.Sprintf("the endpoint says %q", f.Message))
	}
	if len(why) > 0 {
		msg += ": " + strings.Join(why, "; ")
	}
	return msg
}

// Exchange is one call of a token endpoint, for people to look at. Everything in
// it is masked: no credential, token or signature can be read from it.
type Exchange struct {
	Time time.Time `json:"time"`
	// How is "obtain" or "refresh".
	How     string           `json:"how"`
	Request ExchangedRequest `json:"request"`
	// Status is the HTTP status; 0 when there was no answer.
	Status int `json:"status,omitempty"`
	// Answer is the answer's document, or in words what it was instead.
	Answer any `json:"answer,omitempty"`
	// Error is why the call gave no token; "" when it did.
	Error string `json:"error,omitempty"`
}

// ExchangedRequest is the request of an [Exchange].
type ExchangedRequest struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	// Body is a document, of JSON or a form.
	Body any `json:"body,omitempty"`
}

// Policy is what the keeper needs to know of a source besides its endpoint.
type Policy struct {
	// Name is the source's name in the configuration.
	Name string
	// Lifetime counts when an answer states none; 0 = not configured.
	Lifetime time.Duration
	// RefreshBefore is the window before the expiry; 0 = use RefreshFraction.
	RefreshBefore time.Duration
	// RefreshFraction is the window as a part of the lifetime, in (0, 0.5].
	RefreshFraction float64
	// MustDiffer: an unchanged token is a failed refresh.
	MustDiffer bool
	// Warm: obtain at start.
	Warm bool
	// RetryRefused is the wait after a refused sign-in.
	RetryRefused time.Duration
	// Timeout bounds one call of the endpoint.
	Timeout time.Duration
	// Identity is the hex SHA-256 of what determines the token: endpoint URLs,
	// credentials, programs. The keys of the pool and the storage derive from it.
	Identity string
	// SealKey seals the stored records; derived from the credentials.
	SealKey [32]byte
	// Seed is the configured refresh token of a source that can't obtain.
	Seed string
	// Consent: the source has no token before a person has consented.
	Consent bool
	// Issuer is the `iss` that the redirect after a consent must carry (RFC 9207); "" =
	// any or none.
	Issuer string
	// Static is a fixed token; such a source has no endpoint.
	Static string
}
