package source

import (
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/switchboard-ivr/switchboard/module/program"
)

// The forms that the arguments of a subdirective take in the Caddyfile.

func (p *parser) word(to *string) error {
	if !p.d.AllArgs(to) {
		return p.d.ArgErr()
	}
	if *to == "" {
		return p.d.Errf("the value is blank")
	}
	return nil
}

// wordAnd reads a word and perhaps a second one.
func (p *parser) wordAnd(to, second *string) error {
	if !p.d.Args(to) {
		return p.d.ArgErr()
	}
	p.d.Args(second)
	return p.end()
}

func (p *parser) words(to *[]string) error {
	*to = p.d.RemainingArgs()
	if len(*to) == 0 {
		return p.d.ArgErr()
	}
	return nil
}

func (p *parser) program(to *string) error {
	return p.programAnd(to, nil)
}

// programAnd reads a program and perhaps a word after it.
func (p *parser) programAnd(to, second *string) error {
	if !p.d.NextArg() {
		return p.d.ArgErr()
	}
	text, err := p.argument()
	if err != nil {
		return err
	}
	if text == "" {
		return p.d.Err("the program is empty; did Caddy replace a `{$…}` in it? Write a blank after the brace: `{ $name }`")
	}
	*to = text
	if second != nil {
		p.d.Args(second)
	}
	return p.end()
}

func (p *parser) duration(to *caddy.Duration) error {
	var raw string
	if err := p.word(&raw); err != nil {
		return err
	}
	return p.parseDuration(raw, to)
}

func (p *parser) parseDuration(raw string, to *caddy.Duration) error {
	d, err := caddy.ParseDuration(raw)
	if err != nil {
		return p.d.Errf("%q is not a valid duration; write it like 30s, 10m, 2h or 7d", raw)
	}
	if d <= 0 {
		return p.d.Errf("%s is not a valid duration here; it must be above 0", d)
	}
	*to = caddy.Duration(d)
	return nil
}

func (p *parser) onOff(to **bool) error {
	var raw string
	if err := p.word(&raw); err != nil {
		return err
	}
	if raw != "on" && raw != "off" {
		return p.d.Errf("write on or off, not %q", raw)
	}
	*to = new(raw == "on")
	return nil
}

// end refuses what is left of the line.
func (p *parser) end() error {
	if p.d.NextArg() {
		return p.d.Errf("unexpected argument '%s'; quote a value that holds blanks", p.d.Val())
	}
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
	for nesting := p.d.Nesting(); p.d.NextBlock(nesting); {
		word := p.d.Val()
		if err := p.once(setting + " " + word); err != nil {
			return err
		}
		var field *string
		switch word {
		case "headers":
			field = &r.Headers
		case "query":
			field = &r.Query
		case "form":
			field = &r.Form
		case "json":
			field = &r.JSON
		default:
			return p.d.Errf("unrecognized subdirective '%s' of %s; known are headers, query, form and json", word, setting)
		}
		if err := p.program(field); err != nil {
			return err
		}
	}
	*to = r
	return nil
}

func (p *parser) inject() error {
	in := new(Inject)
	if !p.d.Args(&in.In) {
		return p.d.ArgErr()
	}
	if p.d.Args(&in.Name) {
		p.d.Args(&in.Template)
	}
	if err := p.end(); err != nil {
		return err
	}
	p.s.Inject = in
	return nil
}

func (p *parser) tokenExpired() error {
	var err error
	p.s.TokenExpired, err = ParseExpired(p.d)
	return err
}

func (p *parser) keep() error {
	if !p.d.NextArg() {
		return p.d.ArgErr()
	}
	text, err := p.argument()
	if err != nil {
		return err
	}
	keep := &Keep{Program: text}
	if p.d.NextArg() {
		if p.d.Val() != "hosts" {
			return p.d.Errf("unexpected argument '%s'; write `keep <jq> hosts HOST…`", p.d.Val())
		}
		keep.Hosts = p.d.RemainingArgs()
	}
	p.s.Keep = keep
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
