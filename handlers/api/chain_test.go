package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// upstream is a guest that answers with its function.
type upstream struct{ Of string }

var upstreams sync.Map // of functions that answer, by name

func init() { caddy.RegisterModule(upstream{}) }

func (upstream) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_upstream", New: func() caddy.Module { return new(upstream) }}
}

func (u upstream) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	of, _ := upstreams.Load(u.Of)
	return of.(func(w http.ResponseWriter, r *http.Request) error)(w, r)
}

// app provisions APIs together, links them, and returns them by name. Their upstreams
// are functions.
func app(t testing.TB, apis ...*API) map[string]*API {
	t.Helper()
	cfg := new(caddy.Config)
	if err := json.Unmarshal([]byte(`{"admin":{"disabled":true},"apps":{"switchboard":{}}}`), cfg); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(cfg)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := ctx.App("switchboard")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := loaded.(*switchboard.App).Cleanup(); err != nil { // the state of APIs
			t.Error(err)
		}
	})
	byName := map[string]*API{}
	for _, a := range apis {
		if err := a.Provision(ctx); err != nil {
			t.Fatal(err)
		}
		byName[a.Name] = a
	}
	for _, a := range apis {
		if err := a.Link(); err != nil {
			t.Fatal(err)
		}
	}
	return byName
}

// single is an API whose answers come from a function.
func single(t testing.TB, name string, answer func(w http.ResponseWriter, r *http.Request) error, more ...func(*API)) *API {
	t.Helper()
	id := t.Name() + " " + name
	upstreams.Store(id, answer)
	a := &API{
		Name: name, To: "http://127.0.0.1:1/" + name, Method: "GET", Query: ".",
		HandleRaw: []json.RawMessage{json.RawMessage(fmt.Sprintf(`{"handler":"test_upstream","Of":%q}`, id))},
	}
	for _, set := range more {
		set(a)
	}
	return a
}

func says(text string) func(w http.ResponseWriter, r *http.Request) error {
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "application/json")
		_, err := w.Write([]byte(text))
		return err
	}
}

// hangs answers when the call is given up.
func hangs(_ http.ResponseWriter, r *http.Request) error {
	<-r.Context().Done()
	return r.Context().Err()
}

// twoCalls finds a customer and, for that customer, the latest order.
func twoCalls(t testing.TB, customer, order func(w http.ResponseWriter, r *http.Request) error, more ...func(both, customer, order *API)) map[string]*API {
	t.Helper()
	both := &API{
		Name: "both",
		With: []With{
			{Var: "customer", API: "customer", Params: "{tel: .tel}"},
			{Var: "order", API: "order", Params: "{id: $customer.id}", Optional: true},
		},
		Output:  `{name: $customer.name, order: $order.number}`,
		Default: `{name: "", order: ""}`,
	}
	one := single(t, "customer", customer, func(a *API) { a.Default = `{id: "", name: ""}` })
	two := single(t, "order", order, func(a *API) { a.Default = `{number: "none"}` })
	for _, set := range more {
		set(both, one, two)
	}
	return app(t, both, one, two)
}

const ann = `{"id":"C1","name":"Ann"}`

func ask(t testing.TB, a *API, query string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "http://localhost/?"+query, nil)
	if err := a.ServeHTTP(w, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server)), nil); err != nil {
		t.Error(err)
	}
	return w
}

