package issuer

import (
	"errors"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/switchboard-ivr/switchboard/module/blocks"
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
	i = new(Issuer)
	var status string
	r := blocks.New(d, "issuer "+name)
	if err := r.Read(blocks.Lines{
		"client":   func() error { return i.parseClient(d) },
		"lifetime": r.Duration(&i.Lifetime),
		"accept":   func() error { return i.parseAccept(d) },
		"errors":   r.Word(&status, "401", "200"),
	}, "client"); err != nil {
		return "", nil, err
	}
	if len(i.Clients) == 0 {
		return "", nil, r.At("", errors.New("there is no client; write `client KEY SECRET`"))
	}
	if err := checkLifetime(time.Duration(i.Lifetime)); err != nil {
		return "", nil, r.At("lifetime", err)
	}
	i.Errors, _ = strconv.Atoi(status) // 0 without one
	return name, i, nil
}

func (i *Issuer) parseClient(d *caddyfile.Dispenser) error {
	var c Client
	if !d.AllArgs(&c.Key, &c.Secret) {
		return d.Err("client takes a key and a secret: client {env.KEY} {env.SECRET}")
	}
	i.Clients = append(i.Clients, c)
	return nil
}

func (i *Issuer) parseAccept(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 3 {
		return d.Err("accept: write `header NAME [TEMPLATE]` or `query NAME`")
	}
	args = append(args, "", "")
	i.Accept = &Accept{In: args[0], Name: args[1], Template: args[2]}
	if _, err := newFinder(i.Accept); err != nil {
		return d.Errf("accept: %v", err)
	}
	return nil
}
