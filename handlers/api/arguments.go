package api

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/dustin/go-humanize"

	"github.com/switchboard-ivr/switchboard/module/program"
)

// The arguments of the subdirectives of `api`.

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