func TestChain(t *testing.T) {
	status := func(code int, text string) func(w http.ResponseWriter, r *http.Request) error {
		return func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			return says(text)(w, r)
		}
	}
	for name, test := range map[string]struct {
		customer, order func(w http.ResponseWriter, r *http.Request) error
		set             func(both, customer, order *API)
		want            string
		orders          int32
		reason          string // of the kept failure
	}{
		"both answer": {
			customer: says(ann), order: says(`{"number":"7"}`), orders: 1,
			want: `{"_status":"ok","name":"Ann","order":"7"}`,
		},
		"the first knows nobody": {
			customer: says(`null`), order: says(`{"number":"7"}`),
			want: `{"_status":"not_found","name":"","order":""}`,
		},
		"the first fails": {
			customer: status(500, `{}`), order: says(`{"number":"7"}`),
			want:   `{"_status":"failed","name":"","order":""}`,
			reason: "customer (api customer): the API is failing: status 500",
		},
		"the optional one fails": {
			customer: says(ann), order: status(500, `{}`), orders: 1,
			want:   `{"_status":"partial","name":"Ann","order":"none"}`,
			reason: "order (api order): the API is failing: status 500",
		},
		"the optional one knows nothing": {
			customer: says(ann), order: says(`null`), orders: 1,
			want:   `{"_status":"partial","name":"Ann","order":"none"}`,
			reason: "order (api order): the API found nothing",
		},
		"the second is needed": {
			customer: says(ann), order: says(`null`), orders: 1,
			set:  func(both, _, _ *API) { both.With[1].Optional = false },
			want: `{"_status":"not_found","name":"","order":""}`,
		},
		"the outcome of a part": {
			customer: says(ann), order: says(`null`), orders: 1,
			set:    func(both, _, _ *API) { both.Output = `{name: $order._status, order: $customer._status}` },
			want:   `{"_status":"partial","name":"not_found","order":"ok"}`,
			reason: "order (api order): the API found nothing",
		},
		"a part lacks what it requires": {
			customer: says(ann), order: says(`{"number":"7"}`),
			set: func(_, customer, _ *API) { customer.Require = &Require{Params: []string{"email"}} }, orders: 0,
			want:   `{"_status":"incomplete","name":"","order":""}`,
			reason: "customer (api customer): the param email is missing",
		},
		"the params of the first can't be made": {
			customer: says(ann), order: says(`{"number":"7"}`),
			set:    func(both, _, _ *API) { both.With[0].Params = `{tel: (.tel | error("no"))}` },
			want:   `{"_status":"incomplete","name":"","order":""}`,
			reason: "customer (api customer): its params can't be built from the params: jq: program failed",
		},
		"the params of the second can't be made": {
			customer: says(ann), order: says(`{"number":"7"}`),
			set: func(both, _, _ *API) {
				both.With[1] = With{Var: "order", API: "order", Params: `{id: ($customer.id | error("no"))}`}
			},
			want:   `{"_status":"bad_answer","name":"","order":""}`,
			reason: "order (api order): its params can't be built from the answers before it: jq: program failed",
		},
		"without a contract": {
			customer: says(ann), order: says(`[1]`), orders: 1,
			set: func(both, customer, order *API) {
				customer.Default, order.Default = "", ""
				both.Output = `{name: ($customer | keys | join(",")), order: ($order | tojson)}`
			},
			want: `{"_status":"ok","name":"_status,id,name","order":"[1]"}`,
		},
		"an api of its own after them": {
			customer: says(ann), order: says(`{"number":"7"}`), orders: 1,
			set: func(both, _, _ *API) {
				both.To, both.Method, both.Query = "http://127.0.0.1:1/both", "GET", `{id: $customer.id}`
				both.Output = `{name: (.asked + $customer.name), order: $order.number}`
				both.HandleRaw = []json.RawMessage{json.RawMessage(`{"handler":"test_upstream","Of":"echo"}`)}
			},
			want: `{"_status":"ok","name":"id=C1Ann","order":"7"}`,
		},
		"a request program that fails on a part": {
			customer: says(ann), order: says(`{"number":"7"}`), orders: 1,
			set: func(both, _, _ *API) {
				both.To, both.Method, both.Query = "http://127.0.0.1:1/both", "GET", `{id: ($customer.id | error("no"))}`
			},
			want:   `{"_status":"bad_answer","name":"","order":""}`,
			reason: "query can't be built from the params and the answers of other apis: jq: program failed",
		},
		"a panic": {
			customer: says(ann), order: func(http.ResponseWriter, *http.Request) error { panic("no") }, orders: 1,
			want:   `{"_status":"partial","name":"Ann","order":"none"}`,
			reason: "order (api order): a handler in the chain panicked",
		},
	} {
		t.Run(name, func(t *testing.T) {
			upstreams.Store("echo", func(w http.ResponseWriter, r *http.Request) error {
				return says(fmt.Sprintf(`{"asked":%q}`, r.URL.RawQuery))(w, r)
			})
			var orders atomic.Int32
			apis := twoCalls(t, test.customer, func(w http.ResponseWriter, r *http.Request) error {
				orders.Add(1)
				return test.order(w, r)
			}, func(both, customer, order *API) {
				if test.set != nil {
					test.set(both, customer, order)
				}
			})
			if got := strings.TrimSpace(ask(t, apis["both"], "tel=13800138000").Body.String()); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if n := orders.Load(); n != test.orders {
				t.Errorf("the second was called %d times, want %d", n, test.orders)
			}
			failures := apis["both"].route.State.Failures("")
			if test.reason == "" && len(failures) > 0 {
				t.Errorf("a failure was kept: %s", failures[0].Reason)
			}
			if test.reason != "" && (len(failures) == 0 || !strings.HasPrefix(failures[0].Reason, test.reason)) {
				t.Errorf("kept %+v, want %s", failures, test.reason)
			}
		})
	}
}

