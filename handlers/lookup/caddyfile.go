package lookup

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/module/blocks"
)

// Parse sets up the directive:
//
//	customer_lookup [<matcher>] {
//		auth         key <key> [header <name>] | user | issuer <name> | none
//		fields       <names...>
//		empty        blank|null|omit
//		not_found    null|blank|404
//		multiple     newest|none
//		envelope
//		audit        [<key>]
//		for          <phone system>
//		format       json|flat|form|text
//		cache        <duration> {
//			stale     <duration> <duration>
//			not_found <duration>
//			key       <jq>
//			scope     request|shared
//		}
//		on_failure   error|default
//		budget       <duration>
//		call_id      <jq>
//		status_field off|<name>
//	}
func Parse(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	matchers, err := endpoint.Matchers(h)
	if err != nil {
		return nil, err
	}
	l := new(Lookup)
	p := endpoint.NewParser(h, "customer_lookup")
	if p.NextArg() {
		return nil, p.Errf("unexpected %q; a matcher goes before the block, everything else inside it", p.Val())
	}
	if err := p.Read(p.Lines(&l.Settings, blocks.Lines{
		"fields": p.Words(&l.Fields), "empty": p.Text(&l.Empty), "not_found": p.Text(&l.NotFound), "multiple": p.Text(&l.Multiple),
		"envelope": p.Flag(&l.Envelope),
		"audit": func() error {
			l.Audit = new(Audit)
			if p.NextArg() {
				l.Audit.Key = p.Val()
			}
			if p.NextArg() {
				return p.ArgErr()
			}
			return nil
		},
	})); err != nil {
		return nil, err
	}
	if err := p.Check(&l.Settings); err != nil {
		return nil, err
	}
	if err := l.check(); err != nil {
		return nil, p.WrapErr(err)
	}
	return h.NewRoute(matchers, l), nil
}
