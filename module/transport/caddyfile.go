package transport

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/dustin/go-humanize"

	"github.com/switchboard-ivr/switchboard/module/program"
	"github.com/switchboard-ivr/switchboard/module/token/source"
)

// UnmarshalCaddyfile sets up the transport. Besides its own subdirectives it
// takes all of Caddy's `http` transport:
//
//	transport switchboard {
//		token         <name>
//		token_expired [<status...>] [<jq>]
//		max_size      <size>
//		keep_host
//		...
//	}
func (t *Transport) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if t.HTTPTransport == nil {
		t.HTTPTransport = new(reverseproxy.HTTPTransport)
	}
	d.Next() // consume transport name
	name := d.Token()
	if d.NextArg() {
		return d.ArgErr()
	}
	rest := []caddyfile.Token{name, brace(name, "{")}
	seen := make(map[string]bool)
	for d.NextBlock(0) {
		word := d.Val()
		parse, ours := map[string]func(*caddyfile.Dispenser) error{
			"token":         t.unmarshalToken,
			"token_expired": t.unmarshalExpired,
			"max_size":      t.unmarshalMaxSize,
			"keep_host":     t.unmarshalKeepHost,
		}[word]
		if !ours {
			rest = append(rest, d.NextSegment()...)
			continue
		}
		if seen[word] {
			return d.Errf("%s is already written", word)
		}
		seen[word] = true
		if err := parse(d); err != nil {
			return err
		}
	}
	if t.Token == "" {
		return d.Errf("transport switchboard needs a token source; write `token NAME`")
	}
	rest = append(rest, brace(d.Token(), "}"))
	return t.HTTPTransport.UnmarshalCaddyfile(caddyfile.NewDispenser(rest))
}

// brace makes a token of its own, in the place of another.
func brace(at caddyfile.Token, text string) caddyfile.Token {
	at.Text = text
	return at
}

func (t *Transport) unmarshalToken(d *caddyfile.Dispenser) error {
	if !d.AllArgs(&t.Token) {
		return d.ArgErr()
	}
	return nil
}

func (t *Transport) unmarshalKeepHost(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	t.KeepHost = true
	return nil
}

func (t *Transport) unmarshalMaxSize(d *caddyfile.Dispenser) error {
	var raw string
	if !d.AllArgs(&raw) {
		return d.ArgErr()
	}
	size, err := humanize.ParseBytes(raw)
	if err != nil || size == 0 || size > maxMaxSize {
		return d.Errf("max_size: %q is no size that makes sense here; write it like 512KiB or 1MiB, up to 64MiB", raw)
	}
	t.MaxSize = int64(size)
	return nil
}

func (t *Transport) unmarshalExpired(d *caddyfile.Dispenser) error {
	rule, err := source.ParseExpired(d)
	if err != nil {
		return err
	}
	// Provision compiles it again; here, an error names the line
	if _, err := compile(rule, program.Define(d)); err != nil {
		return d.WrapErr(err)
	}
	t.TokenExpired = rule
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Transport)(nil)
