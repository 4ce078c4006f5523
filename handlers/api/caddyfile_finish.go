package api

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// What is done when an `api` block has been read.

// finish checks what can be checked before Provision, so that the message
// tells the line, and fills in the handler that makes the call.
func (p *parser) finish() error {
	a := p.api
	var err error
	if a.target, err = parseTarget(a.To); err != nil {
		return p.At("to", err)
	}
	names, define, err := p.shared()
	if err != nil {
		return p.At("token", err)
	}
	if err := p.Check(&a.Settings); err != nil {
		return err
	}
	if a.Cache != nil && a.target.sidecar() {
		return p.At("cache", errCacheSidecar)
	}
	if _, err := a.compile(names, define); err != nil {
		subdirective, _, _ := strings.Cut(err.Error(), ":")
		return p.At(subdirective, err)
	}
	if a.Default != "" {
		contract, err := a.runDefault(context.Background())
		if err == nil {
			err = p.Fits(&a.Settings, contract, defaultStatusField)
		}
		if err != nil {
			return p.At("default", err)
		}
	}
	var configured json.RawMessage
	if p.proxy != nil {
		if configured, err = p.reverseProxy(); err != nil {
			return err
		}
	}
	proxy, err := a.proxy(configured)
	if err != nil {
		return p.At("reverse_proxy", err)
	}
	a.HandleRaw = []json.RawMessage{proxy}
	return nil
}

// shared finds what the global option `switchboard` holds for this API: the
// names of the token source's credentials, and the definitions.
func (p *parser) shared() (names []string, define string, err error) {
	app, err := p.App()
	if err != nil {
		return nil, "", err
	}
	if p.api.Token == "" {
		return nil, app.Define, nil
	}
	source, ok := app.Tokens[p.api.Token]
	if !ok {
		return nil, "", fmt.Errorf("token %s is not defined; add `token %s { … }` to `switchboard` in the global options", p.api.Token, p.api.Token)
	}
	return source.CredentialNames(app.Define), app.Define, nil
}

// reverseProxy parses the nested block as Caddy does, with `to` as its upstream.
func (p *parser) reverseProxy() (json.RawMessage, error) {
	upstream := p.proxy[0]
	upstream.Text = p.api.target.scheme + "://" + p.api.target.dial
	segment := append(caddyfile.Segment{p.proxy[0], upstream}, p.proxy[1:]...)
	if p.api.target.keep != "" {
		segment = p.proxy
	}
	d := caddyfile.NewDispenser(segment)
	handler := new(reverseproxy.Handler)
	if err := handler.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	if err := handler.FinalizeUnmarshalCaddyfile(p.WithDispenser(d)); err != nil {
		return nil, err
	}
	return json.Marshal(handler)
}

// unique refuses a second API of the same name with other settings.
func (p *parser) unique(head caddyfile.Token) error {
	text, err := json.Marshal(p.api)
	if err != nil {
		return err
	}
	const key = "switchboard.apis"
	seen, _ := p.State[key].(map[string]string)
	if seen == nil {
		seen = make(map[string]string)
		p.State[key] = seen
	}
	if was, ok := seen[p.api.Name]; ok && was != string(text) {
		return fmt.Errorf("api %s is defined twice with different settings; give the second one a name of its own, at %s:%d", p.api.Name, head.File, head.Line)
	}
	seen[p.api.Name] = string(text)
	return nil
}
