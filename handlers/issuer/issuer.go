// Package issuer is the HTTP handler `token_issuer`: the two token endpoints of
// docs/protocol.md, for clients that call us.
package issuer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/switchboard-ivr/switchboard/internal/call"
	provider "github.com/switchboard-ivr/switchboard/module/issuer"
)

func init() {
	caddy.RegisterModule(TokenIssuer{})
}

// TokenIssuer answers the token requests of an issuer's clients. The last segment
// of the path is the endpoint: `obtain` signs in, `refresh` renews; any other is
// a 404. Both take GET and POST, with the parameters in the query, in a form or
// in a JSON object.
//
// A granted request is a 200 with
//
//	{"code":"000000","data":{"access_token":"…","refresh_token":"…","expires_in":7200}}
//
// and a refused one has the issuer's `errors` status, with
//
//	{"code":"401000","msg":"unauthorized","data":null}
//
// An unreadable request is a 400 to 415, and a failing storage a 503; their codes
// begin with the status, too.
type TokenIssuer struct {
	// The name of the issuer in the app `switchboard`.
	Issuer string `json:"issuer,omitempty"`

	issuer grantor
}

// granting asks an issuer for a pair of tokens.
type granting func(ctx context.Context, params map[string]any) (*provider.Pair, error)

// grantor is what the handler needs of an issuer.
type grantor interface {
	Obtain(ctx context.Context, params map[string]any) (*provider.Pair, error)
	Refresh(ctx context.Context, params map[string]any) (*provider.Pair, error)
	RefusalStatus() int
}

// CaddyModule returns the Caddy module information.
func (TokenIssuer) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.token_issuer",
		New: func() caddy.Module { return new(TokenIssuer) },
	}
}

// Provision finds the issuer.
func (t *TokenIssuer) Provision(ctx caddy.Context) error {
	var err error
	t.issuer, err = provider.Find(ctx, t.Issuer)
	return err
}

// bodyTime is how long a body may take to arrive.
const bodyTime = 10 * time.Second

// limits are far beyond any legitimate token request.
var limits = call.Limits{Query: 8 << 10, Body: 8 << 10, Params: 64, Depth: 8}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (t *TokenIssuer) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	var grant granting
	switch path.Base(r.URL.Path) {
	case "obtain":
		grant = t.issuer.Obtain
	case "refresh":
		grant = t.issuer.Refresh
	default:
		return fail(w, http.StatusNotFound, http.StatusNotFound, "the path must end in obtain or refresh")
	}
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST")
		return fail(w, http.StatusMethodNotAllowed, http.StatusMethodNotAllowed, "use GET or POST")
	}
	params, err := read(w, r)
	if bad, ok := errors.AsType[*call.InputError](err); ok {
		return fail(w, bad.Status, bad.Status, bad.Message)
	}
	if err != nil {
		return err
	}
	return t.answer(w, r, grant, params)
}

func read(w http.ResponseWriter, r *http.Request) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(r.Context(), bodyTime)
	defer cancel()
	defer call.AbortReads(ctx, w)()
	input, err := call.ReadInput(r.WithContext(ctx), limits)
	if err != nil {
		return nil, err
	}
	return input.Params, nil
}

func (t *TokenIssuer) answer(w http.ResponseWriter, r *http.Request, grant granting, params map[string]any) error {
	pair, err := grant(r.Context(), params)
	switch {
	case err == nil:
		return write(w, http.StatusOK, envelope{Code: "000000", Data: pair})
	case errors.Is(err, provider.ErrRefused):
		return fail(w, t.issuer.RefusalStatus(), http.StatusUnauthorized, "unauthorized")
	case errors.Is(err, provider.ErrUnavailable):
		w.Header().Set("Retry-After", "1")
		return fail(w, http.StatusServiceUnavailable, http.StatusServiceUnavailable, "unavailable")
	default:
		return caddyhttp.Error(499, err) // the client has disconnected: the status that Caddy's reverse_proxy logs
	}
}

// envelope is the protocol's response.
type envelope struct {
	Code string         `json:"code"`
	Msg  string         `json:"msg,omitempty"`
	Data *provider.Pair `json:"data"`
}

// fail writes a response without tokens. Its code is kind, which has three
// digits, followed by three zeros.
func fail(w http.ResponseWriter, status, kind int, msg string) error {
	return write(w, status, envelope{Code: strconv.Itoa(kind * 1000), Msg: msg})
}

func write(w http.ResponseWriter, status int, e envelope) error {
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if status == http.StatusUnauthorized {
		h.Set("Www-Authenticate", "Signature") // required by RFC 9110, section 15.5.2
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have disconnected
	return nil
}

// ParseDirective sets up the directive:
//
//	token_issuer [<matcher>] <issuer>
func ParseDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // consume directive name
	matchers, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, err
	}
	t := new(TokenIssuer)
	if err := t.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return h.NewRoute(matchers, t), nil
}

// UnmarshalCaddyfile sets up the handler; see ParseDirective for the syntax.
func (t *TokenIssuer) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	if !d.AllArgs(&t.Issuer) || t.Issuer == "" {
		return d.Err("token_issuer takes the name of an issuer: token_issuer [MATCHER] NAME")
	}
	if d.NextBlock(0) {
		return d.Err("token_issuer takes no block; the issuer is set up in the global option switchboard")
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*TokenIssuer)(nil)
	_ caddyhttp.MiddlewareHandler = (*TokenIssuer)(nil)
	_ caddyfile.Unmarshaler       = (*TokenIssuer)(nil)
)
