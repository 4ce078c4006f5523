package source

import (
	"errors"
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/switchboard-ivr/switchboard/module/program"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// ParseSource reads one `token` block. The current token of d is the word
// `token`; afterwards it is the end of the block. Programs are compiled, so that
// an error names the line:
//
//	token <name> {
//		dialect        <name>
//		define         <jq>
//		credential     <name> <value>
//		optional       <names...>
//		obtain         [<method>] <url> {
//			headers <jq>
//			query   <jq>
//			form    <jq>
//			json    <jq>
//		}
//		refresh        [<method>] <url> { ... }
//		static         <value>
//		success        <jq>
//		access_token   <jq>
//		refresh_token  <jq>
//		expires_in     <jq> [s|ms|at]
//		timestamp      ms|s|<layout> [<zone>]
//		lifetime       <duration>
//		refresh_before <duration>|<fraction>
//		must_differ    on|off
//		inject         header [<name> [<template>]] | query <name> | body <name> | none
//		token_expired  [<status...>] [<jq>]
//		api_success    <jq>
//		keep           <jq> hosts <hosts...>
//		retry_refused  <duration>
//		timeout        <duration>
//		transport      http { ... }
//		warm           on|off
//	}
func ParseSource(d *caddyfile.Dispenser) (string, *Source, error) {
	if !d.NextArg() {
		return "", nil, d.Err("a token source needs a name: token NAME { … }")
	}
	name := d.Val()
	if err := token.CheckName("a token source", name); err != nil {
		return "", nil, d.WrapErr(err)
	}
	s := new(Source)
	p := newParser(d, s)
	if d.NextArg() {
		return "", nil, d.ArgErr()
	}
	if err := p.block(); err != nil {
		return "", nil, err
	}
	if len(p.at) == 1 {
		return "", nil, p.at[""].Errf("token %s is empty; write at least `obtain URL`, `static VALUE` or a `credential`", name)
	}
	return name, s, p.check()
}

// UnmarshalCaddyfile reads one whole `token` block, its name included; the name
// is not part of a Source. See ParseSource for the syntax.
func (s *Source) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the word `token`
	_, parsed, err := ParseSource(d)
	if err != nil {
		return err
	}
	*s = *parsed
	return nil
}

// parser reads the lines of one source or dialect.
type parser struct {
	d *caddyfile.Dispenser
	s *Source
	// dialect: requests have no URL, and nothing is compiled.
	dialect bool
	// at remembers where each setting is written; "" is the block itself.
	at map[string]*caddyfile.Dispenser
	// setting is the one that is being read, and file remembers the program file
	// that each names.
	setting string
	file    map[string]string
}

func newParser(d *caddyfile.Dispenser, s *Source) *parser {
	p := &parser{d: d, s: s, at: make(map[string]*caddyfile.Dispenser), file: make(map[string]string)}
	p.mark("")
	return p
}

// mark remembers the current token as the place of a setting.
func (p *parser) mark(setting string) {
	here := caddyfile.NewDispenser([]caddyfile.Token{p.d.Token()})
	here.Next()
	p.at[setting], p.setting = here, setting
}

// once marks a setting and refuses a second one.
func (p *parser) once(setting string) error {
	if before, ok := p.at[setting]; ok {
		return p.d.Errf("%s is already set in line %d", setting, before.Line())
	}
	p.mark(setting)
	return nil
}

func (p *parser) block() error {
	for nesting := p.d.Nesting(); p.d.NextBlock(nesting); {
		word := p.d.Val()
		if word == "credential" { // the one that may come again, with another name
			if err := p.credential(); err != nil {
				return err
			}
			continue
		}
		if err := p.once(word); err != nil {
			return err
		}
		read, ok := subdirectives[word]
		if !ok {
			return p.d.Errf("unrecognized subdirective '%s' of a token source", word)
		}
		if err := read(p); err != nil {
			return err
		}
	}
	return nil
}

// check merges and compiles what was read, and names the line of what is wrong.
func (p *parser) check() error {
	if _, err := p.s.newPlan(program.Define(p.d)); err != nil {
		return p.locate(err)
	}
	return nil
}

