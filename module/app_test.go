package switchboard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"go.uber.org/goleak"

	"github.com/switchboard-ivr/switchboard/integration/provider"
	"github.com/switchboard-ivr/switchboard/internal/call"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/sandbox"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[2] == sandbox.Command { // a program's process
		if err := sandbox.Serve(os.Stdin, os.Stdout); err != nil {
			panic(err)
		}
		return
	}
	caddy.RegisterModule(spy{})
	var err error
	if storage, err = os.MkdirTemp("", "switchboard-"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m,
		goleak.Cleanup(func(code int) {
			_ = os.RemoveAll(storage)
			os.Exit(code)
		}),
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// storage holds a folder for each test, all removed at the end: a token may
// still be stored when its test is over.
var storage string

// spy is an event handler that records events.
type spy struct{}

var events = make(chan caddy.Event, 100)

func (spy) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.test_spy", New: func() caddy.Module { return new(spy) }}
}

func (spy) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name
	return nil
}

func (spy) Handle(_ context.Context, e caddy.Event) error {
	events <- e
	return nil
}

var _ caddyevents.Handler = spy{}

// config is a configuration with one token source. What stands in more goes
// into the global options.
func config(t *testing.T, api *provider.Server, source, more string) *caddy.Config {
	t.Helper()
	dir, err := os.MkdirTemp(storage, "") //nolint:usetesting // it outlives the test
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`{
	admin off
	storage file_system %s
	%s
	switchboard {
		token crm {
			credential app_key demo-app
			credential app_secret demo-secret
			obtain %s/token/get
			refresh %s/token/refresh
			lifetime 2m
			%s
		}
	}
}
`, dir, more, api.URL(), api.URL(), source)
	return adapted(t, text)
}

func adapted(t *testing.T, text string) *caddy.Config {
	t.Helper()
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := new(caddy.Config)
	if err := json.Unmarshal(config, cfg); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func startProvider(t *testing.T) *provider.Server {
	t.Helper()
	api := provider.New(provider.Options{})
	if err := api.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	return api
}

// run runs a configuration until the test ends, and gives its app.
func run(t *testing.T, cfg *caddy.Config) *switchboard.App {
	t.Helper()
	if err := caddy.Run(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Stop leaves the admin server; a configuration without one ends it
		_ = caddy.Run(&caddy.Config{Admin: &caddy.AdminConfig{Disabled: true}})
		_ = caddy.Stop()
	})
	app, err := caddy.ActiveContext().App("switchboard")
	if err != nil {
		t.Fatal(err)
	}
	return app.(*switchboard.App)
}

func TestATokenBeforeTheFirstCall(t *testing.T) {
	api := startProvider(t)
	app := run(t, config(t, api, "", `events {
		on token_renewed test_spy
		on token_failed test_spy
	}`))
	e := next(t)
	if e.Name() != switchboard.EventTokenRenewed || e.Data["token"] != "crm" || e.Data["how"] != "obtain" {
		t.Errorf("the event is %s with %v", e.Name(), e.Data)
	}
	source, err := app.Token("crm")
	if err != nil {
		t.Fatal(err)
	}
	held, err := source.Token(t.Context())
	if err != nil || held.Fingerprint() != e.Data["fingerprint"] {
		t.Errorf("the token held is %v, %v", held, err)
	}
	for name, want := range map[string]bool{"crm": true, "cmr": false} {
		if _, err := app.Token(name); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		} else if err != nil && !strings.Contains(err.Error(), "defined are: crm") {
			t.Errorf("%v doesn't say which there are", err)
		}
	}
	if _, err := app.Issuer("partner"); err == nil || !strings.Contains(err.Error(), "add `switchboard { issuer partner { … } }`") {
		t.Errorf("an unknown issuer: %v", err)
	}
}

func next(t *testing.T) caddy.Event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(10 * time.Second):
		t.Fatal("no event came")
		return caddy.Event{}
	}
}

func TestAFailureIsAnEvent(t *testing.T) {
	api := startProvider(t)
	if err := api.Inject(provider.Fault{Target: provider.TokenGet, Fault: "error-code"}); err != nil {
		t.Fatal(err)
	}
	run(t, config(t, api, "", "events {\n\t\ton token_failed test_spy\n\t}"))
	e := next(t)
	if e.Name() != switchboard.EventTokenFailed || e.Data["token"] != "crm" || strings.Contains(fmt.Sprint(e.Data), "demo-secret") {
		t.Errorf("the event is %s with %v", e.Name(), e.Data)
	}
}

// A reload keeps the keeper as long as nothing of its source has changed.
func TestAReloadKeepsTheKeeper(t *testing.T) {
	api := startProvider(t)
	cfg := config(t, api, "", "")
	before := held(t, run(t, cfg))
	again := *cfg
	after := held(t, run(t, reloaded(t, &again)))
	if before.Keeper != after.Keeper {
		t.Error("the same source got another keeper")
	}
	if n := len(api.Ledger().TokenCalls()); n != 1 {
		t.Errorf("%d token calls, want 1", n)
	}
}

