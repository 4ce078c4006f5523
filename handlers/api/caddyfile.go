package api

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/module/blocks"
	"github.com/switchboard-ivr/switchboard/module/token/source"
)

// Parse sets up the directive:
//
//	api [<matcher>] <name> {
//		describe      <text>
//		param         <name> <meaning> [<example>]
//		require       <names...> | <jq>
//		with          <variable> <api> <jq> [optional]
//		to            <url>
//		method        <method>
//		token         <name>
//		auth          key <key> [header <name>] | user | issuer <name> | none
//		path          <jq>
//		query         <jq>
//		body          <jq> [json|form|text]
//		headers       <jq> | <name> <value>
//		pass          query | body | headers <names...>
//		answer        json|xml|form|text {
//			list      <paths...>
//		}
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
//		once          <duration> [<jq>] {
//			header <name>
//			finish <duration>
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
	p := parser{api: new(API)}
	if err := p.parse(h); err != nil {
		return nil, err
	}
	return h.NewRoute(matchers, p.api), nil
}

// parser reads one `api` block.
type parser struct {
	endpoint.Parser
	api        *API
	proxy      caddyfile.Segment
	keepAnswer *bool
}

func (p *parser) parse(h httpcaddyfile.Helper) error {
	a := p.api
	if !h.NextArg() {
		return h.Err("the api's name is missing; write `api NAME { … }`")
	}
	a.Name = h.Val()
	if !validName(a.Name) {
		return h.Errf("api name %q: use letters, digits, `_`, `-` and `.`", a.Name)
	}
	if h.NextArg() {
		return h.Errf("unexpected %q after the api's name; a matcher stands before it", h.Val())
	}
	head := h.Token()
	p.Parser = endpoint.NewParser(h, "api "+a.Name)
	if err := p.Read(p.Lines(&a.Settings, blocks.Lines{
		"describe": p.Text(&a.Description), "param": p.param, "require": p.require, "with": p.with,
		"to": p.Text(&a.To), "method": p.Text(&a.Method), "token": p.Text(&a.Token),
		"path": p.Program(&a.Path), "query": p.Program(&a.Query), "body": p.body, "headers": p.headers, "pass": p.pass, "answer": p.answer,
		"token_expired": p.tokenExpired, "success": p.Program(&a.Success), "not_found": p.Program(&a.NotFound),
		"unhealthy": p.Program(&a.Unhealthy), "output": p.Program(&a.Output), "default": p.Program(&a.Default),
		"once": p.once, "breaker": p.breaker, "replay": p.OnOff(&a.Replay), "keep_answer": p.OnOff(&p.keepAnswer),
		"max_size": blocks.Size(p.Reader, &a.MaxSize, maxSize), "max_header": blocks.Size(p.Reader, &a.MaxHeader, maxSize),
		"reverse_proxy": func() error { p.proxy = p.NextSegment(); return nil },
	}), "headers", "pass", "param", "require", "with"); err != nil {
		return err
	}
	a.Method, a.KeepAnswer = strings.ToUpper(a.Method), p.keepAnswer != nil && *p.keepAnswer
	if err := p.finish(); err != nil {
		return err
	}
	if err := p.checkChains(); err != nil {
		return err
	}
	return p.unique(head)
}

func (p *parser) tokenExpired() (err error) {
	p.api.TokenExpired, err = source.ParseExpired(p.Dispenser)
	return err
}

// maxSize is the maximum for sizes in the block.
const maxSize = 64 << 20

func validName(name string) bool {
	return strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_-.", r)
	}) < 0 && len(name) <= 64
}

// What happens after an `api` block has been read.

// finish validates what can be checked before Provision, so that an error names
// the line, and configures the handler that makes the call.
func (p *parser) finish() error {
	a := p.api
	var err error
	if a.target, err = a.parseTarget(); err != nil {
		return p.At("to", err)
	}
	if name, err := p.checkTarget(); err != nil {
		return p.At(name, err)
	}
	src, define, err := p.shared()
	if err != nil {
		return p.At("token", err)
	}
	if err := p.Check(&a.Settings); err != nil {
		return err
	}
	if _, err := a.Answer.reader(); err != nil {
		return p.At("answer", err)
	}
	if a.Cache != nil && a.target.sidecar {
		return p.At("cache", errCacheSidecar)
	}
	if a.Once != nil {
		if _, err := a.checkOnce(define); err != nil {
			return p.At("once", err)
		}
	}
	var names []string
	if src != nil {
		names = src.CredentialNames(define)
	}
	programs, err := a.compile(names, define)
	if err == nil {
		a.programs = programs
		err = a.checkPrograms(src, define)
	}
	if err != nil {
		subdirective, _, _ := strings.Cut(err.Error(), ":")
		return p.At(subdirective, err)
	}
	if a.Default != "" {
		contract, err := a.runDefault(context.Background())
		if err == nil {
			err = p.Fits(&a.Settings, contract, defaultStatusField)
		}
		if err != nil {
			return p.At("default", err)
		}
	}
	if a.target.none {
		return nil
	}
	var configured json.RawMessage
	if p.proxy != nil {
		if configured, err = p.reverseProxy(); err != nil {
			return err
		}
	}
	proxy, err := a.proxy(configured)
	if err != nil {
		return p.At("reverse_proxy", err)
	}
	a.HandleRaw = []json.RawMessage{proxy}
	if a.Once != nil && sendsAgain(a.HandleRaw) {
		return p.At("reverse_proxy", errOnceRetries)
	}
	return nil
}

// shared returns what the global option `switchboard` defines for this API: its
// token source, or nil, and the jq definitions.
func (p *parser) shared() (src *source.Source, define string, err error) {
	app, err := p.App()
	if err != nil {
		return nil, "", err
	}
	if p.api.Token == "" {
		return nil, app.Define, nil
	}
	src, ok := app.Tokens[p.api.Token]
	if !ok {
		return nil, "", fmt.Errorf("token %s is not defined; add `token %s { … }` to `switchboard` in the global options", p.api.Token, p.api.Token)
	}
	return src, app.Define, nil
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
