package console

import (
	"context"
	"encoding/json"
	"net/http"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/switchboard-ivr/switchboard/internal/mask"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/customer/exchange"
)

// views are what the page reads, by GET below data/.
var views = map[string]func(context.Context, switchboard.Operator) (any, error){
	"apis":      apis,
	"tokens":    func(_ context.Context, o switchboard.Operator) (any, error) { return o.Tokens(), nil },
	"cache":     func(_ context.Context, o switchboard.Operator) (any, error) { return o.Cache(), nil },
	"customers": customers,
}

// actions are what it does, by POST. What is acted on is in the body, as URLs are
// logged.
var actions = map[string]action{
	"hold": on(func(_ context.Context, o switchboard.Operator, it named) (any, string, error) {
		api, err := o.Hold(it.API, true)
		return api, it.API, err
	}),
	"release": on(func(_ context.Context, o switchboard.Operator, it named) (any, string, error) {
		api, err := o.Hold(it.API, false)
		return api, it.API, err
	}),
	"renew": on(func(ctx context.Context, o switchboard.Operator, it named) (any, string, error) {
		t, err := o.Renew(ctx, it.Token)
		return t, it.Token, err
	}),
	"purge": on(func(ctx context.Context, o switchboard.Operator, what adminapi.Purge) (any, string, error) {
		purged, err := o.Purge(ctx, what)
		return purged, purged.Purged, err
	}),
	"search": on(search),
	"test":   test,
	// the last calls of an API without an answer of its own
	"failures": on(func(_ context.Context, o switchboard.Operator, it named) (any, string, error) {
		found, err := o.Failures(it.API, "")
		return found, it.API, err
	}),
	"bench": on(func(_ context.Context, o switchboard.Operator, it named) (any, string, error) {
		found, err := o.Playground(it.API)
		return found, it.API, err
	}),
	"try": on(func(ctx context.Context, o switchboard.Operator, it attempt) (any, string, error) {
		done, err := o.RunPlayground(ctx, it.API, it.PlaygroundInput)
		return done, it.API, err
	}),
}

// action does what a body asks for. The name of what it was done to is logged, unless
// there is an error: then nobody knows that the name is one.
type action func(ctx context.Context, o switchboard.Operator, body []byte) (done any, name string, err error)

// named is what most actions take.
type named struct {
	API   string `json:"api"`
	Token string `json:"token"`
}

// attempt is an output program that somebody has typed, for an API.
type attempt struct {
	named
	switchboard.PlaygroundInput
}

// on is an action whose body is a T.
func on[T any](act func(context.Context, switchboard.Operator, T) (any, string, error)) action {
	return func(ctx context.Context, o switchboard.Operator, body []byte) (any, string, error) {
		it, err := parse[T](body)
		if err != nil {
			return nil, "", err
		}
		return act(ctx, o, it)
	}
}

func parse[T any](body []byte) (v T, err error) {
	if err := json.Unmarshal(body, &v); err != nil {
		return v, refused(http.StatusBadRequest, "the body is not what this takes")
	}
	return v, nil
}

// test makes a call as a phone system would. Its body is that of the admin API, with
// the API's name.
func test(ctx context.Context, o switchboard.Operator, body []byte) (any, string, error) {
	return on(func(ctx context.Context, o switchboard.Operator, it named) (any, string, error) {
		call, err := switchboard.ParseTest(body)
		if err != nil {
			return nil, "", refused(http.StatusBadRequest, err.Error())
		}
		trace, err := o.Test(ctx, it.API, call)
		return trace, it.API, err
	})(ctx, o, body)
}

func search(ctx context.Context, o switchboard.Operator, params map[string]string) (any, string, error) {
	query := make(map[string]any, len(params))
	for name, value := range params {
		query[name] = value
	}
	found, err := o.Search(ctx, query)
	if err != nil {
		return nil, "", err
	}
	list := make([]json.RawMessage, 0, len(found))
	for _, record := range found {
		list = append(list, exchange.AppendJSON(nil, record))
	}
	return list, "", nil
}

// data answers what the page asks for.
func (c *Console) data(w http.ResponseWriter, r *http.Request, name, who string) error {
	if view, ok := views[name]; ok {
		if !reads(r) {
			w.Header().Set("Allow", "GET, HEAD")
			return fail(w, http.StatusMethodNotAllowed, "use GET")
		}
		told, err := view(r.Context(), c.operator)
		if err != nil {
			return refusal(w, err)
		}
		return answer(w, told)
	}
	act, ok := actions[name]
	if !ok {
		return fail(w, http.StatusNotFound, "there is no such thing")
	}
	if err := guard(r); err != nil {
		return refusal(w, err)
	}
	body, err := read(w, r)
	if err != nil {
		return refusal(w, err)
	}
	done, to, err := act(r.Context(), c.operator, body)
	if err != nil {
		to = ""
	}
	level := zapcore.InfoLevel
	if name == "try" { // with every key, and it changes nothing
		level = zapcore.DebugLevel
	}
	c.logger.Log(level, "the console was used", zap.String("for", name), zap.String("of", to), zap.String("by", mask.Text(who)), zap.Bool("done", err == nil))
	if err != nil {
		return refusal(w, err)
	}
	return answer(w, done)
}

// standing is an API and its last hour. The customer lookup is one that can't be
// held.
type standing struct {
	adminapi.API
	Lookup bool                 `json:"lookup,omitempty"`
	Tests  []switchboard.Tested `json:"tests"` // what a test of it can be of
	Hour   adminapi.Hour        `json:"hour"`
}

func apis(_ context.Context, o switchboard.Operator) (any, error) {
	list := make([]standing, 0)
	for _, api := range o.APIs() {
		hour, err := o.Hour(api.Name)
		if err != nil {
			return nil, err
		}
		list = append(list, standing{API: api, Tests: []switchboard.Tested{{Name: api.Name}}, Hour: hour})
	}
	if hour, err := o.Hour(switchboard.LookupName); err == nil {
		lookup := adminapi.API{Name: switchboard.LookupName, Params: lookupParams}
		list = append(list, standing{API: lookup, Lookup: true, Tests: o.Lookups(), Hour: hour})
	}
	return list, nil
}

var lookupParams = func() (names []string) {
	for _, p := range customer.Params {
		names = append(names, string(p))
	}
	return names
}()

// directory is where the customers are, and how many, where that can be told.
type directory struct {
	Store string `json:"store"`
	Count *int64 `json:"count,omitempty"`
	Error string `json:"error,omitempty"`
}

func customers(ctx context.Context, o switchboard.Operator) (any, error) {
	where, err := o.Location()
	if err != nil {
		return nil, err
	}
	counted, err := o.Directory(ctx)
	if err != nil {
		return directory{Store: where, Error: err.Error()}, nil
	}
	return directory{Store: where, Count: &counted.Count}, nil
}