// A part that hangs costs the call its answer only if the call can't do without it.
// What is left of the budget is enough for the rest.
func TestAPartThatHangs(t *testing.T) {
	for name, test := range map[string]struct {
		set    func(both, customer, order *API)
		want   string
		within time.Duration
	}{
		"optional": {
			set:  func(*API, *API, *API) {},
			want: `{"_status":"partial","name":"Ann","order":"none"}`, within: 900 * time.Millisecond,
		},
		"optional, before a call of its own": {
			set: func(both, _, _ *API) {
				both.To, both.HandleRaw = "http://127.0.0.1:1/both", []json.RawMessage{json.RawMessage(`{"handler":"test_upstream","Of":"own"}`)}
			},
			want: `{"_status":"partial","name":"Ann","order":"none"}`, within: 500 * time.Millisecond,
		},
		"optional, with a cache": {
			set:  func(both, _, _ *API) { both.Cache = &endpoint.Cache{Fresh: caddy.Duration(time.Minute)} },
			want: `{"_status":"partial","name":"Ann","order":"none"}`, within: 900 * time.Millisecond,
		},
		"needed": {
			set:  func(both, _, _ *API) { both.With[1].Optional = false },
			want: `{"_status":"timeout","name":"","order":""}`, within: time.Second,
		},
		"needed, with a cache": {
			set: func(both, _, _ *API) {
				both.With[1].Optional = false
				both.Cache = &endpoint.Cache{Fresh: caddy.Duration(time.Minute)}
			},
			want: `{"_status":"timeout","name":"","order":""}`, within: time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			upstreams.Store("own", says(`{}`))
			apis := twoCalls(t, says(ann), hangs, func(both, customer, order *API) {
				both.Budget = caddy.Duration(time.Second)
				test.set(both, customer, order)
			})
			ask(t, apis["customer"], "tel=1") // compiles what is compiled once
			begin := time.Now()
			got := strings.TrimSpace(ask(t, apis["both"], "tel=13800138000").Body.String())
			took := time.Since(begin)
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if took < test.within-10*time.Millisecond || took > 5*time.Second {
				t.Errorf("took %v, want %v", took, test.within)
			}
			if apis["both"].route.State.Degraded() {
				t.Error("it is charged to the api that has the parts")
			}
		})
	}
}

