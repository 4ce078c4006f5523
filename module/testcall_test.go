package switchboard_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/internal/call"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/once"
)

// fakeAPI is an API whose answers are its params.
type fakeAPI struct{ forgot map[string]any }

func (*fakeAPI) Playground() switchboard.Playground {
	return switchboard.Playground{Output: ".data", Parts: []string{"customer"}}
}

func (*fakeAPI) Writes() *once.Store { return nil }

func (*fakeAPI) Describe(to *adminapi.API) { to.Params = []string{"tel"} }

func (*fakeAPI) WriteOutput(v any, system string, to *switchboard.PlaygroundResult) {
	to.Outcome, to.Text = "ok", fmt.Sprint(v, " for ", system)
}

func (*fakeAPI) Test(_ context.Context, t adminapi.Test) (adminapi.Trace, error) {
	if t.Path == "bad" {
		return adminapi.Trace{}, errors.New("path must begin with /")
	}
	answer, err := json.Marshal(t.Params)
	return adminapi.Trace{API: "order", Outcome: "ok", Answer: answer}, err
}

func (f *fakeAPI) Forget(_ context.Context, params map[string]any) error {
	if params["whole"] != nil {
		return errors.New("purge the whole api")
	}
	f.forgot = params
	return nil
}

func (*fakeAPI) BreakerState() string { return "open" }

func (*fakeAPI) Link() error { return nil }

func TestAnOperatorTestsAndPurges(t *testing.T) {
	cfg, socket := directoryConfig(t, "")
	app := run(t, cfg)
	api := new(fakeAPI)
	if err := app.RegisterAPI("order", "f", api); err != nil {
		t.Fatal(err)
	}
	app.APIState("order")
	client, err := adminapi.New("unix/" + socket)
	if err != nil {
		t.Fatal(err)
	}
	trace, err := client.Test(t.Context(), "order", adminapi.Test{Params: map[string]any{"n": json.Number("9007199254740993")}})
	if err != nil || string(trace.Answer) != `{"n":9007199254740993}` {
		t.Errorf("got %s, %v", trace.Answer, err)
	}
	for name, want := range map[string]int{"nope": http.StatusNotFound} {
		if _, err := client.Test(t.Context(), name, adminapi.Test{}); status(err) != want {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err := client.PurgeCache(t.Context(), adminapi.Purge{API: name, Params: json.RawMessage("{}")}); status(err) != want {
			t.Errorf("purging %s: got %v", name, err)
		}
	}
	if _, err := client.Test(t.Context(), "order", adminapi.Test{Path: "bad"}); status(err) != http.StatusBadRequest {
		t.Errorf("a bad test: got %v", err)
	}

	standing := app.APIState("order")
	for _, id := range []string{"a", "b", "a"} {
		standing.Failed(adminapi.Trace{CallID: id, Outcome: "timeout"})
	}
	for id, want := range map[string]int{"": 3, "a": 2, "c": 0} {
		if found, err := client.Failures(t.Context(), "order", id); err != nil || len(found) != want {
			t.Errorf("%q: got %d, %v", id, len(found), err)
		}
	}
	for range 100 {
		standing.Failed(adminapi.Trace{CallID: "new"})
	}
	if found, err := client.Failures(t.Context(), "order", ""); err != nil || len(found) != 50 || found[49].CallID != "new" {
		t.Errorf("got %d, %v", len(found), err)
	}
	if _, err := client.Failures(t.Context(), "nope", ""); status(err) != http.StatusNotFound {
		t.Errorf("got %v", err)
	}

	kept := keptAnswers(t, app)
	for _, tc := range []struct {
		purge  adminapi.Purge
		status int
		left   string // what is left
	}{
		{adminapi.Purge{API: "order", Params: json.RawMessage(`{"tel":"138","blank":" "}`)}, 0, "lookups order"},
		{adminapi.Purge{API: "order", Params: json.RawMessage(`{"whole":1}`)}, http.StatusConflict, "lookups order"},
		{adminapi.Purge{API: "order", Params: json.RawMessage(`[]`)}, http.StatusBadRequest, "lookups order"},
		{adminapi.Purge{API: "order", Customer: "C1"}, http.StatusBadRequest, "lookups order"},
		{adminapi.Purge{Params: json.RawMessage(`{}`)}, http.StatusBadRequest, "lookups order"},
		{adminapi.Purge{API: "order"}, 0, "lookups"},
		{adminapi.Purge{API: switchboard.LookupName}, 0, "order"},
		{adminapi.Purge{}, 0, ""},
		{adminapi.Purge{Customer: "C1"}, 0, ""},
	} {
		kept.fill()
		_, err := client.PurgeCache(t.Context(), tc.purge)
		var left []string
		if kept.has(switchboard.LookupName) {
			left = append(left, "lookups")
		}
		if kept.has("order") {
			left = append(left, "order")
		}
		if status(err) != tc.status || strings.Join(left, " ") != tc.left {
			t.Errorf("%+v: %v, left are %v", tc.purge, err, left)
		}
	}
	if len(api.forgot) != 1 || api.forgot["tel"] != "138" {
		t.Errorf("forgot %v", api.forgot)
	}
	counted := app.Metrics().API("order")
	counted.Cached("hit")
	counted.Background(call.OK)
	counted.Unhealthy()
	counted.Ended(call.OK, time.Second)
	counted.Step(switchboard.StepCall, time.Second)
	active := caddy.ActiveContext()
	families, err := active.GetMetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, family := range families {
		names[family.GetName()] = true
	}
	for _, name := range []string{"switchboard_held", "switchboard_api_degraded", "switchboard_breaker_state", "switchboard_cache_entries", "switchboard_cache_requests_total", "switchboard_cache_background_total"} {
		if !names[name] {
			t.Errorf("no metric %s", name)
		}
	}
	if one, err := client.APIs(t.Context()); err != nil || len(one) != 1 || one[0].Breaker != "open" {
		t.Errorf("got %+v, %v", one, err)
	}
	if numbers, err := client.Cache(t.Context()); err != nil || numbers.Size != 64<<20 || numbers.Hits == 0 {
		t.Errorf("got %+v, %v", numbers, err)
	}
}

// A configuration for a test has no servers and no log, and says what is wrong.
func TestProvisionStandalone(t *testing.T) {
	app, err := switchboard.ProvisionStandalone([]byte(`{"logging":{"logs":{"default":{"writer":{"output":"file","filename":"/nowhere/at/all.log"}}}},"apps":{"switchboard":{}}}`))
	if err != nil || app == nil {
		t.Errorf("got %v", err)
	}
	for config, want := range map[string]string{
		"{": "reading the configuration",
		`{"apps":{"http":{"servers":{"s":{"routes":[{"handle":[{"handler":"nope"}]}]}}}}}`: "nope",
		`{"apps":{}}`: "neither the app switchboard",
	} {
		if _, err := switchboard.ProvisionStandalone([]byte(config)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", config, err)
		}
	}
}
