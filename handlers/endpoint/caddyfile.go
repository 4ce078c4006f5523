package endpoint

import (
	"encoding/json"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/dustin/go-humanize"

	"github.com/switchboard-ivr/switchboard/internal/answer"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/program"
)

// Parser reads the block of an answering handler: the subdirectives of
// [Settings], and the kinds of arguments that others take.
type Parser struct {
	httpcaddyfile.Helper
	// What the block is, for messages: "api order".
	What string
	// Repeatable subdirectives add up; all others stand once.
	Repeatable map[string]bool

	lines map[string]position // where each subdirective stands
}

type position struct {
	file string
	line int
}

// Matchers consumes the directive's name and matcher, and leaves the dispenser
// on the name again.
func Matchers(h httpcaddyfile.Helper) (caddy.ModuleMap, error) {
	h.Next() // consume directive name
	matchers, err := h.ExtractMatcherSet()
	h.Next() // consume it again: a matcher rewinds
	return matchers, err
}

// Subdirective notes where the current subdirective stands, and refuses a
// second one.
func (p *Parser) Subdirective() (name string, err error) {
	name = p.Val()
	if p.lines == nil {
		p.lines = make(map[string]position)
	}
	_, seen := p.lines[name]
	if seen && !p.Repeatable[name] {
		return name, p.Errf("%s is already written in %s", name, p.What)
	}
	if !seen {
		p.lines[name] = position{p.File(), p.Line()}
	}
	return name, nil
}

// At adds to an error where the subdirective stands that caused it.
func (p *Parser) At(subdirective string, err error) error {
	where, ok := p.lines[subdirective]
	if !ok {
		return p.WrapErr(fmt.Errorf("%s: %w", p.What, err))
	}
	return fmt.Errorf("%s: %w, at %s:%d", p.What, err, where.file, where.line)
}

// Setting reads a subdirective that every answering handler knows.
func (p *Parser) Setting(name string, s *Settings) (known bool, err error) {
	switch name {
	case "auth":
		return true, p.Auth(&s.Auth)
	case "for":
		return true, p.Text(&s.For)
	case "format":
		return true, p.Text(&s.Format)
	case "on_failure":
		if err := p.Text(&s.OnFailure); err != nil {
			return true, err
		}
		if s.OnFailure != "default" && s.OnFailure != "error" {
			return true, p.Errf("on_failure %q is unknown; write default or error", s.OnFailure)
		}
		return true, nil
	case "cache":
		return true, p.cache(&s.Cache)
	case "budget":
		return true, p.Duration(&s.Budget)
	case "call_id":
		return true, p.Program(&s.CallID)
	case "status_field":
		return true, p.Text(&s.StatusField)
	default:
		return false, nil
	}
}

// Check looks into the settings and compiles their programs, so that the message tells the line.
func (p *Parser) Check(s *Settings) error {
	app, err := p.App()
	if err != nil {
		return p.WrapErr(err)
	}
	if s.CallID != "" {
		if _, err := s.callID(app.Define); err != nil {
			return p.At("call_id", err)
		}
	}
	if s.Cache != nil {
		if _, err := s.Cache.Check(app.Define); err != nil {
			return p.At("cache", fmt.Errorf("cache: %w", err))
		}
	}
	system, err := s.system(app)
	if err != nil {
		return p.At("for", err)
	}
	if _, err := s.style(system); err != nil {
		return p.At("format", err)
	}
	return nil
}

// Fits makes sure that a contract can be written as the settings say.
func (p *Parser) Fits(s *Settings, contract *answer.Contract, statusField string) error {
	app, err := p.App()
	if err != nil {
		return err
	}
	system, err := s.system(app)
	if err != nil {
		return err
	}
	style, err := s.style(system)
	if err != nil {
		return err
	}
	return fits(&style, contract, s.statusField(statusField))
}

// App is what the global option `switchboard` holds.
func (p *Parser) App() (*switchboard.App, error) {
	app := new(switchboard.App)
	if option, ok := p.Option("switchboard").(httpcaddyfile.App); ok {
		if err := json.Unmarshal(option.Value, app); err != nil {
			return nil, err
		}
	}
	return app, nil
}

// Text reads one argument.
func (p *Parser) Text(into *string) error {
	if !p.AllArgs(into) || *into == "" {
		return p.ArgErr()
	}
	return nil
}

// Program reads a jq program, or the file that holds it.
func (p *Parser) Program(into *string) error {
	name, raw := p.Val(), ""
	if !p.AllArgs(&raw) {
		return p.Errf("%s takes one jq program; put it in backquotes", name)
	}
	var err error
	*into, err = program.Arg(p.Dispenser, raw)
	return err
}

// Duration reads a duration above 0.
func (p *Parser) Duration(into *caddy.Duration) error {
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

// Size reads a number of bytes.
func (p *Parser) Size(into *int64) error {
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

// OnOff reads on or off.
func (p *Parser) OnOff(into **bool) error {
	var raw string
	if !p.AllArgs(&raw) || (raw != "on" && raw != "off") {
		return p.Errf("%s takes on or off", p.Val())
	}
	on := raw == "on"
	*into = &on
	return nil
}

// Auth reads who may call.
func (p *Parser) Auth(into **Auth) error {
	args := p.RemainingArgs()
	switch {
	case len(args) == 2 && args[0] == "key":
		*into = &Auth{Mode: "key", Keys: args[1:2]}
	case len(args) == 4 && args[0] == "key" && args[2] == "header":
		*into = &Auth{Mode: "key", Keys: args[1:2], Header: args[3]}
	case len(args) == 1 && (args[0] == "user" || args[0] == "none"):
		*into = &Auth{Mode: args[0]}
	case len(args) == 2 && args[0] == "issuer":
		*into = &Auth{Mode: "issuer", Issuer: args[1]}
	default:
		return p.Err("auth takes `key {env.KEY} [header NAME]`, `user`, `issuer NAME` or `none`")
	}
	return nil
}

// cache reads:
//
//	cache <fresh> {
//		stale     <while revalidating> <if error>
//		not_found <duration>
//		key       <jq>
//		scope     request|shared
//	}
func (p *Parser) cache(into **Cache) error {
	c := new(Cache)
	if err := p.Duration(&c.Fresh); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for nesting := p.Nesting(); p.NextBlock(nesting); {
		name := p.Val()
		if seen[name] {
			return p.Errf("%s is already written in cache", name)
		}
		seen[name] = true
		var err error
		switch name {
		case "stale":
			err = p.stale(c)
		case "not_found":
			err = p.Duration(&c.NotFound)
		case "key":
			err = p.Program(&c.Key)
		case "scope":
			err = p.Text(&c.Scope)
		default:
			err = p.Errf("unrecognized subdirective '%s' of cache; known are stale, not_found, key and scope", name)
		}
		if err != nil {
			return err
		}
	}
	*into = c
	return nil
}

func (p *Parser) stale(c *Cache) error {
	var while, failing string
	if !p.AllArgs(&while, &failing) {
		return p.Err("stale takes two durations: how much longer an answer is served while it is renewed, and how much longer when the API fails; for example `stale 1m 24h`")
	}
	for _, it := range []struct {
		raw  string
		into *caddy.Duration
	}{{while, &c.StaleWhileRevalidate}, {failing, &c.StaleIfError}} {
		d, err := caddy.ParseDuration(it.raw)
		if err != nil || d < 0 {
			return p.Errf("%q is not a duration; write for example 1m, or 0s for none", it.raw)
		}
		*it.into = caddy.Duration(d)
	}
	return nil
}
