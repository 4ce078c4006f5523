package endpoint

import "github.com/caddyserver/caddy/v2"

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
	if err := p.Duration(&c.Fresh); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for nesting := p.Nesting(); p.NextBlock(nesting); {
		name := p.Val()
		if seen[name] {
			return p.Errf("%s is already written in cache", name)
		}
		seen[name] = true
		var err error
		switch name {
		case "stale":
			err = p.stale(c)
		case "not_found":
			err = p.Duration(&c.NotFound)
		case "key":
			err = p.Program(&c.Key)
		case "scope":
			err = p.Text(&c.Scope)
		default:
			err = p.Errf("unrecognized subdirective '%s' of cache; known are stale, not_found, key and scope", name)
		}
		if err != nil {
			return err
		}
	}
	*into = c
	return nil
}

func (p *Parser) stale(c *Cache) error {
	var while, failing string
	if !p.AllArgs(&while, &failing) {
		return p.Err("stale takes two durations: how much longer an answer is served while it is renewed, and how much longer when the API fails; for example `stale 1m 24h`")
	}
	for _, it := range []struct {
		raw  string
		into *caddy.Duration
	}{{while, &c.StaleWhileRevalidate}, {failing, &c.StaleIfError}} {
		d, err := caddy.ParseDuration(it.raw)
		if err != nil || d < 0 {
			return p.Errf("%q is not a duration; write for example 1m, or 0s for none", it.raw)
		}
		*it.into = caddy.Duration(d)
	}
	return nil
}
