package endpoint_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/internal/call"
	switchboard "github.com/switchboard-ivr/switchboard/module"
)

// begin starts a call of a route with the settings.
func begin(t *testing.T, s endpoint.Settings, r *http.Request) *endpoint.Call {
	t.Helper()
	c := beginOn(provision(t, "test", s), r)
	t.Cleanup(c.End)
	return c
}

// beginOn starts a call of a route.
func beginOn(made *endpoint.Route, r *http.Request) *endpoint.Call {
	w := httptest.NewRecorder()
	c := new(endpoint.Call)
	c.Begin(made, w, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server)))
	return c
}

func provision(t *testing.T, name string, s endpoint.Settings) *endpoint.Route {
	t.Helper()
	cfg := new(caddy.Config)
	if err := json.Unmarshal([]byte(`{"admin":{"disabled":true},"apps":{"switchboard":{}}}`), cfg); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(cfg)
	if err != nil {
		t.Fatal(err)
	}
	app, err := ctx.App("switchboard")
	if err != nil {
		t.Fatal(err)
	}
	made, err := s.New(ctx, app.(*switchboard.App), name, endpoint.Defaults{Budget: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// A call_id program that asks for $request gets it, though no other program
// does. Once it got null, and every call had a made-up id.
func TestCallIDFromTheRequest(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/?uniqueid=7", nil)
	r.Header.Set("X-Call", "c-42")
	for program, want := range map[string]string{
		`$request.headers["x-call"]`: "c-42",
		`.uniqueid`:                  "7",
		`.uniqueid + "-" + $request.headers["x-call"]`: "7-c-42",
	} {
		c := begin(t, endpoint.Settings{CallID: program}, r.Clone(t.Context()))
		if !c.Receive(false) {
			t.Fatal(c.Reason)
		}
		if c.Identify(); c.ID != want {
			t.Errorf("%s: got %q, want %q", program, c.ID, want)
		}
	}
}

// A test that failed on a healthy API once set switchboard_api_degraded, and one
// that succeeded on an unhealthy API cleared it.
func TestATestChangesNoHealth(t *testing.T) {
	made := provision(t, t.Name(), endpoint.Settings{})
	synctest.Test(t, func(t *testing.T) {
		end := func(outcome call.Outcome, ctx context.Context) {
			c := beginOn(made, httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
			c.Outcome = outcome
			c.End()
		}
		test := endpoint.WithTest(t.Context(), new(endpoint.TestOptions))
		for _, outcome := range []call.Outcome{call.Failed, call.Timeout, call.NoToken, call.DryRun} {
			if end(outcome, test); made.State.Degraded() {
				t.Errorf("a test that ends as %s degrades a healthy API", outcome)
			}
		}
		end(call.Failed, t.Context())
		if !made.State.Degraded() {
			t.Fatal("a call that fails doesn't degrade an API")
		}
		time.Sleep(time.Minute)
		if end(call.OK, test); !made.State.Degraded() {
			t.Error("a test that goes well ends the degradation")
		}
		if end(call.OK, t.Context()); made.State.Degraded() {
			t.Error("a call that goes well doesn't end the degradation")
		}
	})
}
