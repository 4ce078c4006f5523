package endpoint

import (
	"net/http"

	"github.com/switchboard-ivr/switchboard/internal/call"
)

// checks say, for each outcome without an answer, where to look.
var checks = map[call.Outcome]string{
	call.Incomplete:   "what the phone system sent, in step receive: the reason names what is missing, or the program that can't work with it. When most calls end so, the route or the flow spells a name in another way",
	call.NoToken:      "the credentials and addresses of the token source, its clock and `timestamp`, and what the token endpoint answered: the reason says it",
	call.TokenRefused: "whether something else signs in with the same credentials, whether the account may use this API, and whether `token_expired` reads the answer rightly: `caddy switchboard tokens` shows the token's state",
	call.Rejected:     "what the API answered in step call, whether `success` reads it rightly, and the params and signature in step request",
	call.Failed:       "whether the API has a fault of its own, with those who run it: step call shows its answer. A `success` or `unhealthy` line says otherwise of an API that answers so without a fault",
	call.Timeout:      "how long step call takes against `budget`, and whether the API answers from this machine at all",
	call.Unreachable:  "the cause that the reason names, from this machine: the address in `to`, the name's resolution, a firewall, the certificate",
	call.BadAnswer:    "whether the body in step call is one whole JSON document, and what `output` makes of it",
	call.TooLarge:     "`max_size`, and what the phone system takes: step answer counts the bytes",
	call.BreakerOpen:  "the failures before it (`caddy switchboard last NAME`); it tries the API again by itself",
	call.Held:         "who holds it, and `caddy switchboard release NAME`",
	call.BadRequest:   "what the phone system sent, in step receive: the reason says what can't be read",
}

// Check says where to look when a call of an API has ended so. Status is the HTTP
// status of the API's answer, 0 for none.
func Check(outcome call.Outcome, status int) string {
	switch {
	case outcome == call.BadAnswer && status == http.StatusNotFound:
		return "whether the path in `to` is right, and whether the API itself or a proxy before it answers there: step call shows the page (status 404)"
	case outcome == call.Rejected && status == http.StatusNotFound:
		return "whether the path in `to` is right: the API says that there is nothing at it (status 404). Where 404 means that it knows nobody, write that as `not_found`"
	case outcome == call.Rejected && status >= 300 && status < 400:
		return "where the API redirects to: write that address in `to`, as a redirect isn't followed"
	case outcome == call.Rejected && (status == http.StatusUnauthorized || status == http.StatusForbidden):
		return "whether the account may use this API, and the signature in step request; where this status means that the token is dead, write it as `token_expired`"
	case outcome == call.Rejected && status == http.StatusMethodNotAllowed:
		return "`method`: the API takes another one at this path (status 405)"
	default:
		return checks[outcome]
	}
}

// check is [Check] for the call's route.
func (c *Call) check() string {
	if check, ok := c.Route.Checks[c.Outcome]; ok {
		return check
	}
	return Check(c.Outcome, c.Received)
}
