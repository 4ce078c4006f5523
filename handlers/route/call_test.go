package route_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/switchboard-ivr/switchboard/handlers/route"
	"github.com/switchboard-ivr/switchboard/module"
)

// begin starts a call of a route with the settings.
func begin(t *testing.T, s route.Settings, r *http.Request) *route.Call {
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
	made, err := s.New(ctx, app.(*module.App), "test", route.Defaults{Budget: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	c := new(route.Call)
	c.Begin(made, w, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server)))
	t.Cleanup(c.End)
	return c
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
		c := begin(t, route.Settings{CallID: program}, r.Clone(t.Context()))
		if !c.Receive(false) {
			t.Fatal(c.Reason)
		}
		if c.Identify(); c.ID != want {
			t.Errorf("%s: got %q, want %q", program, c.ID, want)
		}
	}
}
