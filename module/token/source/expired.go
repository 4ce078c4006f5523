package source

import (
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/switchboard-ivr/switchboard/module/program"
)

// ParseExpired reads the arguments of a `token_expired` line: statuses, then a
// program.
func ParseExpired(d *caddyfile.Dispenser) (*Expired, error) {
	rule := new(Expired)
	args := 0
	for ; d.NextArg(); args++ {
		if rule.Program != "" {
			return nil, d.Errf("unexpected argument '%s'; the program comes last, quoted", d.Val())
		}
		if status, err := strconv.Atoi(d.Val()); err == nil {
			rule.Status = append(rule.Status, status)
			continue
		}
		text, err := program.Arg(d, d.Val())
		if err != nil {
			return nil, err
		}
		rule.Program = text
	}
	if args == 0 {
		return nil, d.ArgErr()
	}
	return rule, nil
}

// CredentialNames are the names of all credentials that programs may use, before
// the source is provisioned; nil for a source that can't be.
func (s *Source) CredentialNames(define string) []string {
	p, err := s.newPlan(define)
	if err != nil {
		return nil
	}
	return p.names
}
