// Package console is the HTTP handler `api_console`: a web page for those who
// operate APIs.
package console

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	switchboard "github.com/switchboard-ivr/switchboard/module"
)

func init() {
	caddy.RegisterModule(Console{})
}

// Console serves a web page that shows the APIs, tokens, cache and customers of
// its configuration. An operator can hold an API, renew a token, purge the cache
// and find a customer. The console may be at any path: all its URLs are relative,
// and a path without a trailing slash is redirected to one with it.
//
// The page is part of the binary and makes requests to this handler only. A
// request that changes something must be a POST with the header
// `X-Switchboard-Console` from the page's own origin; any other is a 403.
type Console struct {
	// Who may use the console. Required. With `key`, the page asks for the key,
	// and then has a session cookie for 12 hours. With `user`, an earlier handler
	// such as `basic_auth` authenticates people.
	Auth *endpoint.Auth `json:"auth,omitempty"`

	operator switchboard.Operator
	gate     *endpoint.Gate
	sessions *sessions
	logger   *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (Console) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.api_console",
		New: func() caddy.Module { return new(Console) },
	}
}

// Provision finds the app and resolves the keys. It opens nothing.
func (c *Console) Provision(ctx caddy.Context) error {
	if err := c.provision(ctx); err != nil {
		return fmt.Errorf("api_console: %w", err)
	}
	return nil
}

func (c *Console) provision(ctx caddy.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	loaded, err := ctx.App("switchboard")
	if err != nil {
		return err
	}
	app := loaded.(*switchboard.App)
	if c.gate, err = c.Auth.Gate(app); err != nil {
		return err
	}
	c.operator, c.logger = app.Operator(), ctx.Logger()
	c.sessions = newSessions(c.gate)
	c.Auth.Warn(c.logger, "api_console")
	return nil
}

// check refuses a console that is open by accident.
func (c *Console) check() error {
	if c.Auth == nil {
		return errors.New("auth is missing: the console shows customers and can stop APIs; write `auth user` after a `basic_auth`, `auth key {env.KEY}`, `auth issuer NAME`, or `auth none` if everybody may use it")
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	protect(w.Header())
	dir, name := path.Split(r.URL.Path)
	data := strings.HasSuffix(dir, "/data/") && name != "" && !strings.Contains(name, ".")
	if data && name == "signin" && c.sessions != nil {
		return c.signIn(w, r)
	}
	who, ok := c.sessions.of(r)
	if !ok {
		who, ok = c.gate.Admits(r, r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer))
	}
	switch {
	case !ok:
		return c.refuse(w, r, name, data)
	case data:
		return c.data(w, r, name, who)
	default:
		return c.page(w, r, name)
	}
}

// refuse answers a request that may not use the console. A browser without a key
// gets the sign-in form.
func (c *Console) refuse(w http.ResponseWriter, r *http.Request, name string, data bool) error {
	if challenge := c.gate.Challenge(); challenge != "" {
		w.Header().Set("Www-Authenticate", challenge)
	}
	if c.sessions != nil && !data && reads(r) {
		if _, open := openFiles[name]; open {
			return c.page(w, r, name)
		}
		if name == "" || name == "index.html" {
			if redirectStripped(w, r) {
				return nil
			}
			return write(w, r, http.StatusUnauthorized, "signin.html")
		}
		if redirectToSlash(w, r, name) {
			return nil
		}
	}
	return fail(w, http.StatusUnauthorized, "you may not use the console")
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Console)(nil)
	_ caddyhttp.MiddlewareHandler = (*Console)(nil)
)
