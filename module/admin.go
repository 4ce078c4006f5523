package switchboard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/token"
)

func init() {
	caddy.RegisterModule(Admin{})
}

// Admin is Switchboard's part of Caddy's admin API, below /switchboard/:
//
//   - `GET /switchboard/customers`: `{"count":…,"store":"…"}`
//   - `GET /switchboard/apis`, `GET /switchboard/apis/NAME`: the state of APIs
//   - `POST /switchboard/apis/NAME/hold` and `…/release`: stops and resumes the calls
//     of an API
//   - `GET /switchboard/apis/NAME/hour`: the outcomes of its calls in the last hour
//   - `GET /switchboard/tokens`, `GET /switchboard/tokens/NAME`: the state of tokens,
//     never a token; `POST /switchboard/tokens/NAME/renew` renews one
//   - `POST /switchboard/tokens/NAME/connect`: the URL at which a person consents to a
//     source with `authorize`; `POST …/connect/finish` with `{"state":"…","code":"…"}`
//     exchanges the code
//   - `POST /switchboard/apis/NAME/test`: a call as in production, step by step; it
//     doesn't count as traffic
//   - `GET /switchboard/apis/NAME/failures`: the last failed calls; with `?call_id=`
//     those of one phone call
//   - `GET /switchboard/apis/NAME/once`: the writes that happen once and are remembered;
//     `POST` with `{"key":"…"}` one of them, and `POST …/once/forget` deletes its record
//   - `GET /switchboard/cache`: the size and statistics of the cache
//   - `POST /switchboard/cache/purge`: drops all answers; with `{"api":"NAME"}` those
//     of one API, and with `"params":{…}` in addition those for these params
//   - `GET`, `PUT` and `DELETE /switchboard/customers/ID`: one customer, as a flat
//     object with the protocol's field names
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
	named := func(r *http.Request) string { return r.PathValue("name") }
	return []caddy.AdminRoute{
		get("/switchboard/apis", func(o Operator, _ *http.Request) (any, error) { return o.APIs(), nil }),
		get("/switchboard/apis/{name}", func(o Operator, r *http.Request) (any, error) { return o.API(named(r)) }),
		post("/switchboard/apis/{name}/hold", func(o Operator, r *http.Request) (any, error) { return o.Hold(named(r), true) }),
		post("/switchboard/apis/{name}/release", func(o Operator, r *http.Request) (any, error) { return o.Hold(named(r), false) }),
		get("/switchboard/apis/{name}/hour", func(o Operator, r *http.Request) (any, error) { return o.Hour(named(r)) }),
		post("/switchboard/apis/{name}/test", func(o Operator, r *http.Request) (any, error) { return o.testAPI(r, named(r)) }),
		get("/switchboard/apis/{name}/failures", func(o Operator, r *http.Request) (any, error) {
			return o.Failures(named(r), r.URL.Query().Get("call_id"))
		}),
		route("/switchboard/apis/{name}/once", methods{
			http.MethodGet:  func(o Operator, r *http.Request) (any, error) { return o.Writes(r.Context(), named(r)) },
			http.MethodPost: withKey(Operator.Write),
		}),
		post("/switchboard/apis/{name}/once/forget", withKey(Operator.ForgetWrite)),
		get("/switchboard/tokens", func(o Operator, _ *http.Request) (any, error) { return o.Tokens(), nil }),
		get("/switchboard/tokens/{name}", func(o Operator, r *http.Request) (any, error) { return o.Token(named(r)) }),
		post("/switchboard/tokens/{name}/renew", func(o Operator, r *http.Request) (any, error) { return o.Renew(r.Context(), named(r)) }),
		post("/switchboard/tokens/{name}/connect", Operator.beginConsent),
		post("/switchboard/tokens/{name}/connect/finish", Operator.endConsent),
		get("/switchboard/cache", func(o Operator, _ *http.Request) (any, error) { return o.Cache(), nil }),
		post("/switchboard/cache/purge", Operator.purgeCache),
		get("/switchboard/customers", func(o Operator, r *http.Request) (any, error) { return o.Directory(r.Context()) }),
		route("/switchboard/customers/{id}", methods{
			http.MethodGet: Operator.getCustomer, http.MethodPut: Operator.putCustomer, http.MethodDelete: Operator.deleteCustomer,
		}),
	}
}

