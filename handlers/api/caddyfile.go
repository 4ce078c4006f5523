package api

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/dustin/go-humanize"

	"github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/program"
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

func (p *parser) text(into *string) error {
	if !p.AllArgs(into) || *into == "" {
		return p.ArgErr()
	}
	return nil
}

func (p *parser) program(into *string) error {
	var raw string
	if !p.AllArgs(&raw) {
		return p.Errf("%s takes one jq program; put it in backquotes", p.Val())
	}
	var err error
	*into, err = program.Arg(p.Dispenser, raw)
	return err
}

func (p *parser) duration(into *caddy.Duration) error {
	var raw string
	if !p.AllArgs(&raw) {
		return p.ArgErr()
	}
	d, err := caddy.ParseDuration(raw)
	if err != nil || d <= 0 {
		return p.Errf("%q is not a duration above 0; write for example 2s or 500ms", raw)
	}
	*into = caddy.Duration(d)
	return nil
}

func (p *parser) size(into *int64) error {
	var raw string
	if !p.AllArgs(&raw) {
		return p.ArgErr()
	}
	n, err := humanize.ParseBytes(raw)
	if err != nil || n == 0 || n > 64<<20 {
		return p.Errf("%q is not a size from 1B to 64MiB; write for example 1MiB", raw)
	}
	*into = int64(n)
	return nil
}

func (p *parser) onOff(into **bool) error {
	var raw string
	if !p.AllArgs(&raw) || (raw != "on" && raw != "off") {
		return p.Errf("%s takes on or off", p.Val())
	}
	on := raw == "on"
	*into = &on
	return nil
}

func (p *parser) auth() error {
	args := p.RemainingArgs()
	switch {
	case len(args) == 2 && args[0] == "key":
		p.api.Auth = &Auth{Mode: "key", Keys: args[1:2]}
	case len(args) == 4 && args[0] == "key" && args[2] == "header":
		p.api.Auth = &Auth{Mode: "key", Keys: args[1:2], Header: args[3]}
	case len(args) == 1 && (args[0] == "user" || args[0] == "none"):
		p.api.Auth = &Auth{Mode: args[0]}
	case len(args) == 2 && args[0] == "issuer":
		p.api.Auth = &Auth{Mode: "issuer", Issuer: args[1]}
	default:
		return p.Err("auth takes `key {env.KEY} [header NAME]`, `user`, `issuer NAME` or `none`")
	}
	return nil
}

func (p *parser) body() error {
	args := p.RemainingArgs()
	if len(args) == 0 || len(args) > 2 {
		return p.Err("body takes a jq program and, if it isn't JSON, form or text")
	}
	text, err := program.Arg(p.Dispenser, args[0])
	if err != nil {
		return err
	}
	p.api.Body = &Body{Program: text}
	if len(args) == 2 {
		if args[1] != "json" && args[1] != "form" && args[1] != "text" {
			return p.Errf("body as %q is unknown; write json, form or text", args[1])
		}
		p.api.Body.Encoding = args[1]
	}
	return nil
}

func (p *parser) headers() error {
	args := p.RemainingArgs()
	switch len(args) {
	case 1:
		if p.api.Headers != "" {
			return p.Err("headers already has a program; one object can hold them all")
		}
		text, err := program.Arg(p.Dispenser, args[0])
		p.api.Headers = text
		return err
	case 2:
		if !validHeaderName(args[0]) {
			return p.Errf("%q is not a header name", args[0])
		}
		if _, twice := p.api.SetHeaders[args[0]]; twice {
			return p.Errf("header %s is already set", args[0])
		}
		if p.api.SetHeaders == nil {
			p.api.SetHeaders = make(map[string]string)
		}
		p.api.SetHeaders[args[0]] = args[1]
		return nil
	default:
		return p.Err("headers takes a jq program, or a name and a value")
	}
}

