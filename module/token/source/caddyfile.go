package source

import (
	"errors"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/switchboard-ivr/switchboard/module/blocks"
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
//		authorize      <url> {
//			query    <jq>
//			redirect <url>
//			issuer   <url>
//		}
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
	if d.NextArg() {
		return "", nil, d.ArgErr()
	}
	p := newParser(d, "token "+name, new(Source))
	if err := p.read(); err != nil {
		return "", nil, err
	}
	if p.Empty() {
		return "", nil, p.At("", errors.New("the block is empty; write at least `obtain URL`, `static VALUE` or a `credential`"))
	}
	return name, p.s, p.check()
}

// parser reads the lines of one source or dialect.
type parser struct {
	*blocks.Reader
	d *caddyfile.Dispenser
	s *Source
	// dialect: requests have no URL, and nothing is compiled.
	dialect bool
	// file is the program file that each setting names.
	file map[string]string
}

func newParser(d *caddyfile.Dispenser, what string, s *Source) *parser {
	return &parser{Reader: blocks.New(d, what), d: d, s: s, file: make(map[string]string)}
}

func (p *parser) read() error {
	s := p.s
	return p.Read(blocks.Lines{
		"dialect":        p.Text(&s.Dialect),
		"define":         p.program("define", &s.Define),
		"credential":     p.credential,
		"optional":       p.Words(&s.Optional),
		"authorize":      p.authorize,
		"obtain":         func() error { return p.request("obtain", &s.Obtain) },
		"refresh":        func() error { return p.request("refresh", &s.Refresh) },
		"static":         p.Text(&s.Static),
		"success":        p.program("success", &s.Success),
		"access_token":   p.program("access_token", &s.AccessToken),
		"refresh_token":  p.program("refresh_token", &s.RefreshToken),
		"expires_in":     p.program("expires_in", &s.ExpiresIn, &s.ExpiresInUnit),
		"timestamp":      p.words(1, &s.Timestamp, &s.TimestampZone),
		"lifetime":       p.Duration(&s.Lifetime),
		"refresh_before": p.refreshBefore,
		"must_differ":    p.OnOff(&s.MustDiffer),
		"inject":         p.inject,
		"token_expired":  func() (err error) { s.TokenExpired, err = ParseExpired(p.d); return err },
		"api_success":    p.program("api_success", &s.AnswerSuccess),
		"keep":           p.keep,
		"retry_refused":  p.Duration(&s.RetryRefused),
		"timeout":        p.Duration(&s.Timeout),
		"transport":      p.transport,
		"warm":           p.OnOff(&s.Warm),
	}, "credential")
}

// check merges and compiles what was read, and names the line of what is wrong.
func (p *parser) check() error {
	plan, err := p.s.newPlan(program.Define(p.d))
	if err == nil {
		err = p.s.checkKeys(plan)
	}
	if err == nil {
		return nil
	}
	at := ""
	if wrong, ok := errors.AsType[*settingError](err); ok {
		if at = wrong.setting; !p.Has(at) {
			at, _, _ = strings.Cut(at, " ") // the setting whose block holds this one
		}
		if file, ok := p.file[wrong.setting]; ok {
			err = wrongf(wrong.setting, "%s, %w", file, wrong.err)
		}
	}
	return p.At(at, err)
}

// argument returns the text of the program that the current argument is or names.
func (p *parser) argument(setting string) (string, error) {
	raw := p.d.Val()
	text, err := program.Arg(p.d, raw)
	if err == nil && program.IsFile(raw) {
		p.file[setting] = raw[1:]
	}
	return text, err
}

// program reads a program and perhaps a word after it.
func (p *parser) program(setting string, to *string, word ...*string) func() error {
	return func() error {
		_ = p.Once(setting) // for errors; the block refuses a second one
		if !p.d.NextArg() {
			return p.d.ArgErr()
		}
		text, err := p.argument(setting)
		if err != nil {
			return err
		}
		if text == "" {
			return p.d.Err("the program is empty; did Caddy replace a `{$…}` in it? Write a blank after the brace: `{ $name }`")
		}
		*to = text
		return p.words(0, word...)()
	}
}

// words reads the rest of a line: as many words as there are variables, but not less
// than least.
func (p *parser) words(least int, to ...*string) func() error {
	return func() error {
		args := p.d.RemainingArgs()
		if len(args) < least {
			return p.d.ArgErr()
		}
		if len(args) > len(to) {
			return p.d.Errf("unexpected argument '%s'; quote a value that holds blanks", args[len(to)])
		}
		for i, arg := range args {
			*to[i] = arg
		}
		return nil
	}
}

func (p *parser) credential() error {
	var name, value string
	if !p.d.AllArgs(&name, &value) {
		return p.d.Err("write `credential NAME VALUE`; quote a value that holds blanks")
	}
	if err := p.Once("credential " + name); err != nil {
		return err
	}
	if p.s.CredentialValues == nil {
		p.s.CredentialValues = make(map[string]string)
	}
	p.s.CredentialValues[name] = value
	return nil
}

// request reads `[METHOD] URL { … }`, or in a dialect `[METHOD] { … }`.
func (p *parser) request(setting string, to **Request) error {
	r := new(Request)
	args := p.d.RemainingArgs()
	switch {
	case p.dialect && len(args) == 1:
		r.Method = args[0]
	case len(args) == 1:
		r.URL = args[0]
	case len(args) == 2:
		r.Method, r.URL = args[0], args[1]
	case !p.dialect || len(args) > 0:
		return p.d.Errf("write `%s [METHOD] URL`", setting)
	}
	*to = r
	return blocks.New(p.d, setting).Read(blocks.Lines{
		"headers": p.program(setting+" headers", &r.Headers),
		"query":   p.program(setting+" query", &r.Query),
		"form":    p.program(setting+" form", &r.Form),
		"json":    p.program(setting+" json", &r.JSON),
	})
}

func (p *parser) refreshBefore() error {
	var raw string
	if err := p.Text(&raw)(); err != nil {
		return err
	}
	fraction, err := strconv.ParseFloat(raw, 64)
	if err != nil {
		p.s.RefreshBefore, err = blocks.ParseDuration(raw)
		if err != nil {
			return p.d.Errf("refresh_before: %v", err)
		}
	}
	if fraction == 0 && p.s.RefreshBefore == 0 {
		return p.d.Err("refresh_before 0 would renew a token after its end; write a duration such as 10m or a fraction such as 0.5")
	}
	p.s.RefreshFraction = fraction
	return nil
}

func (p *parser) inject() error {
	in := new(Inject)
	p.s.Inject = in
	return p.words(1, &in.In, &in.Name, &in.Template)()
}

func (p *parser) keep() error {
	if !p.d.NextArg() {
		return p.d.ArgErr()
	}
	text, err := p.argument("keep")
	if err != nil {
		return err
	}
	p.s.Keep = &Keep{Program: text}
	if p.d.NextArg() {
		if p.d.Val() != "hosts" {
			return p.d.Errf("unexpected argument '%s'; write `keep <jq> hosts HOST…`", p.d.Val())
		}
		p.s.Keep.Hosts = p.d.RemainingArgs()
	}
	return nil
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
