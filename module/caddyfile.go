package switchboard

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/dustin/go-humanize"

	"github.com/switchboard-ivr/switchboard/internal/cache"
	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/phone"
	"github.com/switchboard-ivr/switchboard/module/blocks"
	"github.com/switchboard-ivr/switchboard/module/issuer"
	"github.com/switchboard-ivr/switchboard/module/program"
	"github.com/switchboard-ivr/switchboard/module/token"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("switchboard", parseApp)
}

func parseApp(d *caddyfile.Dispenser, existing any) (any, error) {
	if existing != nil {
		return nil, d.Err("switchboard is already set; use one block")
	}
	app := new(App)
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "switchboard", Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile sets up the app from the global option:
//
//	switchboard {
//		token <name> {
//			…
//		}
//		issuer <name> {
//			…
//		}
//		customers <store> …
//		region <country> [<area code>]
//		cache_size <size>
//		phone_system <name> {
//			…
//		}
//		define <jq>
//	}
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume option name
	if d.NextArg() {
		return d.ArgErr()
	}
	if err := a.findDefine(*d); err != nil {
		return err
	}
	program.SetDefine(d, a.Define)
	return blocks.New(d, "switchboard").Read(blocks.Lines{
		"token":        named(d, &a.Tokens, token.ParseSource),
		"issuer":       named(d, &a.Issuers, issuer.Parse),
		"phone_system": named(d, &a.PhoneSystems, ParsePhoneSystem),
		"customers":    func() error { return a.parseCustomers(d) },
		"region":       func() error { return a.parseRegion(d) },
		"cache_size":   func() error { return a.parseCacheSize(d) },
		"define":       func() error { d.RemainingArgs(); return nil }, // findDefine has read it
	}, "token", "issuer", "phone_system")
}

// named returns a function that parses a block with a name, and adds it to all.
func named[T any](d *caddyfile.Dispenser, all *map[string]*T, parse func(*caddyfile.Dispenser) (string, *T, error)) func() error {
	return func() error {
		word := d.Val()
		name, made, err := parse(d)
		if err != nil {
			return err
		}
		if _, ok := (*all)[name]; ok {
			return d.Errf("%s %s is already defined; names must be unique", word, name)
		}
		if *all == nil {
			*all = make(map[string]*T)
		}
		(*all)[name] = made
		return nil
	}
}

// parseCustomers reads the name of the store, and leaves the rest to the store's
// module.
func (a *App) parseCustomers(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	const namespace = "switchboard.customers"
	name := d.Val()
	var known []string
	for _, info := range caddy.GetModules(namespace) {
		known = append(known, info.ID.Name())
	}
	if !slices.Contains(known, name) {
		return d.Errf("'%s' is not a valid customer store; the stores are: %s", name, strings.Join(known, ", "))
	}
	info, err := caddy.GetModule(namespace + "." + name)
	if err != nil {
		return d.Err(err.Error())
	}
	store, ok := info.New().(caddyfile.Unmarshaler)
	if !ok {
		return d.Errf("customers %s can't be written in a Caddyfile", name)
	}
	lines := d.NewFromNextSegment()
	program.SetDefine(lines, program.Define(d)) // a new dispenser doesn't have it
	if err := store.UnmarshalCaddyfile(lines); err != nil {
		return err
	}
	a.CustomersRaw = caddyconfig.JSONModuleObject(store, "store", name, nil)
	return nil
}

func (a *App) parseRegion(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.ArgErr()
	}
	region, err := phone.ParseRegion(args[0], strings.Join(args[1:], ""))
	if err != nil {
		return d.WrapErr(err)
	}
	a.Region, a.AreaCode = region.Country, region.AreaCode
	return nil
}

func (a *App) parseCacheSize(d *caddyfile.Dispenser) error {
	var raw string
	if !d.AllArgs(&raw) {
		return d.ArgErr()
	}
	n, err := humanize.ParseBytes(raw)
	if err != nil || n < cache.MinSize || n > 1<<40 {
		return d.Errf("%q is not a valid size; it must be at least 1MiB, e.g. 64MiB", raw)
	}
	a.CacheSize = int64(n)
	return nil
}

// findDefine reads the definitions first, because they also apply to programs
// above them. It has a dispenser of its own to read ahead with.
func (a *App) findDefine(d caddyfile.Dispenser) error {
	for line := 0; d.NextBlock(0); {
		first := d.Line() != line
		line = d.Line()
		if !first || d.Nesting() != 1 || d.Val() != "define" {
			continue
		}
		if a.Define != "" {
			return d.Err("define is already set; use one for all definitions")
		}
		var raw string
		if !d.AllArgs(&raw) {
			return d.ArgErr()
		}
		text, err := program.Arg(&d, raw)
		if err != nil {
			return err
		}
		if _, err := jq.Compile(".", jq.Spec{Define: text}); err != nil {
			return d.Errf("define: %v", err)
		}
		a.Define = text
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*App)(nil)
