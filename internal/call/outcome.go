// Package call holds what one call carries through its stages: the params it
// came with and the outcome it ended with.
package call

// Outcome tells in one word how a call ended. The word is the same in the
// answer's _status, in logs, metrics, traces and headers.
type Outcome string

// The outcomes of a call. OK, Stale, NotFound and Ambiguous are answers; the
// others are reasons why there is none.
const (
	OK          Outcome = "ok"
	Stale       Outcome = "stale"        // an older answer
	NotFound    Outcome = "not_found"    // the API knows nobody: a success
	Ambiguous   Outcome = "ambiguous"    // several customers
	Timeout     Outcome = "timeout"      // the budget ended first
	Unreachable Outcome = "unreachable"  // no connection to the API
	Rejected    Outcome = "rejected"     // the API said no
	Failed      Outcome = "failed"       // the API is ailing: `unhealthy` is true
	NoToken     Outcome = "no_token"     // nothing to sign in with
	BadAnswer   Outcome = "bad_answer"   // not what was announced: not JSON, truncated, a program failed
	TooLarge    Outcome = "too_large"    // over max_size, or over the phone system's limit
	BreakerOpen Outcome = "breaker_open" // too many unhealthy answers before
	Held        Outcome = "held"         // an operator stopped the API

	// TokenRefused is an API that takes no token of ours, not even a fresh one.
	TokenRefused Outcome = "token_refused"

	// Incomplete is a caller who gave too little to ask with: `require` failed, or
	// a request program failed on the params. The API is not called.
	Incomplete Outcome = "incomplete"

	// BadRequest and Unauthorized are refusals of the caller: the API is not
	// called, and the answer is a 4xx.
	BadRequest   Outcome = "bad_request"
	Unauthorized Outcome = "unauthorized"

	// DryRun is a test that was to stop before the API is called.
	DryRun Outcome = "dry_run"

	// Canceled is a call whose phone system hung up: nobody reads the answer.
	Canceled Outcome = "canceled"
)

// Answered reports whether there is an answer, of now or earlier.
func (o Outcome) Answered() bool { return o == OK || o == Stale || o == NotFound || o == Ambiguous }

// Knows reports whether the answer is one about somebody or something.
func (o Outcome) Knows() bool { return o == OK || o == Stale }

// CausedByCaller reports whether the outcome says nothing about the API, because
// the caller, or a test, ended the call.
func (o Outcome) CausedByCaller() bool {
	switch o {
	case Incomplete, BadRequest, Unauthorized, Canceled, DryRun:
		return true
	default:
		return false
	}
}

// Status is the HTTP status of a call that ends with an error instead of a
// default: RFC 9110, sections 15.5 and 15.6.
func (o Outcome) Status() int {
	switch o {
	case OK, Stale, NotFound, Ambiguous:
		return 200
	case Timeout:
		return 504
	case NoToken, TokenRefused, BreakerOpen, Held:
		return 503
	case BadRequest, Incomplete:
		return 400
	case Unauthorized:
		return 401
	case Canceled:
		return 499 // as Caddy logs it
	default:
		return 502
	}
}
