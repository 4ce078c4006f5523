package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/internal/jqhttp"
	"github.com/switchboard-ivr/switchboard/module/token/source"
)

// target is the parsed `to`.
type target struct {
	scheme string
	host   string // as in the Host header: without the scheme's default port
	dial   string // host:port
	path   string // decoded
	raw    string // as written, with its escapes
	keep   string // name of the base URL kept with the token, instead of a host

	sidecar bool // without a path: the whole request is forwarded
	none    bool // without `to`: the API only puts parts together
}

// parseTarget returns the parsed `to`, which an API with parts can do without.
func (a *API) parseTarget() (*target, error) {
	if a.To == "" && len(a.With) > 0 {
		return &target{none: true}, nil
	}
	return parseTarget(a.To)
}

// parseTarget reads `to`. Placeholders in it are resolved first.
func parseTarget(to string) (*target, error) {
	if to == "" {
		return nil, errors.New("`to` is missing; write the API's URL, e.g. `to https://crm.example.com/order/query`")
	}
	if rest, ok := strings.CutPrefix(to, "{token."); ok {
		return parseTokenTarget(to, rest)
	}
	resolved, err := caddy.NewReplacer().ReplaceOrErr(to, true, true)
	if err != nil {
		return nil, fmt.Errorf("to: %w", err)
	}
	u, err := url.Parse(resolved)
	if err != nil {
		return nil, fmt.Errorf("to: %q is not a valid URL; it must begin with http:// or https:// and a host", to)
	}
	t, err := targetOf(u)
	if err != nil {
		return nil, fmt.Errorf("to: %w", err)
	}
	return t, nil
}

// parseTokenTarget parses a `to` whose base URL is kept with the token:
// `{token.NAME}/…`.
func parseTokenTarget(to, rest string) (*target, error) {
	name, tail, ok := strings.Cut(rest, "}")
	if !ok || name == "" {
		return nil, fmt.Errorf("to: %q: write `{token.NAME}` and a path, with NAME a key of the token source's keep", to)
	}
	u, err := url.Parse(tail)
	if err != nil || (tail != "" && !strings.HasPrefix(tail, "/")) {
		return nil, fmt.Errorf("to: %q: what follows `{token.%s}` must be a path that begins with /", to, name)
	}
	if u.RawQuery != "" || u.Fragment != "" || u.ForceQuery {
		return nil, errQuery
	}
	if err := checkPath(u); err != nil {
		return nil, fmt.Errorf("to: %w", err)
	}
	return &target{scheme: "https", keep: name, path: u.Path, raw: u.EscapedPath()}, nil
}

var errQuery = errors.New("a query in `to` is refused; write its parameters with `query`, e.g. `query `{v: \"2\"}``")

func targetOf(u *url.URL) (*target, error) {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("the URL needs a scheme that is http or https; write http:// or https:// and the host")
	case u.Host == "" || u.Hostname() == "":
		return nil, errors.New("the URL has no host")
	case u.User != nil:
		return nil, errors.New("a user or password in the URL is refused; write it as a credential of a token source")
	case u.RawQuery != "" || u.ForceQuery:
		return nil, errQuery
	case u.Fragment != "":
		return nil, errors.New("a fragment in the URL is refused")
	}
	if err := checkPath(u); err != nil {
		return nil, err
	}
	port := u.Port()
	if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) {
		return nil, fmt.Errorf("port %s does not exist; ports are 1 to 65535", port)
	}
	standard := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	t := &target{scheme: u.Scheme, host: u.Host, path: u.Path, raw: u.EscapedPath()}
	if port == "" || port == standard {
		port = standard
		t.host = u.Hostname()
		if strings.Contains(t.host, ":") {
			t.host = "[" + t.host + "]"
		}
	}
	t.dial = net.JoinHostPort(u.Hostname(), port)
	t.sidecar = t.raw == ""
	return t, nil
}

// checkPath refuses a path that leads to another one, or can't be one.
func checkPath(u *url.URL) error {
	switch {
	case strings.ContainsRune(u.Path, 0):
		return errors.New("the path has a NUL character (%00); remove it")
	case jqhttp.Climbs(u.EscapedPath()):
		return errors.New(`the path has "." or ".." as a segment of its own; write the path that is meant`)
	}
	return nil
}

// fromToken resolves the base URL that is kept with a token. Its host must be one
// that the token source allows.
func (t *target) fromToken(keep map[string]any, hosts []string) (*target, error) {
	u, err := source.KeptURL(keep[t.keep], hosts)
	if err != nil {
		return nil, fmt.Errorf("the token's %s is %w", t.keep, err)
	}
	found, err := targetOf(u)
	if err != nil {
		return nil, fmt.Errorf("the token's %s: %w", t.keep, err)
	}
	found.raw = strings.TrimSuffix(found.raw, "/") + t.raw
	found.path = strings.TrimSuffix(found.path, "/") + t.path
	found.sidecar = false // even if there is no path: the programs make the request
	return found, nil
}

// join appends segments to the target's path, each encoded.
func (t *target) join(segments []any) (decoded, raw string, err error) {
	decoded, raw, err = jqhttp.Segments(segments)
	return strings.TrimSuffix(t.path, "/") + decoded, strings.TrimSuffix(t.raw, "/") + raw, err
}

// proxy configures the reverse_proxy handler that calls the API. An already
// configured handler keeps everything but its transport, which becomes ours:
// Caddy's http transport with the token injected below it.
func (a *API) proxy(configured json.RawMessage) (json.RawMessage, error) {
	to := a.target
	handler := make(map[string]any)
	if configured != nil {
		if err := json.Unmarshal(configured, &handler); err != nil {
			return nil, err
		}
	}
	handler["handler"] = "reverse_proxy"
	if _, ok := handler["upstreams"]; !ok && handler["dynamic_upstreams"] == nil {
		dial := to.dial
		if to.keep != "" {
			dial = "{http.api.upstream}"
		}
		handler["upstreams"] = []any{map[string]any{"dial": dial}}
	}
	transport, _ := handler["transport"].(map[string]any)
	if transport == nil {
		transport = make(map[string]any)
	}
	if protocol := transport["protocol"]; protocol != nil && protocol != "http" && protocol != "switchboard" {
		return nil, fmt.Errorf("transport %v can't carry a token; write `transport http { … }`", protocol)
	}
	transport["protocol"] = "switchboard"
	transport["keep_host"] = true
	if a.Token != "" {
		transport["token"] = a.Token
	}
	if a.TokenExpired != nil {
		transport["token_expired"] = a.TokenExpired
	}
	if a.MaxSize != 0 {
		transport["max_size"] = a.MaxSize
	}
	if a.MaxHeader != 0 {
		transport["max_response_header_size"] = a.MaxHeader
	}
	if to.scheme == "https" && transport["tls"] == nil {
		transport["tls"] = map[string]any{}
	}
	handler["transport"] = transport
	return json.Marshal(handler)
}

// injects reports whether some reverse_proxy of the chain, at any depth, has the
// transport that injects the API's token.
func (a *API) injects() bool {
	for _, raw := range a.HandleRaw {
		var handler any
		if json.Unmarshal(raw, &handler) == nil && hasTransport(handler, a.Token) {
			return true
		}
	}
	return false
}

func hasTransport(v any, name string) bool {
	switch v := v.(type) {
	case map[string]any:
		if v["protocol"] == "switchboard" && v["token"] == name {
			return true
		}
		for _, child := range v {
			if hasTransport(child, name) {
				return true
			}
		}
	case []any:
		for _, child := range v {
			if hasTransport(child, name) {
				return true
			}
		}
	}
	return false
}
