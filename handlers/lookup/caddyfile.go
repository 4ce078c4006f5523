package lookup

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
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
	p := parser{Parser: endpoint.Parser{Helper: h, What: "customer_lookup"}, lookup: new(Lookup)}
	if p.NextArg() {
		return nil, p.Errf("unexpected %q; a matcher stands before it, and all else in the block", p.Val())
	}
	for p.NextBlock(0) {
		if err := p.subdirective(); err != nil {
			return nil, err
		}
	}
	if err := p.Check(&p.lookup.Settings); err != nil {
		return nil, err
	}
	if err := p.lookup.check(); err != nil {
		return nil, p.WrapErr(err)
	}
	return h.NewRoute(matchers, p.lookup), nil
}

// parser reads one `customer_lookup` block.
type parser struct {
	endpoint.Parser
	lookup *Lookup
}

func (p *parser) subdirective() error {
	name, err := p.Subdirective()
	if err != nil {
		return err
	}
	l := p.lookup
	if known, err := p.Setting(name, &l.Settings); known || err != nil {
		return err
	}
	switch name {
	case "fields":
		l.Fields = p.RemainingArgs()
		if len(l.Fields) == 0 {
			return p.Err("fields takes the names of fields, for example `fields id nick isVip`")
		}
		return nil
	case "empty":
		return p.Text(&l.Empty)
	case "not_found":
		return p.Text(&l.NotFound)
	case "multiple":
		return p.Text(&l.Multiple)
	case "envelope":
		if p.NextArg() {
			return p.ArgErr()
		}
		l.Envelope = true
		return nil
	case "audit":
		l.Audit = new(Audit)
		if args := p.RemainingArgs(); len(args) == 1 {
			l.Audit.Key = args[0]
		} else if len(args) > 1 {
			return p.ArgErr()
		}
		return nil
	default:
		return p.Errf("unrecognized subdirective '%s' of customer_lookup", name)
	}
}
