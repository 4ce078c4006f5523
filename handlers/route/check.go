package route

import "github.com/switchboard-ivr/switchboard/internal/call"

// checks say, for each outcome without an answer, where to look.
var checks = map[call.Outcome]string{
	call.NoToken:     "the credentials and addresses of the token source, its clock and `timestamp`, and what the token endpoint answered: the reason says it",
	call.Rejected:    "what the API answered in step call, whether `success` reads it rightly, and the params and signature in step request",
	call.Timeout:     "how long step call takes against `budget`, and whether the API answers from this machine at all",
	call.Unreachable: "the address in `to`, name resolution, firewall and TLS, from this machine",
	call.BadAnswer:   "whether the body in step call is one whole JSON document, and what `output` makes of it",
	call.TooLarge:    "`max_size`, and what the phone system takes: step answer counts the bytes",
	call.BreakerOpen: "the failures before it (`caddy switchboard last NAME`); it tries the API again by itself",
	call.Held:        "who holds it, and `caddy switchboard release NAME`",
	call.BadRequest:  "the params: the reason says which program of the request can't work with them",
}

// Check says where to look when a call of an API has ended so.
func Check(outcome call.Outcome) string { return checks[outcome] }

// check is [Check] for the calls of a route.
func (r *Route) check(outcome call.Outcome) string {
	if check, ok := r.Checks[outcome]; ok {
		return check
	}
	return Check(outcome)
}