func (p *parser) pass() error {
	args := p.RemainingArgs()
	if len(args) == 0 {
		return p.ArgErr()
	}
	if p.api.Pass == nil {
		p.api.Pass = new(Pass)
	}
	for i, arg := range args {
		switch arg {
		case "query":
			p.api.Pass.Query = true
		case "body":
			p.api.Pass.Body = true
		case "headers":
			names := args[i+1:]
			if len(names) == 0 {
				return p.Err("pass headers takes the names of headers")
			}
			for _, name := range names {
				if !validHeaderName(name) {
					return p.Errf("%q is not a header name", name)
				}
			}
			p.api.Pass.Headers = append(p.api.Pass.Headers, names...)
			return nil
		default:
			return p.Errf("pass %q is unknown; write query, body or headers and their names", arg)
		}
	}
	return nil
}

// finish checks what can be checked before Provision, so that the message
// tells the line, and fills in the handler that makes the call.
func (p *parser) finish() error {
	a := p.api
	var err error
	if a.target, err = parseTarget(a.To); err != nil {
		return p.at("to", err)
	}
	names, define, err := p.shared()
	if err != nil {
		return p.at("token", err)
	}
	if _, err := a.compile(names, define); err != nil {
		subdirective, _, _ := strings.Cut(err.Error(), ":")
		return p.at(subdirective, err)
	}
	if _, err := a.parseFormat(); err != nil {
		return p.at("format", err)
	}
	if a.Default != "" {
		if _, err := a.runDefault(context.Background()); err != nil {
			return p.at("default", err)
		}
	}
	var configured json.RawMessage
	if p.proxy != nil {
		if configured, err = p.reverseProxy(); err != nil {
			return err
		}
	}
	proxy, err := a.proxy(configured)
	if err != nil {
		return p.at("reverse_proxy", err)
	}
	a.HandleRaw = []json.RawMessage{proxy}
	return nil
}

// shared finds what the global option `switchboard` holds for this API: the
// names of the token source's credentials, and the definitions.
func (p *parser) shared() (names []string, define string, err error) {
	app := new(module.App)
	if option, ok := p.Option("switchboard").(httpcaddyfile.App); ok {
		if err := json.Unmarshal(option.Value, app); err != nil {
			return nil, "", err
		}
	}
	if p.api.Token == "" {
		return nil, app.Define, nil
	}
	source, ok := app.Tokens[p.api.Token]
	if !ok {
		return nil, "", fmt.Errorf("token %s is not defined; add `token %s { … }` to `switchboard` in the global options", p.api.Token, p.api.Token)
	}
	return source.CredentialNames(app.Define), app.Define, nil
}

// reverseProxy parses the nested block as Caddy does, with `to` as its upstream.
func (p *parser) reverseProxy() (json.RawMessage, error) {
	upstream := p.proxy[0]
	upstream.Text = p.api.target.scheme + "://" + p.api.target.dial
	segment := append(caddyfile.Segment{p.proxy[0], upstream}, p.proxy[1:]...)
	if p.api.target.keep != "" {
		segment = p.proxy
	}
	d := caddyfile.NewDispenser(segment)
	handler := new(reverseproxy.Handler)
	if err := handler.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	if err := handler.FinalizeUnmarshalCaddyfile(p.WithDispenser(d)); err != nil {
		return nil, err
	}
	return json.Marshal(handler)
}

// unique refuses a second API of the same name with other settings.
func (p *parser) unique(head caddyfile.Token) error {
	text, err := json.Marshal(p.api)
	if err != nil {
		return err
	}
	const key = "switchboard.apis"
	seen, _ := p.State[key].(map[string]string)
	if seen == nil {
		seen = make(map[string]string)
		p.State[key] = seen
	}
	if was, ok := seen[p.api.Name]; ok && was != string(text) {
		return fmt.Errorf("api %s is defined twice with different settings; give the second one a name of its own, at %s:%d", p.api.Name, head.File, head.Line)
	}
	seen[p.api.Name] = string(text)
	return nil
}

// at adds to an error where the subdirective stands that caused it.
func (p *parser) at(subdirective string, err error) error {
	where, ok := p.lines[subdirective]
	if !ok {
		return p.WrapErr(fmt.Errorf("api %s: %w", p.api.Name, err))
	}
	return fmt.Errorf("api %s: %w, at %s:%d", p.api.Name, err, where.file, where.line)
}

func validName(name string) bool {
	return strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_-.", r)
	}) < 0 && len(name) <= 64
}
