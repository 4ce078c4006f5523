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

// views are the page's reads, by GET below data/.
var views = map[string]func(context.Context, switchboard.Operator) (any, error){
	"apis":      apis,
	"tokens":    func(_ context.Context, o switchboard.Operator) (any, error) { return o.Tokens(), nil },
	"cache":     func(_ context.Context, o switchboard.Operator) (any, error) { return o.Cache(), nil },
	"customers": customers,
}

// actions are the page's commands, by POST. Their subject is in the body, because
// URLs are logged.
var actions = map[string]action{
	"hold":    hold(true),
	"release": hold(false),
	"renew": on(func(ctx context.Context, o switchboard.Operator, it named) (any, string, error) {
		t, err := o.Renew(ctx, it.Token)
		return t, it.Token, err
	}),
	"purge": on(func(ctx context.Context, o switchboard.Operator, what adminapi.Purge) (any, string, error) {
		purged, err := o.Purge(ctx, what)
		return purged, purged.Purged, err
	}),
	// the writes of an API that happen once: all that are remembered, one, and
	// forgetting one
	"writes": on(func(ctx context.Context, o switchboard.Operator, it named) (any, string, error) {
		found, err := o.Writes(ctx, it.API)
		return found, it.API, err
	}),
	"write":  withKey(switchboard.Operator.Write),
	"forget": withKey(switchboard.Operator.ForgetWrite),
	"search": on(search),
	"test":   test,
	// the last failed calls of an API
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

// action executes a command. It returns the name of its subject for the log, or
// "" with an error: then the name may be anything.
type action func(ctx context.Context, o switchboard.Operator, body []byte) (done any, name string, err error)

// named is the body of most actions.
type named struct {
	API   string `json:"api"`
	Token string `json:"token"`
}

// attempt is the body of the playground's action: an API, and an output program
// to try.
type attempt struct {
	named
	switchboard.PlaygroundInput
}

// writeKey is the body of the actions on one write.
type writeKey struct {
	named
	adminapi.WriteKey
}

// on returns an action whose body is a T.
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
		return v, refused(http.StatusBadRequest, "the body is not valid for this action")
	}
	return v, nil
}

func hold(held bool) action {
	return on(func(_ context.Context, o switchboard.Operator, it named) (any, string, error) {
		api, err := o.Hold(it.API, held)
		return api, it.API, err
	})
}

// withKey makes an action of one that takes the name of an API and the key of a write.
func withKey(do func(o switchboard.Operator, ctx context.Context, name, key string) (adminapi.Write, error)) action {
	return on(func(ctx context.Context, o switchboard.Operator, it writeKey) (any, string, error) {
		found, err := do(o, ctx, it.API, it.Key)
		return found, it.API, err
	})
}

// test makes a call as a phone system would. Its body is that of the admin API,
// with the API's name.
func test(ctx context.Context, o switchboard.Operator, body []byte) (any, string, error) {
	it, err := parse[named](body)
	if err != nil {
		return nil, "", err
	}
	call, err := switchboard.ParseTest(body)
	if err != nil {
		return nil, "", refused(http.StatusBadRequest, err.Error())
	}
	trace, err := o.Test(ctx, it.API, call)
	return trace, it.API, err
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

// data answers a request of the page.
func (c *Console) data(w http.ResponseWriter, r *http.Request, name, who string) error {
	if view, ok := views[name]; ok {
		if !reads(r) {
			w.Header().Set("Allow", "GET, HEAD")
			return fail(w, http.StatusMethodNotAllowed, "use GET")
		}
		found, err := view(r.Context(), c.operator)
		if err != nil {
			return refusal(w, err)
		}
		return answer(w, found)
	}
	act, ok := actions[name]
	if !ok {
		return fail(w, http.StatusNotFound, "there is no such endpoint")
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
	if name == "try" { // sent on every keystroke, and changes nothing
		level = zapcore.DebugLevel
	}
	c.logger.Log(level, "console action", zap.String("for", name), zap.String("of", to), zap.String("by", mask.Text(who)), zap.Bool("done", err == nil))
	if err != nil {
		return refusal(w, err)
	}
	return answer(w, done)
}

// apiView is an API with its last hour. The customer lookup is listed as an API
// that can't be held.
type apiView struct {
	adminapi.API
	Lookup bool                 `json:"lookup,omitempty"`
	Tests  []switchboard.Tested `json:"tests"` // what can be tested: the API, or the lookups
	Hour   adminapi.Hour        `json:"hour"`
}

func apis(_ context.Context, o switchboard.Operator) (any, error) {
	list := make([]apiView, 0)
	for _, api := range o.APIs() {
		hour, err := o.Hour(api.Name)
		if err != nil {
			return nil, err
		}
		list = append(list, apiView{API: api, Tests: []switchboard.Tested{{Name: api.Name}}, Hour: hour})
	}
	if hour, err := o.Hour(switchboard.LookupName); err == nil {
		lookup := adminapi.API{Name: switchboard.LookupName, Params: lookupParams}
		list = append(list, apiView{API: lookup, Lookup: true, Tests: o.Lookups(), Hour: hour})
	}
	return list, nil
}

var lookupParams = func() (names []string) {
	for _, p := range customer.Params {
		names = append(names, string(p))
	}
	return names
}()

// directory describes the customer directory. Count is missing if it can't be
// counted.
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