// Parts that don't use one another run side by side, and one that uses another waits
// for it only.
func TestPartsSideBySide(t *testing.T) {
	takes := func(d time.Duration, text string) func(w http.ResponseWriter, r *http.Request) error {
		return func(w http.ResponseWriter, r *http.Request) error {
			time.Sleep(d)
			return says(text)(w, r)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			third string
			want  time.Duration
		}{
			"all":                       {`{}`, 500 * time.Millisecond},
			"the third after the first": {`{id: $a.v}`, 600 * time.Millisecond},
			"the third after both":      {`{id: ($a.v + $b.v)}`, 800 * time.Millisecond},
		} {
			apis := app(t,
				&API{
					Name: "both", Output: `[$a.v, $b.v, $c.v]`,
					With: []With{{Var: "a", API: "a", Params: "{}"}, {Var: "b", API: "b", Params: "{}"}, {Var: "c", API: "c", Params: test.third}},
				},
				single(t, "a", takes(300*time.Millisecond, `{"v":1}`)),
				single(t, "b", takes(500*time.Millisecond, `{"v":2}`)),
				single(t, "c", takes(300*time.Millisecond, `{"v":3}`)))
			begin := time.Now()
			got := strings.TrimSpace(ask(t, apis["both"], "").Body.String())
			if took := time.Since(begin); got != `[1,2,3]` || took != test.want {
				t.Errorf("%s: got %s after %v, want %v", name, got, took, test.want)
			}
		}
	})
}

// A part that is slow behind the cache of the API that has it counts as one that took
// too long, as it does for its own callers, although its answer still comes.
func TestASlowPartIsOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(w http.ResponseWriter, r *http.Request) error {
			time.Sleep(3 * time.Second)
			return says(ann)(w, r)
		}
		apis := twoCalls(t, slow, says(`{"number":"7"}`), func(both, customer, _ *API) {
			both.Cache = &endpoint.Cache{Fresh: caddy.Duration(time.Minute)}
			customer.Breaker = &Breaker{Share: 1, Calls: 1, Open: caddy.Duration(time.Minute)}
		})
		defer func() { _ = apis["customer"].Cleanup() }()
		if got := strings.TrimSpace(ask(t, apis["both"], "tel=13800138000").Body.String()); got != `{"_status":"timeout","name":"","order":""}` {
			t.Errorf("got %s", got)
		}
		if state := apis["customer"].BreakerState(); state != "open" {
			t.Errorf("the breaker of the part is %s", state)
		}
		time.Sleep(5 * time.Second)
		if state := apis["customer"].BreakerState(); state != "open" {
			t.Errorf("the breaker of the part is %s after its answer", state)
		}
	})
}

// A part that ends the call ends the others.
func TestAPartEndsTheChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apis := app(t,
			&API{
				Name: "both", Output: `[$a, $b]`,
				With: []With{{Var: "a", API: "a", Params: "{}"}, {Var: "b", API: "b", Params: "{}"}},
			},
			single(t, "a", hangs),
			single(t, "b", func(w http.ResponseWriter, r *http.Request) error {
				time.Sleep(time.Millisecond)
				return says(`null`)(w, r)
			}))
		begin := time.Now()
		w := ask(t, apis["both"], "")
		if took := time.Since(begin); took != time.Millisecond || !strings.Contains(w.Header().Get("Proxy-Status"), `details="not_found"`) {
			t.Errorf("after %v: %v", took, w.Header())
		}
		if apis["a"].route.State.Degraded() {
			t.Error("a part that was ended counts as a failure")
		}
	})
}