func (p *parser) locate(err error) error {
	where := p.at[""]
	if wrong, ok := errors.AsType[*settingError](err); ok {
		if at, ok := p.at[wrong.setting]; ok {
			where = at
		} else if at, ok := p.at[wrong.parent()]; ok {
			where = at
		}
		if file, ok := p.file[wrong.setting]; ok {
			err = wrongf(wrong.setting, "%s, %w", file, wrong.err)
		}
	}
	return where.WrapErr(err)
}

// argument returns the text of the program that the current argument is or names.
func (p *parser) argument() (string, error) {
	raw := p.d.Val()
	text, err := program.Arg(p.d, raw)
	if err == nil && program.IsFile(raw) {
		p.file[p.setting] = raw[1:]
	}
	return text, err
}

func (p *parser) credential() error {
	var name, value string
	if !p.d.AllArgs(&name, &value) {
		return p.d.Err("write `credential NAME VALUE`; quote a value that holds blanks")
	}
	if err := p.once("credential " + name); err != nil {
		return err
	}
	if p.s.CredentialValues == nil {
		p.s.CredentialValues = make(map[string]string)
	}
	p.s.CredentialValues[name] = value
	return nil
}

// subdirectives read what follows their names. `credential` is not among them, as it
// may come again.
var subdirectives = map[string]func(*parser) error{
	"dialect":        func(p *parser) error { return p.word(&p.s.Dialect) },
	"define":         func(p *parser) error { return p.program(&p.s.Define) },
	"optional":       func(p *parser) error { return p.words(&p.s.Optional) },
	"obtain":         func(p *parser) error { return p.request("obtain", &p.s.Obtain) },
	"refresh":        func(p *parser) error { return p.request("refresh", &p.s.Refresh) },
	"static":         func(p *parser) error { return p.word(&p.s.Static) },
	"success":        func(p *parser) error { return p.program(&p.s.Success) },
	"access_token":   func(p *parser) error { return p.program(&p.s.AccessToken) },
	"refresh_token":  func(p *parser) error { return p.program(&p.s.RefreshToken) },
	"expires_in":     func(p *parser) error { return p.programAnd(&p.s.ExpiresIn, &p.s.ExpiresInUnit) },
	"timestamp":      func(p *parser) error { return p.wordAnd(&p.s.Timestamp, &p.s.TimestampZone) },
	"lifetime":       func(p *parser) error { return p.duration(&p.s.Lifetime) },
	"refresh_before": (*parser).refreshBefore,
	"must_differ":    func(p *parser) error { return p.onOff(&p.s.MustDiffer) },
	"inject":         (*parser).inject,
	"token_expired":  (*parser).tokenExpired,
	"api_success":    func(p *parser) error { return p.program(&p.s.AnswerSuccess) },
	"keep":           (*parser).keep,
	"retry_refused":  func(p *parser) error { return p.duration(&p.s.RetryRefused) },
	"timeout":        func(p *parser) error { return p.duration(&p.s.Timeout) },
	"transport":      (*parser).transport,
	"warm":           func(p *parser) error { return p.onOff(&p.s.Warm) },
}

func (p *parser) refreshBefore() error {
	var raw string
	if err := p.word(&raw); err != nil {
		return err
	}
	if fraction, err := strconv.ParseFloat(raw, 64); err == nil {
		if fraction == 0 {
			return p.d.Err("refresh_before 0 would renew a token after its end; write a duration such as 10m or a fraction such as 0.5")
		}
		p.s.RefreshFraction = fraction
		return nil
	}
	return p.parseDuration(raw, &p.s.RefreshBefore)
}

func (p *parser) transport() error {
	if !p.d.NextArg() || p.d.Val() != "http" {
		return p.d.Err("write `transport http { … }`, as in reverse_proxy")
	}
	unm, err := caddyfile.UnmarshalModule(p.d, "http.reverse_proxy.transport.http")
	if err != nil {
		return err
	}
	p.s.TransportRaw = caddyconfig.JSONModuleObject(unm, "protocol", "http", nil)
	return nil
}
