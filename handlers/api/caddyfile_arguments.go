package api

import (
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/internal/xmlval"
	"github.com/switchboard-ivr/switchboard/module/blocks"
	"github.com/switchboard-ivr/switchboard/module/program"
)

// The arguments of the subdirectives of `api`.

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
			return p.Errf("body: %q is not a valid encoding; use json, form or text", args[1])
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
		if err := p.Once("headers " + args[0]); err != nil {
			return err
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

// answer reads:
//
//	answer json|xml|form|text {
//		list <paths...>
//	}
func (p *parser) answer() error {
	a := new(Answer)
	switch args := p.RemainingArgs(); {
	case len(args) == 1:
		a.Encoding = args[0]
	case len(args) > 2 && args[1] == "list":
		return p.Errf("answer: `list` stands on a line of its own, in a block behind `answer %s`", args[0])
	default:
		return p.Err("answer takes json, xml, form or text")
	}
	r := blocks.New(p.Dispenser, "answer")
	if err := r.Read(blocks.Lines{"list": func() error {
		paths := p.RemainingArgs()
		if len(paths) == 0 {
			return p.Err("list takes paths to elements that repeat, e.g. Envelope/Body/Orders/Order")
		}
		a.List = append(a.List, paths...)
		if _, err := xmlval.NewLists(a.List); err != nil {
			return p.Errf("answer: %v", err)
		}
		return nil
	}}, "list"); err != nil {
		return err
	}
	p.api.Answer = a
	return nil
}

func (p *parser) breaker() error {
	const usage = "breaker takes a share, a number of calls and a duration, e.g. `breaker 50% 20 10s`"
	var share, calls, open string
	if !p.AllArgs(&share, &calls, &open) {
		return p.Err(usage)
	}
	number, isPercent := strings.CutSuffix(share, "%")
	percent, err := strconv.ParseFloat(number, 64)
	if err != nil || !isPercent {
		return p.Err(usage)
	}
	b := &Breaker{Share: percent / 100}
	if b.Calls, err = strconv.Atoi(calls); err != nil {
		return p.Err(usage)
	}
	d, err := caddy.ParseDuration(open)
	if err != nil {
		return p.Err(usage)
	}
	b.Open = caddy.Duration(d)
	if err := b.check(); err != nil {
		return p.WrapErr(err)
	}
	p.api.Breaker = b
	return nil
}
