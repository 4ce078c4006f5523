package api

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/module/token/source"
)

// Parse sets up the directive:
//
//	api [<matcher>] <name> {
//		describe      <text>
//		param         <name> <meaning> [<example>]
//		require       <names...> | <jq>
//		to            <url>
//		method        <method>
//		token         <name>
//		auth          key <key> [header <name>] | user | issuer <name> | none
//		path          <jq>
//		query         <jq>
//		body          <jq> [json|form|text]
//		headers       <jq> | <name> <value>
//		pass          query | body | headers <names...>
//		success       <jq>
//		not_found     <jq>
//		token_expired [<status...>] [<jq>]
//		unhealthy     <jq>
//		output        <jq>
//		default       <jq>
//		for           <phone system>
//		format        json|flat|form|text
//		on_failure    default|error
//		budget        <duration>
//		cache         <duration> {
//			stale     <duration> <duration>
//			not_found <duration>
//			key       <jq>
//			scope     request|shared
//		}
//		breaker       <share> <calls> <duration>
//		replay        on|off
//		call_id       <jq>
//		max_size      <size>
//		max_header    <size>
//		status_field  <name>|off
//		keep_answer   on|off
//		reverse_proxy { … }
//	}
func Parse(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	matchers, err := endpoint.Matchers(h)
	if err != nil {
		return nil, err
	}
	p := parser{Parser: endpoint.Parser{Helper: h, Repeatable: map[string]bool{"headers": true, "pass": true, "param": true, "require": true}}, api: new(API)}
	if err := p.parse(); err != nil {
		return nil, err
	}
	return h.NewRoute(matchers, p.api), nil
}

// parser reads one `api` block.
type parser struct {
	endpoint.Parser
	api   *API
	proxy caddyfile.Segment
}

func (p *parser) parse() error {
	if !p.NextArg() {
		return p.Err("the api's name is missing; write `api NAME { … }`")
	}
	p.api.Name = p.Val()
	if !validName(p.api.Name) {
		return p.Errf("api name %q: use letters, digits, `_`, `-` and `.`", p.api.Name)
	}
	if p.NextArg() {
		return p.Errf("unexpected %q after the api's name; a matcher stands before it", p.Val())
	}
	p.What = "api " + p.api.Name
	head := p.Token()
	for p.NextBlock(0) {
		if err := p.subdirective(); err != nil {
			return err
		}
	}
	if err := p.finish(); err != nil {
		return err
	}
	return p.unique(head)
}

func (p *parser) subdirective() error {
	name, err := p.Subdirective()
	if err != nil {
		return err
	}
	if known, err := p.Setting(name, &p.api.Settings); known || err != nil {
		return err
	}
	a := p.api
	switch name {
	case "describe":
		return p.Text(&a.Description)
	case "param":
		return p.param()
	case "require":
		return p.require()
	case "to":
		return p.Text(&a.To)
	case "method":
		if err := p.Text(&a.Method); err != nil {
			return err
		}
		a.Method = strings.ToUpper(a.Method)
		return nil
	case "token":
		return p.Text(&a.Token)
	case "path":
		return p.Program(&a.Path)
	case "query":
		return p.Program(&a.Query)
	case "body":
		return p.body()
	case "headers":
		return p.headers()
	case "pass":
		return p.pass()
	case "success":
		return p.Program(&a.Success)
	case "not_found":
		return p.Program(&a.NotFound)
	case "token_expired":
		a.TokenExpired, err = source.ParseExpired(p.Dispenser)
		return err
	case "unhealthy":
		return p.Program(&a.Unhealthy)
	case "output":
		return p.Program(&a.Output)
	case "default":
		return p.Program(&a.Default)
	case "breaker":
		return p.breaker()
	case "replay":
		return p.OnOff(&a.Replay)
	case "keep_answer":
		var keep *bool
		if err := p.OnOff(&keep); err != nil {
			return err
		}
		a.KeepAnswer = *keep
		return nil
	case "max_size":
		return p.Size(&a.MaxSize)
	case "max_header":
		return p.Size(&a.MaxHeader)
	case "reverse_proxy":
		p.proxy = p.NextSegment()
		return nil
	default:
		return p.Errf("unrecognized subdirective '%s' of api", name)
	}
}

func validName(name string) bool {
	return strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_-.", r)
	}) < 0 && len(name) <= 64
}
