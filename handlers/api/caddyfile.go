package api

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// Parse sets up the directive:
//
//	api [<matcher>] <name> {
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
//		format        json|flat|form|text
//		on_failure    default|error
//		budget        <duration>
//		replay        on|off
//		call_id       <jq>
//		max_size      <size>
//		status_field  <name>|off
//		reverse_proxy { … }
//	}
func Parse(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // consume directive name
	matchers, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, err
	}
	h.Next() // consume it again: a matcher rewinds
	p := parser{Helper: h, api: new(API), lines: make(map[string]position)}
	if err := p.parse(); err != nil {
		return nil, err
	}
	return h.NewRoute(matchers, p.api), nil
}

// parser reads one `api` block.
type parser struct {
	httpcaddyfile.Helper
	api   *API
	lines map[string]position // where each subdirective stands
	proxy caddyfile.Segment
}

type position struct {
	file string
	line int
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

// repeatable subdirectives add up; all others stand once.
var repeatable = map[string]bool{"headers": true, "pass": true}

func (p *parser) subdirective() error {
	name := p.Val()
	if _, twice := p.lines[name]; twice && !repeatable[name] {
		return p.Errf("%s is already written in api %s", name, p.api.Name)
	}
	if _, seen := p.lines[name]; !seen {
		p.lines[name] = position{p.File(), p.Line()}
	}
	a := p.api
	switch name {
	case "to":
		return p.text(&a.To)
	case "method":
		if err := p.text(&a.Method); err != nil {
			return err
		}
		a.Method = strings.ToUpper(a.Method)
		return nil
	case "token":
		return p.text(&a.Token)
	case "auth":
		return p.auth()
	case "path":
		return p.program(&a.Path)
	case "query":
		return p.program(&a.Query)
	case "body":
		return p.body()
	case "headers":
		return p.headers()
	case "pass":
		return p.pass()
	case "success":
		return p.program(&a.Success)
	case "not_found":
		return p.program(&a.NotFound)
	case "token_expired":
		var err error
		a.TokenExpired, err = token.ParseExpired(p.Dispenser)
		return err
	case "unhealthy":
		return p.program(&a.Unhealthy)
	case "output":
		return p.program(&a.Output)
	case "default":
		return p.program(&a.Default)
	case "format":
		return p.text(&a.Format)
	case "on_failure":
		return p.text(&a.OnFailure)
	case "budget":
		return p.duration(&a.Budget)
	case "replay":
		return p.onOff(&a.Replay)
	case "call_id":
		return p.program(&a.CallID)
	case "max_size":
		return p.size(&a.MaxSize)
	case "status_field":
		return p.text(&a.StatusField)
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