// methods maps the HTTP methods of a path to actions. The result is sent as JSON.
type methods map[string]func(o Operator, r *http.Request) (any, error)

func get(pattern string, do func(Operator, *http.Request) (any, error)) caddy.AdminRoute {
	return route(pattern, methods{http.MethodGet: do})
}

func post(pattern string, do func(Operator, *http.Request) (any, error)) caddy.AdminRoute {
	return route(pattern, methods{http.MethodPost: do})
}

// route finds the app at each request, because Caddy creates the admin routes of
// a new configuration before its apps, and keeps them if the apps fail to start.
func route(pattern string, m methods) caddy.AdminRoute {
	return caddy.AdminRoute{Pattern: pattern, Handler: caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		do, ok := m[r.Method]
		if !ok {
			return apiError(http.StatusMethodNotAllowed, errors.New("method not allowed"))
		}
		a, err := running()
		if err != nil {
			return err
		}
		answer, err := do(a.Operator(), r)
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "application/json")
		out := json.NewEncoder(w)
		out.SetEscapeHTML(false) // show an API's answer unchanged
		return out.Encode(answer)
	})}
}

// running returns the app of the running configuration.
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

// maxBody is the maximum size of a request body: a customer, a test or a purge.
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

func apiError(status int, err error) error { return caddy.APIError{HTTPStatus: status, Err: err} }

func (a *App) describe(name string) adminapi.API {
	s := a.apiStates.find(name)
	since := s.DegradedSince()
	state := adminapi.API{Name: name, Held: s.Held(), Degraded: !since.IsZero()}
	if state.Degraded {
		state.DegradedSince = since.UTC().Truncate(time.Second)
	}
	if s != nil {
		s.traffic.describe(&state, time.Now())
	}
	if api, ok := a.registered(name); ok {
		state.Breaker = api.BreakerState()
		api.Describe(&state)
	}
	return state
}

// purgeCache purges what the body names; an empty body purges everything.
func (o Operator) purgeCache(r *http.Request) (any, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	what, err := parsePurge(body)
	if err != nil {
		return nil, apiError(http.StatusBadRequest, err)
	}
	return o.Purge(r.Context(), what)
}

// parsePurge parses a purge. A member that is unknown or blank is refused: without it,
// the purge would drop everything.
func parsePurge(body []byte) (what adminapi.Purge, err error) {
	if len(body) == 0 {
		return what, nil
	}
	var members map[string]json.RawMessage
	in := json.NewDecoder(bytes.NewReader(body))
	in.DisallowUnknownFields()
	if json.Unmarshal(body, &members) != nil || members == nil || in.Decode(&what) != nil {
		return what, errors.New(`the body doesn't say what to purge; write e.g. {"api":"order","params":{"tel":"13800138000"}}, or {} for everything`)
	}
	for name, value := range members {
		if text := string(value); text == `""` || text == "null" {
			return what, errors.New(name + " is blank; leave it out to purge everything")
		}
	}
	return what, nil
}

// paramsOf decodes params like those of a phone system: blank ones are left out.
func paramsOf(raw json.RawMessage) (map[string]any, error) {
	doc, err := jsonval.Decode(raw, jsonval.Limits{Bytes: maxBody})
	if err != nil {
		return nil, errors.New("params can't be read")
	}
	object, ok := doc.(map[string]any)
	if !ok {
		return nil, errors.New("params must be an object")
	}
	return call.Given(object), nil
}

// renewTime is how long an operator waits for a renewal. After that, it continues
// in the background.
const renewTime = 30 * time.Second