// A part keeps its own cache, and an answer that is made of an older one is older
// itself.
func TestTheCacheOfAPart(t *testing.T) {
	var customers atomic.Int32
	var down atomic.Bool
	customer := func(w http.ResponseWriter, r *http.Request) error {
		customers.Add(1)
		if down.Load() {
			return errors.New("down")
		}
		return says(ann)(w, r)
	}
	fresh := caddy.Duration(time.Hour)
	apis := twoCalls(t, customer, says(`{"number":"7"}`), func(_, customer, _ *API) {
		customer.Cache = &endpoint.Cache{Fresh: fresh}
		customer.Format = "flat" // which says nothing about the value
	})
	hit := func() bool {
		before := customers.Load()
		got := strings.TrimSpace(ask(t, apis["both"], "tel=13800138000").Body.String())
		if got != `{"_status":"ok","name":"Ann","order":"7"}` {
			t.Fatalf("got %s", got)
		}
		return customers.Load() == before
	}
	for !hit() { // the cache takes an answer in by and by
		continue
	}

	apis = twoCalls(t, customer, says(`{"number":"7"}`), func(both, customer, _ *API) {
		customer.Cache = &endpoint.Cache{Fresh: 1, StaleIfError: fresh}
		both.Cache = &endpoint.Cache{Fresh: fresh, StaleIfError: fresh}
	})
	for i := 0; ; i++ { // as above
		down.Store(false)
		ask(t, apis["customer"], "tel=13900139000")
		down.Store(true)
		if strings.Contains(ask(t, apis["customer"], "tel=13900139000").Body.String(), "stale") {
			break
		}
	}
	for range 3 {
		got := ask(t, apis["both"], "tel=13900139000")
		if body := strings.TrimSpace(got.Body.String()); body != `{"_age":0,"_status":"stale","name":"Ann","order":"7"}` || strings.Contains(got.Header().Get("Cache-Status"), "hit") {
			t.Errorf("got %s, %s", body, got.Header().Get("Cache-Status"))
		}
	}
	if apis["both"].route.State.Degraded() {
		t.Error("an older part is charged to the api that has the parts")
	}
}

// What the cache of an API with parts keeps depends on what its parts depend on.
func TestTheCacheKeyOfAChain(t *testing.T) {
	apis := twoCalls(t, func(w http.ResponseWriter, r *http.Request) error {
		return says(fmt.Sprintf(`{"id":"C1","name":%q}`, r.Header.Get("Accept-Language")+r.Header.Get("X-Tenant")))(w, r)
	}, says(`{"number":"7"}`), func(both, customer, _ *API) {
		both.Cache = &endpoint.Cache{Fresh: caddy.Duration(time.Hour)}
		customer.Pass = &Pass{Headers: []string{"Accept-Language"}}
		customer.Headers = `{"X-Tenant": $request.headers["x-tenant"]}`
	})
	for range 20 {
		for _, language := range []string{"en", "zh"} {
			for _, tenant := range []string{"1", "2"} {
				w := httptest.NewRecorder()
				r := httptest.NewRequest(http.MethodGet, "http://localhost/?tel=1", nil)
				r.Header.Set("Accept-Language", language)
				r.Header.Set("X-Tenant", tenant)
				if err := apis["both"].ServeHTTP(w, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server)), nil); err != nil {
					t.Fatal(err)
				}
				if want := `"name":"` + language + tenant + `"`; !strings.Contains(w.Body.String(), want) {
					t.Fatalf("got %s, want %s", w.Body, want)
				}
			}
		}
	}
}

// A chain may have chains as parts.
func TestNestedChains(t *testing.T) {
	whole := &API{
		Name: "whole", Output: `{name: $both.name, status: $both._status}`, Default: `{name: "", status: ""}`,
		With: []With{{Var: "both", API: "both", Params: "."}},
	}
	apis := app(t, whole,
		&API{
			Name: "both", Output: `{name: $customer.name}`, Default: `{name: ""}`,
			With: []With{{Var: "customer", API: "customer", Params: "."}, {Var: "order", API: "order", Params: "{}", Optional: true}},
		},
		single(t, "customer", says(ann)), single(t, "order", says(`null`)))
	if got := strings.TrimSpace(ask(t, apis["whole"], "tel=1").Body.String()); got != `{"_status":"partial","name":"Ann","status":"partial"}` {
		t.Errorf("got %s", got)
	}
}

