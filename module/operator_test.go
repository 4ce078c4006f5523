package switchboard_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/call"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	_ "github.com/switchboard-ivr/switchboard/module/customer/sqlite"
)

// Tokens are listed without their values, and renewed.
func TestTokensOverTheAdminAPI(t *testing.T) {
	api := startProvider(t)
	cfg, socket := directoryConfig(t, `token crm {
		credential app_key demo-app
		credential app_secret demo-secret
		obtain `+api.URL()+`/token/get
		refresh `+api.URL()+`/token/refresh
		lifetime 2m
	}
	token fixed {
		static s3cret-static
	}
	token signs {
		dialect none
		credential key s3cret-key
	}
	token wrong {
		credential app_key demo-app
		credential app_secret s3cret-wrong
		obtain `+api.URL()+`/token/get
		lifetime 2m
		warm off
	}`)
	app := run(t, cfg)
	first := held(t, app)
	client, err := adminapi.New("unix/" + socket)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := client.Tokens(t.Context())
	if err != nil || len(tokens) != 3 {
		t.Fatalf("%+v, %v", tokens, err)
	}
	crm, fixed := tokens[0], tokens[1]
	if crm.Name != "crm" || crm.Generation == 0 || crm.Fingerprint != first.Current().Fingerprint() || time.Until(crm.Expires) > 2*time.Minute || crm.NextAttempt.IsZero() {
		t.Errorf("%+v", crm)
	}
	if fixed.Name != "fixed" || !fixed.Static || fixed.State != "fresh" || !fixed.Expires.IsZero() {
		t.Errorf("%+v", fixed)
	}
	renewed, err := client.RenewToken(t.Context(), "crm")
	if err != nil || renewed.Generation != crm.Generation+1 || renewed.Fingerprint == crm.Fingerprint {
		t.Errorf("%+v, %v", renewed, err)
	}
	for name, want := range map[string]struct {
		status int
		says   string
	}{
		"fixed": {http.StatusConflict, "static"},
		"signs": {http.StatusNotFound, "only holds credentials"},
		"nope":  {http.StatusNotFound, "defined are: crm, fixed, signs, wrong"},
		"wrong": {http.StatusBadGateway, "could not be renewed"},
	} {
		_, err := client.RenewToken(t.Context(), name)
		if status(err) != want.status || !strings.Contains(err.Error(), want.says) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	one, err := app.Operator().Token("wrong")
	if err != nil || one.State != "failing" || one.LastError == "" || strings.Contains(one.LastError, "s3cret") {
		t.Errorf("%+v, %v", one, err)
	}
}

func TestTheLastHourOverTheAdminAPI(t *testing.T) {
	cfg, socket := directoryConfig(t, "")
	app := run(t, cfg)
	if err := app.RegisterAPI("order", "f", new(fakeAPI)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		app.APIState("order").Count(call.OK, 20*time.Millisecond)
	}
	app.APIState(switchboard.LookupName).Count(call.NotFound, time.Millisecond)
	client, err := adminapi.New("unix/" + socket)
	if err != nil {
		t.Fatal(err)
	}
	hour, err := client.Hour(t.Context(), "order")
	if err != nil || hour.Calls != 3 || hour.Outcomes["ok"] != 3 || hour.P50 < 18 || hour.P50 > 22 || len(hour.Minutes) != 60 {
		t.Errorf("%+v, %v", hour, err)
	}
	if hour, err = client.Hour(t.Context(), switchboard.LookupName); err != nil || hour.Outcomes["not_found"] != 1 {
		t.Errorf("%+v, %v", hour, err)
	}
	if _, err := client.Hour(t.Context(), "nope"); status(err) != http.StatusNotFound {
		t.Errorf("%v", err)
	}
}

// A search finds customers by what a lookup would, and says nothing of them in
// its errors.
func TestSearch(t *testing.T) {
	cfg, socket := directoryConfig(t, "customers sqlite {DIR}/c.db\nregion CN")
	app := run(t, cfg)
	client, err := adminapi.New("unix/" + socket)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"C1", "C2"} {
		if _, err := client.PutCustomer(t.Context(), id, []byte(`{"nick":"Ann","tel":"13800138000"}`)); err != nil {
			t.Fatal(err)
		}
	}
	o := app.Operator()
	for name, test := range map[string]struct {
		params map[string]any
		found  int
		says   string
	}{
		"tel":           {params: map[string]any{"tel": "+86 138-0013-8000"}, found: 2},
		"tel and id":    {params: map[string]any{"tel": "13800138000", "id": "C2"}, found: 1},
		"a stranger":    {params: map[string]any{"tel": "13900139000"}},
		"no number":     {params: map[string]any{"tel": "anonymous"}},
		"nothing":       {params: map[string]any{"tel": " "}, says: "give an id"},
		"not one value": {params: map[string]any{"tel": []any{"13800138000"}}, says: "tel is not one text"},
	} {
		found, err := o.Search(t.Context(), test.params)
		if len(found) != test.found || (err != nil) != (test.says != "") || err != nil && (!strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "138")) {
			t.Errorf("%s: %d, %v", name, len(found), err)
		}
	}
	if where, err := o.Location(); err != nil || !strings.HasPrefix(where, "sqlite ") {
		t.Errorf("%s, %v", where, err)
	}
	d, err := o.Directory(t.Context())
	if err != nil || d.Count != 2 {
		t.Errorf("%+v, %v", d, err)
	}
}
