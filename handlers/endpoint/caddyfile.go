package endpoint

import (
	"encoding/json"
	"fmt"
	"maps"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/switchboard-ivr/switchboard/internal/answer"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/blocks"
)

// Parser reads the block of an answering handler: the lines of [Settings] and the
// handler's own lines.
type Parser struct {
	httpcaddyfile.Helper
	*blocks.Reader
}

// Matchers consumes the directive's name and matcher, and leaves the dispenser
// on the name again.
func Matchers(h httpcaddyfile.Helper) (caddy.ModuleMap, error) {
	h.Next() // consume directive name
	matchers, err := h.ExtractMatcherSet()
	h.Next() // consume it again: a matcher rewinds
	return matchers, err
}

// NewParser returns a parser for the block that follows. what names the block in
// errors.
func NewParser(h httpcaddyfile.Helper, what string) Parser {
	return Parser{h, blocks.New(h.Dispenser, what)}
}

// Lines returns the readers of the lines that every answering handler has, which
// fill s, together with the handler's own.
func (p *Parser) Lines(s *Settings, own blocks.Lines) blocks.Lines {
	lines := blocks.Lines{
		"auth": func() error { return p.Auth(&s.Auth) }, "cache": func() error { return p.cache(&s.Cache) },
		"for": p.Text(&s.For), "format": p.Text(&s.Format), "on_failure": p.Word(&s.OnFailure, "default", "error"),
		"budget": p.Duration(&s.Budget), "call_id": p.Program(&s.CallID), "status_field": p.Text(&s.StatusField),
	}
	maps.Copy(lines, own)
	return lines
}

// Check validates the settings and compiles their programs, so that an error
// names the line in the Caddyfile.
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

// Fits returns an error if the contract can't be rendered with these settings.
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

// App returns the app that the global option `switchboard` defines.
func (p *Parser) App() (*switchboard.App, error) {
	app := new(switchboard.App)
	if option, ok := p.Option("switchboard").(httpcaddyfile.App); ok {
		if err := json.Unmarshal(option.Value, app); err != nil {
			return nil, err
		}
	}
	return app, nil
}

// Auth reads an `auth` line.
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
	if err := p.Duration(&c.Fresh)(); err != nil {
		return err
	}
	*into = c
	r := blocks.New(p.Dispenser, "cache")
	return r.Read(blocks.Lines{
		"stale": func() error { return p.stale(c) }, "not_found": r.Duration(&c.NotFound),
		"key": r.Program(&c.Key), "scope": r.Text(&c.Scope),
	})
}

func (p *Parser) stale(c *Cache) error {
	var while, failing string
	if !p.AllArgs(&while, &failing) {
		return p.Err("stale takes two durations: how much longer an answer is served while it is renewed, and how much longer when the API fails; e.g. `stale 1m 24h`")
	}
	var err error
	if c.StaleWhileRevalidate, err = blocks.ParseDuration(while); err == nil {
		c.StaleIfError, err = blocks.ParseDuration(failing)
	}
	if err != nil {
		return p.Errf("stale: %v", err)
	}
	return nil
}
