// Package issuer is the HTTP handler `token_issuer`: the two token endpoints of
// the protocol in docs/protocol.md, for those who call us.
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
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/switchboard-ivr/switchboard/internal/call"
	provider "github.com/switchboard-ivr/switchboard/module/issuer"
)

func init() {
	caddy.RegisterModule(TokenIssuer{})
}

// TokenIssuer answers the token requests of an issuer's clients. The last
// segment of the path tells which: `obtain` signs in, `refresh` renews; any
// other is a 404. Both take GET and POST, with the parameters in the query, in
// a form or in a JSON object.
//
// A grant is a 200 with
//
//	{"code":"000000","data":{"access_token":"…","refresh_token":"…","expires_in":7200}}
//
// and every refusal the issuer's `errors` status with
//
//	{"code":"401000","msg":"unauthorized","data":null}
//
// A request that nobody can read is a 400 to 415, and a storage that fails a
// 503; their codes begin with the status, too.
type TokenIssuer struct {
	// The name of the issuer in the app `switchboard`.
	Issuer string `json:"issuer,omitempty"`

	issuer grantor
}

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
	if t.Issuer == "" {
		return errors.New("the issuer's name is missing; write `token_issuer NAME`")
	}
	found, err := provider.Find(ctx, t.Issuer)
	if err != nil {
		return err
	}
	t.issuer = found
	return nil
}

// bodyTime is how long a body may take to arrive.
const bodyTime = 10 * time.Second

// limits are far beyond any honest token request.
var limits = call.Limits{Query: 8 << 10, Body: 8 << 10, Params: 64, Depth: 8}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (t *TokenIssuer) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	var grant func(context.Context, map[string]any) (*provider.Pair, error)
	switch path.Base(r.URL.Path) {
	case "obtain":
		grant = t.issuer.Obtain
	case "refresh":
		grant = t.issuer.Refresh
	default:
		return fail(w, http.StatusNotFound, http.StatusNotFound, "the path ends in neither obtain nor refresh")
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

func (t *TokenIssuer) answer(
	w http.ResponseWriter, r *http.Request,
	grant func(context.Context, map[string]any) (*provider.Pair, error), params map[string]any,
) error {
	pair, err := grant(r.Context(), params)
	switch {
	case err == nil:
		return write(w, http.StatusOK, envelope{Code: "000000", Data: &tokens{
			AccessToken:  pair.AccessToken,
			RefreshToken: pair.RefreshToken,
			ExpiresIn:    pair.ExpiresIn,
		}})
	case errors.Is(err, provider.ErrRefused):
		return fail(w, t.issuer.RefusalStatus(), http.StatusUnauthorized, "unauthorized")
	case errors.Is(err, provider.ErrUnavailable):
		w.Header().Set("Retry-After", "1")
		return fail(w, http.StatusServiceUnavailable, http.StatusServiceUnavailable, "unavailable")
	default:
		return caddyhttp.Error(499, err) // the client is gone; as Caddy's reverse_proxy logs it
	}
}

// envelope is the protocol's answer, tokens its data.
type envelope struct {
	Code string  `json:"code"`
	Msg  string  `json:"msg,omitempty"`
	Data *tokens `json:"data"`
}

type tokens struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int64  `json:"expires_in"`
}

// fail writes an answer without tokens, whose code is the kind of failure in
// three digits and three zeros.
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
		h.Set("Www-Authenticate", "Signature") // RFC 9110, section 15.5.2, wants one
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // who is gone can't be told
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*TokenIssuer)(nil)
	_ caddyhttp.MiddlewareHandler = (*TokenIssuer)(nil)
)
