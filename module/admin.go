package switchboard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/caddyserver/caddy/v2"
)

func init() {
	caddy.RegisterModule(Admin{})
}

// Admin is Switchboard's part of Caddy's admin API, below /switchboard/:
//
//   - `GET /switchboard/customers`: `{"count":…,"store":"…"}`
//   - `GET /switchboard/apis`, `GET /switchboard/apis/NAME`: how APIs stand
//   - `POST /switchboard/apis/NAME/hold` and `…/release`: stops calls of an API,
//     and resumes them
//   - `GET /switchboard/apis/NAME/hour`: how its calls ended in the last hour
//   - `GET /switchboard/tokens`, `GET /switchboard/tokens/NAME`: how tokens do, never a
//     token; `POST /switchboard/tokens/NAME/renew` renews one
//   - `POST /switchboard/apis/NAME/test`: a call as in production, with its steps; it is
//     no traffic
//   - `GET /switchboard/apis/NAME/failures`: the last calls without an answer of
//     the API's own; with `?call_id=` those of one phone call
//   - `GET /switchboard/cache`: its size and how it does
//   - `POST /switchboard/cache/purge`: drops all answers; with `{"api":"NAME"}`
//     those of an API, with `"params":{…}` beside it those to one question
//   - `GET`, `PUT` and `DELETE /switchboard/customers/ID`: one customer, as the
//     flat object of names on the wire
type Admin struct{}

// CaddyModule returns the Caddy module information.
func (Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.switchboard",
		New: func() caddy.Module { return new(Admin) },
	}
}

// Routes returns the routes of Switchboard's admin API.
func (Admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "/switchboard/apis", Handler: route(methods{http.MethodGet: (*App).listAPIs})},
		{Pattern: "/switchboard/apis/{name}", Handler: route(methods{http.MethodGet: (*App).getAPI})},
		{Pattern: "/switchboard/apis/{name}/hold", Handler: route(methods{http.MethodPost: (*App).holdAPI})},
		{Pattern: "/switchboard/apis/{name}/release", Handler: route(methods{http.MethodPost: (*App).releaseAPI})},
		{Pattern: "/switchboard/apis/{name}/hour", Handler: route(methods{http.MethodGet: (*App).hourOfAPI})},
		{Pattern: "/switchboard/tokens", Handler: route(methods{http.MethodGet: (*App).listTokens})},
		{Pattern: "/switchboard/tokens/{name}", Handler: route(methods{http.MethodGet: (*App).getToken})},
		{Pattern: "/switchboard/tokens/{name}/renew", Handler: route(methods{http.MethodPost: (*App).renewToken})},
		{Pattern: "/switchboard/apis/{name}/test", Handler: route(methods{http.MethodPost: (*App).testAPI})},
		{Pattern: "/switchboard/apis/{name}/failures", Handler: route(methods{http.MethodGet: (*App).listFailures})},
		{Pattern: "/switchboard/cache", Handler: route(methods{http.MethodGet: (*App).cacheNumbers})},
		{Pattern: "/switchboard/cache/purge", Handler: route(methods{http.MethodPost: (*App).purgeCache})},
		{Pattern: "/switchboard/customers", Handler: route(methods{http.MethodGet: directory})},
		{Pattern: "/switchboard/customers/{id}", Handler: route(methods{
			http.MethodGet:    getCustomer,
			http.MethodPut:    putCustomer,
			http.MethodDelete: deleteCustomer,
		})},
	}
}

// methods are what can be done at a path. The result is answered as JSON.
type methods map[string]func(a *App, r *http.Request) (any, error)

func route(m methods) caddy.AdminHandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		do, ok := m[r.Method]
		if !ok {
			return apiError(http.StatusMethodNotAllowed, errors.New("method not allowed"))
		}
		a, err := running()
		if err != nil {
			return err
		}
		answer, err := do(a, r)
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "application/json")
		out := json.NewEncoder(w)
		out.SetEscapeHTML(false) // an answer is told to the letter
		return out.Encode(answer)
	}
}

// maxBody is how long the body of a request may be: a customer, or a test.
const maxBody = 1 << 20

func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, apiError(http.StatusBadRequest, errors.New("the body could not be read"))
	case len(body) > maxBody:
		return nil, apiError(http.StatusRequestEntityTooLarge, errors.New("the body is longer than 1 MiB"))
	}
	return body, nil
}

// running is the app of the configuration that runs now. A router must not keep
// it: Caddy makes the routers of a new configuration before its apps, and keeps
// them when these fail.
func running() (*App, error) {
	app, err := caddy.ActiveContext().AppIfConfigured("switchboard")
	if err != nil {
		return nil, apiError(http.StatusNotFound, errors.New("the running configuration has no switchboard"))
	}
	a, ok := app.(*App)
	if !ok {
		return nil, apiError(http.StatusInternalServerError, fmt.Errorf("the app switchboard is a %T", app))
	}
	return a, nil
}

func apiError(status int, err error) error { return caddy.APIError{HTTPStatus: status, Err: err} }

// Interface guards
var _ caddy.AdminRouter = Admin{}
