package switchboard_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// consented gives what a browser brings back from the URL of a consent.
func consented(t *testing.T, from string) url.Values {
	t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Get(from)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	to, err := res.Location()
	if err != nil {
		t.Fatal(err)
	}
	return to.Query()
}

func TestConsentOverTheAdminAPI(t *testing.T) {
	api := startProvider(t)
	cfg, socket := directoryConfig(t, strings.ReplaceAll(`token mail {
		dialect oauth2_code
		credential client_id demo-app
		credential client_secret demo-secret
		authorize API/oauth2/authorize
		obtain API/oauth2/token
		refresh API/oauth2/token
	}
	token fixed {
		static x
	}
	token keys {
		credential app_key k
	}`, "API", api.URL()))
	run(t, cfg)
	var ready switchboard.Ready
	if err := ready.Provision(caddy.ActiveContext()); err != nil {
		t.Fatal(err)
	}
	if ok, err := ready.MatchWithError(nil); !ok || err != nil {
		t.Errorf("not ready before a consent: %v", err)
	}
	client, err := adminapi.New("unix/" + socket)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"fixed": http.StatusConflict, "keys": http.StatusNotFound, "none": http.StatusNotFound} {
		if _, err := client.BeginConsent(t.Context(), name, adminapi.Connect{}); status(err) != want {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := client.EndConsent(t.Context(), name, adminapi.Redirected{State: "x", Code: "c"}); status(err) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, with := range []adminapi.Connect{{Redirect: "http://crm.example.com"}, {Port: -1}, {Port: 70_000}} {
		if _, err := client.BeginConsent(t.Context(), "mail", with); status(err) != http.StatusBadRequest {
			t.Errorf("%+v: %v", with, err)
		}
	}
	begin := func() adminapi.Consent {
		begun, err := client.BeginConsent(t.Context(), "mail", adminapi.Connect{Port: 4711})
		if err != nil || begun.Redirect != "http://127.0.0.1:4711/callback" {
			t.Fatalf("%+v, %v", begun, err)
		}
		return begun
	}
	begun := begin()
	if _, err := client.EndConsent(t.Context(), "mail", adminapi.Redirected{State: begun.State, Error: "access_denied"}); status(err) != http.StatusBadGateway || !strings.Contains(err.Error(), "the consent was denied") {
		t.Errorf("denied: %v", err)
	}
	if _, err := client.EndConsent(t.Context(), "mail", adminapi.Redirected{State: begin().State, Code: "x"}); status(err) != http.StatusBadGateway || !strings.Contains(err.Error(), "unknown_code") {
		t.Errorf("a code of nobody's: %v", err)
	}
	begun = begin()
	back := consented(t, begun.URL)
	if back.Get("state") != begun.State {
		t.Fatalf("the redirect carries %v", back)
	}
	with := adminapi.Redirected{State: begun.State, Code: back.Get("code")}
	got, err := client.EndConsent(t.Context(), "mail", with)
	if err != nil || got.State != "fresh" || got.Generation != 1 || got.Name != "mail" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := client.EndConsent(t.Context(), "mail", with); status(err) != http.StatusBadRequest {
		t.Errorf("again: %v", err)
	}
	if n := len(api.Ledger().TokenCalls()); n != 2 {
		t.Errorf("%d token calls, want 2", n)
	}
}