// Tokens returns the state of all token sources, sorted by name. Sources that
// only hold credentials are left out.
func (o Operator) Tokens() []adminapi.Token {
	list := make([]adminapi.Token, 0, len(o.app.sources))
	for _, name := range slices.Sorted(maps.Keys(o.app.sources)) {
		if source := o.app.sources[name]; source.HasToken() {
			list = append(list, described(source.State()))
		}
	}
	return list
}

// Token returns the state of a token source.
func (o Operator) Token(name string) (adminapi.Token, error) {
	source, err := o.source(name)
	if err != nil {
		return adminapi.Token{}, err
	}
	return described(source.State()), nil
}

// Renew renews a token now, whatever its state, and waits for it for up to 30 s.
func (o Operator) Renew(ctx context.Context, name string) (adminapi.Token, error) {
	source, err := o.source(name)
	if err != nil {
		return adminapi.Token{}, err
	}
	if source.State().Static {
		return adminapi.Token{}, apiError(http.StatusConflict, errors.New("token "+name+" is static; there is nothing to renew"))
	}
	ctx, cancel := context.WithTimeout(ctx, renewTime)
	defer cancel()
	switch err := source.Renew(ctx); {
	case ctx.Err() != nil:
		return adminapi.Token{}, apiError(http.StatusGatewayTimeout, errors.New("token "+name+" is still being renewed"))
	case err != nil:
		return adminapi.Token{}, apiError(http.StatusBadGateway, errors.New("token "+name+" could not be renewed: "+err.Error()))
	}
	return described(source.State()), nil
}

// source returns a token source that has a token.
func (o Operator) source(name string) (*TokenSource, error) {
	source, err := o.app.Token(name)
	if err == nil && !source.HasToken() {
		err = errors.New("token " + name + " only holds credentials")
	}
	if err != nil {
		return nil, apiError(http.StatusNotFound, err)
	}
	return source, nil
}

func described(s token.State) adminapi.Token {
	return adminapi.Token{
		Name: s.Name, State: s.Phase, Static: s.Static, Generation: s.Generation, Fingerprint: s.Fingerprint,
		Obtained: s.Obtained, Expires: s.Expires, NextAttempt: s.NextAttempt, LastError: s.LastError, LastExchange: s.LastExchange,
	}
}

func (o Operator) testAPI(r *http.Request, name string) (any, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	t, err := ParseTest(body)
	if err != nil {
		return nil, apiError(http.StatusBadRequest, err)
	}
	return o.Test(r.Context(), name, t)
}

// Test makes a call of an API, or of a customer lookup, as a phone system would,
// and returns its trace.
func (o Operator) Test(ctx context.Context, name string, t adminapi.Test) (adminapi.Trace, error) {
	tester, err := o.app.tester(name)
	if err != nil {
		return adminapi.Trace{}, err
	}
	trace, err := tester.Test(ctx, t)
	if err != nil {
		return trace, apiError(http.StatusBadRequest, err)
	}
	return trace, nil
}

// Failures returns the last failed calls of an API, masked, newest first; with a
// callID, only those of that phone call.
func (o Operator) Failures(name, callID string) ([]adminapi.Trace, error) {
	s := o.app.apiStates.find(name)
	if s == nil {
		return nil, apiError(http.StatusNotFound, o.app.noSuchAPI(name))
	}
	return s.Failures(callID), nil
}

// ParseTest parses a test; an empty body is a call without params. Numbers keep
// their spelling.
func ParseTest(body []byte) (t adminapi.Test, err error) {
	if len(body) == 0 {
		return t, nil
	}
	doc, err := jsonval.Decode(body, jsonval.Limits{Bytes: maxBody})
	if err != nil {
		return t, errors.New("the body is not one JSON document")
	}
	if err := json.Unmarshal(body, &t); err != nil {
		return t, errors.New(`the body is not a valid test; write e.g. {"params":{"tel":"13800138000"}}`)
	}
	if object, ok := doc.(map[string]any); ok {
		t.Params, _ = object["params"].(map[string]any)
	}
	return t, nil
}

// Interface guards
var (
	_ caddy.AdminRouter = Admin{}
)