func TestLinkRefuses(t *testing.T) {
	part := func(name string, with ...With) *API {
		return &API{Name: name, With: with, Output: "."}
	}
	for name, test := range map[string]struct {
		apis []*API
		want string
	}{
		"unknown": {
			[]*API{part("both", With{Var: "a", API: "b", Params: "{}"})},
			"with a: there is no api b, and none but both",
		},
		"a cycle": {
			[]*API{part("x", With{Var: "a", API: "y", Params: "{}"}), part("y", With{Var: "a", API: "z", Params: "{}"}), part("z", With{Var: "a", API: "x", Params: "{}"})},
			"this chain loops: x -> y -> z -> x",
		},
		"too many calls": {
			[]*API{
				part("l2", With{Var: "a", API: "l1", Params: "{}"}, With{Var: "b", API: "l1", Params: "{}"}, With{Var: "c", API: "l1", Params: "{}"}),
				{
					Name: "l1", To: "http://127.0.0.1:1/x", Output: ".",
					With: []With{{Var: "a", API: "b", Params: "{}"}, {Var: "b", API: "l0", Params: "{}"}, {Var: "c", API: "l0", Params: "{}"}},
				},
				part("b", With{Var: "a", API: "l0", Params: "{}"}, With{Var: "b", API: "l0", Params: "{}"}),
				{Name: "l0", To: "http://127.0.0.1:1/x"},
			},
			"one request of api l2 can make 15 calls through its chain (l2, then l1, then b, then l0), and at most 12 are allowed; use fewer parts",
		},
		"a sidecar": {
			[]*API{part("both", With{Var: "a", API: "b", Params: "{}"}), {Name: "b", To: "http://127.0.0.1:1"}},
			"with a: api b has a `to` without a path",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := link(t, test.apis...); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// link starts an app with the APIs.
func link(t *testing.T, apis ...*API) error {
	t.Helper()
	cfg := new(caddy.Config)
	if err := json.Unmarshal([]byte(`{"admin":{"disabled":true},"apps":{"switchboard":{}}}`), cfg); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range apis {
		if err := a.Provision(ctx); err != nil {
			t.Fatal(err)
		}
	}
	loaded, err := ctx.App("switchboard")
	if err != nil {
		t.Fatal(err)
	}
	app := loaded.(*switchboard.App)
	if err := app.Start(); err != nil {
		return err
	}
	return app.Stop()
}

// Twelve calls for one request are allowed.
func TestLinkAllowsTwelveCalls(t *testing.T) {
	three := func(name, of string) *API {
		return &API{Name: name, To: "http://127.0.0.1:1/x", Output: ".", With: []With{
			{Var: "a", API: of, Params: "{}"}, {Var: "b", API: of, Params: "{}"}, {Var: "c", API: of, Params: "{}"},
		}}
	}
	top := three("top", "middle")
	top.To = ""
	if err := link(t, top, three("middle", "leaf"), &API{Name: "leaf", To: "http://127.0.0.1:1/x"}); err != nil {
		t.Error(err)
	}
}

// A test shows the steps of each part, and sends nothing that may change something
// unless it is live.
func TestTracesOfAChain(t *testing.T) {
	var orders atomic.Int32
	apis := twoCalls(t, says(ann), func(w http.ResponseWriter, r *http.Request) error {
		orders.Add(1)
		return says(`{"number":"7"}`)(w, r)
	}, func(_, _, order *API) { order.Method = "POST" })
	params := map[string]any{"tel": "13800138000"}
	outline := func(trace adminapi.Trace) string {
		var b strings.Builder
		var write func(steps []adminapi.Step)
		write = func(steps []adminapi.Step) {
			for _, step := range steps {
				b.WriteString(step.Step + ":" + step.Outcome + " ")
				if step.Steps != nil {
					b.WriteString("[")
					write(step.Steps)
					b.WriteString("] ")
				}
			}
		}
		write(trace.Steps)
		return b.String()
	}
	trace, err := apis["both"].Test(context.Background(), adminapi.Test{Params: params})
	if err != nil || trace.Outcome != "dry_run" || orders.Load() != 0 {
		t.Errorf("%v, %+v, %d orders", err, trace, orders.Load())
	}
	if want := "receive:ok chain:ok [receive:ok request:ok call:ok verdict:ok output:ok ] chain:dry_run [receive:ok request:ok call:dry_run ] "; outline(trace) != want {
		t.Errorf("got %s, want %s", outline(trace), want)
	}
	trace, err = apis["both"].Test(context.Background(), adminapi.Test{Params: params, Live: true})
	if err != nil || trace.Outcome != "ok" || orders.Load() != 1 {
		t.Errorf("%v, %+v, %d orders", err, trace, orders.Load())
	}
	if want := "chain:ok [receive:ok request:ok call:ok verdict:ok output:ok ] output:ok contract:ok answer:ok "; !strings.HasSuffix(outline(trace), want) {
		t.Errorf("got %s, want %s", outline(trace), want)
	}
	if text, _ := json.Marshal(trace.Steps); strings.Contains(string(text), "13800138000") {
		t.Errorf("the number is not masked: %s", text)
	}
	if state := apis["order"].route.State; len(state.Failures("")) > 0 {
		t.Error("a part of a test counts")
	}
}

// A list whose root element is another one has no elements: a test says so.
func TestTraceOfAListOfAnotherRoot(t *testing.T) {
	xml := func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "text/xml")
		_, err := w.Write([]byte(`<Envelope><Orders><Order/></Orders></Envelope>`))
		return err
	}
	for list, want := range map[string]string{
		"Orders/Order":          "no element of the answer matches list Orders/Order; its root is Envelope",
		"Envelope/Orders/Order": "",
		"Envelope/Orders/Other": "",
	} {
		apis := app(t, single(t, "orders", xml, func(a *API) {
			a.Answer, a.Output = &Answer{Encoding: "xml", List: []string{list}}, `{count: (.Orders.Order | length)}`
		}))
		trace, err := apis["orders"].Test(context.Background(), adminapi.Test{})
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(trace.Steps, func(s adminapi.Step) bool { return s.Step == "verdict" })
		if i < 0 || trace.Steps[i].Note != want {
			t.Errorf("%s: %+v", list, trace.Steps)
		}
	}
}

// BenchmarkChain is two calls and what puts their answers together. It is to be
// compared with two of BenchmarkPart.
func BenchmarkChain(b *testing.B) {
	shape := func(a *API) {
		a.Success, a.NotFound = `.code == "000000"`, ".data == null"
		a.Query, a.Output = "{tel: .tel}", "{name: .data.nick, vip: .data.isVip, order: .data.orderId}"
		a.Default = `{name: "", vip: "2", order: ""}`
	}
	for name, second := range map[string]string{"SideBySide": "{tel: .tel}", "InOrder": "{tel: ($one.name + .tel)}"} {
		b.Run(name, func(b *testing.B) {
			apis := app(b, &API{
				Name: "both", Output: `{name: $one.name, order: $two.order}`, Default: `{name: "", order: ""}`,
				With: []With{{Var: "one", API: "one", Params: "{tel: .tel}"}, {Var: "two", API: "two", Params: second}},
			}, single(b, "one", new(reply).answer, shape), single(b, "two", new(reply).answer, shape))
			benchmark(b, apis["both"])
		})
	}
	b.Run("Single", func(b *testing.B) {
		benchmark(b, app(b, single(b, "one", new(reply).answer, shape))["one"])
	})
}

func benchmark(b *testing.B, a *API) {
	b.Helper()
	original := httptest.NewRequest(http.MethodGet, "http://localhost/order?tel=13800138000", nil)
	b.ReportAllocs()
	for b.Loop() {
		w := discard{make(http.Header)}
		r := caddyhttp.PrepareRequest(original, caddy.NewReplacer(), w, new(caddyhttp.Server))
		if err := a.ServeHTTP(w, r, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func (g *reply) answer(w http.ResponseWriter, r *http.Request) error {
	return g.ServeHTTP(w, r, nil)
}
