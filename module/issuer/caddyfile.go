package issuer

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// Parse reads one `issuer` block. The current token of d is the word `issuer`;
// afterwards it is the end of the block:
//
//	issuer <name> {
//		client   <key> <secret>
//		lifetime <duration>
//		accept   header <name> [<template>] | query <name>
//		errors   401|200
//	}
//
// `client` may stand several times, for several clients, and twice for one.
func Parse(d *caddyfile.Dispenser) (name string, i *Issuer, err error) {
	if !d.NextArg() {
		return "", nil, d.Err("an issuer needs a name: issuer NAME { … }")
	}
	name = d.Val()
	if err := token.CheckName("an issuer", name); err != nil {
		return "", nil, d.WrapErr(err)
	}
	if d.NextArg() {
		return "", nil, d.ArgErr()
	}
	here := caddyfile.NewDispenser([]caddyfile.Token{d.Token()})
	here.Next()
	i = new(Issuer)
	if err := i.parseBlock(d); err != nil {
		return "", nil, err
	}
	if len(i.Clients) == 0 {
		return "", nil, here.Errf("issuer %s has no client; write `client KEY SECRET`", name)
	}
	return name, i, nil
}

func (i *Issuer) parseBlock(d *caddyfile.Dispenser) error {
	lines := make(map[string]int)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		word := d.Val()
		if line, ok := lines[word]; ok && word != "client" {
			return d.Errf("%s is already set in line %d", word, line)
		}
		lines[word] = d.Line()
		if err := i.subdirective(d, word); err != nil {
			return err
		}
		if d.NextArg() {
			return d.ArgErr()
		}
		if nesting := d.Nesting(); d.NextBlock(nesting) {
			return d.Errf("%s takes no block", word)
		}
	}
	return nil
}

func (i *Issuer) subdirective(d *caddyfile.Dispenser, word string) error {
	switch word {
	case "client":
		var c Client
		if !d.AllArgs(&c.Key, &c.Secret) {
			return d.Err("client takes a key and a secret: client {env.KEY} {env.SECRET}")
		}
		i.Clients = append(i.Clients, c)
	case "lifetime":
		if !d.NextArg() {
			return d.ArgErr()
		}
		duration, err := caddy.ParseDuration(d.Val())
		if err != nil || duration == 0 || checkLifetime(duration) != nil {
			return d.Errf("lifetime %s: use 30s to 400d", d.Val())
		}
		i.Lifetime = caddy.Duration(duration)
	case "accept":
		a, err := parseAccept(d.RemainingArgs())
		if err != nil {
			return d.Errf("accept: %v", err)
		}
		i.Accept = a
	case "errors":
		if !d.NextArg() {
			return d.ArgErr()
		}
		status, err := strconv.Atoi(d.Val())
		if err != nil || status != http.StatusOK && status != http.StatusUnauthorized {
			return d.Errf("errors %s: use 401 or 200", d.Val())
		}
		i.Errors = status
	default:
		return d.Errf("unrecognized subdirective '%s' of issuer; known are client, lifetime, accept and errors", word)
	}
	return nil
}

func parseAccept(args []string) (*Accept, error) {
	a := new(Accept)
	fields := []*string{&a.In, &a.Name, &a.Template}
	if len(args) == 0 || len(args) > len(fields) {
		return nil, errors.New("write `header NAME [TEMPLATE]` or `query NAME`")
	}
	for n, arg := range args {
		*fields[n] = arg
	}
	_, err := newFinder(a)
	return a, err
}