func held(t *testing.T, app *switchboard.App) *switchboard.TokenSource {
	t.Helper()
	source, err := app.Token("crm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := source.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	return source
}

// reloaded is a configuration as it comes a second time: from its JSON.
func reloaded(t *testing.T, cfg *caddy.Config) *caddy.Config {
	t.Helper()
	text, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	again := new(caddy.Config)
	if err := json.Unmarshal(text, again); err != nil {
		t.Fatal(err)
	}
	return again
}

func TestMetricsOfTokensAndCalls(t *testing.T) {
	api := startProvider(t)
	app := run(t, config(t, api, "", "metrics\n\tevents {\n\t\ton token_renewed test_spy\n\t}"))
	next(t) // the renewal has been counted before the event is sent
	counters := app.Metrics().API("order")
	counters.Ended(call.OK, time.Millisecond)
	counters.Ended(call.Timeout, time.Second)
	counters.Step(switchboard.StepCall, time.Millisecond)
	counters.Step(switchboard.StepToken, 0)
	counters.Unhealthy()
	found := map[string]int{}
	active := caddy.ActiveContext()
	families, err := active.GetMetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		found[family.GetName()] = len(family.GetMetric())
	}
	for name, want := range map[string]int{
		"switchboard_calls_total": 2, "switchboard_call_duration_seconds": 1, "switchboard_step_duration_seconds": 5,
		"switchboard_unhealthy_total": 1, "switchboard_token_state": 1, "switchboard_token_generation": 1,
		"switchboard_token_expiry_timestamp_seconds": 1, "switchboard_token_renewals_total": 1,
	} {
		if found[name] != want {
			t.Errorf("%d of %s, want %d", found[name], name, want)
		}
	}
	var none *switchboard.Metrics
	quiet := none.API("order") // metrics that aren't there count nothing
	quiet.Ended(call.OK, time.Second)
	quiet.Step(switchboard.StepCall, time.Second)
	quiet.Unhealthy()
}

func TestReady(t *testing.T) {
	api := startProvider(t)
	if err := api.Inject(provider.Fault{Target: provider.TokenGet, Fault: "hang"}); err != nil {
		t.Fatal(err)
	}
	app := run(t, config(t, api, "timeout 60s", ""))
	matcher := new(switchboard.Ready)
	for text, want := range map[string]bool{"switchboard_ready": true, "switchboard_ready now": false, "switchboard_ready {\n x\n}": false} {
		if err := matcher.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); (err == nil) != want {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := matcher.Provision(caddy.ActiveContext()); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	if ok, err := matcher.MatchWithError(r); ok || err != nil {
		t.Errorf("without a token: %v, %v", ok, err)
	}
	api.ClearFaults()
	api.Stop() // ends what hangs
	if err := api.Restart(); err != nil {
		t.Fatal(err)
	}
	held(t, app)
	if ok, err := matcher.MatchWithError(r); !ok || err != nil {
		t.Errorf("with a token: %v, %v", ok, err)
	}
}

// One name is one API: the same settings may come again, others may not.
func TestOneNameIsOneAPI(t *testing.T) {
	app := run(t, config(t, startProvider(t), "warm off", ""))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := app.RegisterAPI("order", "a", nil); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := app.RegisterAPI("order", "b", nil); err == nil || !strings.Contains(err.Error(), "api order is defined twice") {
		t.Errorf("other settings: %v", err)
	}
	if err := app.RegisterAPI("customer", "b", nil); err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(app.APIs()); got != "[customer order]" {
		t.Errorf("the APIs are %s", got)
	}
}

// Validating and a failed load call nobody, and leave nothing behind.
func TestValidateCallsNobody(t *testing.T) {
	api := startProvider(t)
	if err := caddy.Validate(config(t, api, "", "")); err != nil {
		t.Fatal(err)
	}
	broken := config(t, api, "", "")
	broken.AppsRaw["http"] = json.RawMessage(`{"servers":{"s":{"routes":[{"handle":[{"handler":"nonsense"}]}]}}}`)
	if err := caddy.Run(broken); err == nil {
		t.Error("a broken configuration runs")
		_ = caddy.Stop()
	}
	app := new(switchboard.App)
	if err := app.Cleanup(); err != nil {
		t.Errorf("cleaning up what was never provisioned: %v", err)
	}
	for _, text := range []string{
		`{"tokens":{"crm":null}}`, `{"issuers":{"p":null}}`, `{"define":"def f: ;"}`, `{"tokens":{"crm":{"static":"{env.NOT_SET_AT_ALL}"}}}`,
		`{"issuers":{"p":{"clients":[{"key":"a","secret":""}]}}}`,
	} {
		cfg := &caddy.Config{Admin: &caddy.AdminConfig{Disabled: true}, AppsRaw: caddy.ModuleMap{"switchboard": json.RawMessage(text)}}
		if err := caddy.Validate(cfg); err == nil {
			t.Errorf("%s is valid", text)
		}
	}
	if n := len(api.Ledger()); n != 0 {
		t.Errorf("the provider was called %d times", n)
	}
}

func TestTheOptionRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"switchboard extra":                                                                              "wrong argument count",
		"switchboard {\n tokn crm\n}":                                                                    "unrecognized subdirective 'tokn' of switchboard; known are cache_size, customers, define, issuer, phone_system, region and token",
		"switchboard {\n define `def f: .;` more\n}":                                                     "wrong argument count",
		"switchboard {\n define `def f: ;`\n}":                                                           "define",
		"switchboard {\n define .\n}":                                                                    "define",
		"switchboard {\n define `def f: 1;`\n define `def g: 1;`\n}":                                     "define is already set",
		"switchboard {\n token a {\n static x\n}\n token a {\n static y\n}\n}":                           "token a is already defined",
		"switchboard {\n issuer a {\n client k s\n}\n issuer a {\n client k s\n}\n}":                     "issuer a is already defined",
		"switchboard {\n issuer a {\n nonsense\n}\n}":                                                    "nonsense",
		"switchboard {\n token a {\n static x\n}\n}\nswitchboard {\n token b {\n static x\n}\n}":         "switchboard is already set",
		"switchboard {\n token define {\n static x\n}\n define `def g: 1;`\n token t {\n nonsense\n}\n}": "nonsense",
	} {
		_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte("{\n"+text+"\n}\n"), map[string]any{"filename": "Caddyfile"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", text, err, want)
		}
	}
}
