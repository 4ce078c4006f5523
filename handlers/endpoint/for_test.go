package endpoint_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/internal/answer"
	"github.com/switchboard-ivr/switchboard/internal/call"
	switchboard "github.com/switchboard-ivr/switchboard/module"
)

// made is the route of the settings, in a configuration with a phone system of
// its own.
func made(t *testing.T, s endpoint.Settings, d endpoint.Defaults) (*endpoint.Route, error) {
	t.Helper()
	cfg := new(caddy.Config)
	if err := json.Unmarshal([]byte(`{"admin":{"disabled":true},"apps":{"switchboard":{"phone_systems":{
		"pbx":{"format":"form","limit":100,"field_limit":9,"budget":700000000,"filter":["dollar"],"on_failure":"error"},
		"tiny":{"limit":20}}}}}`), cfg); err != nil {
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
	return s.New(ctx, app.(*switchboard.App), "test", d)
}

// answered is what a call of the route gets, and how much time it has.
func answered(t *testing.T, r *endpoint.Route, outcome call.Outcome, output any) (*httptest.ResponseRecorder, time.Duration) {
	t.Helper()
	w := httptest.NewRecorder()
	c := new(endpoint.Call)
	c.Begin(r, w, caddyhttp.PrepareRequest(httptest.NewRequest(http.MethodGet, "/", nil), caddy.NewReplacer(), w, new(caddyhttp.Server)))
	defer c.End()
	c.Outcome, c.Output = outcome, output
	if err := c.Answer(nil); err != nil {
		t.Fatal(err)
	}
	return w, r.Budget()
}

// Naming the phone system is enough: format, budget and habit are its own, and
// what is written beside it wins.
func TestForSetsWhatIsNotWritten(t *testing.T) {
	const second = time.Second
	for name, test := range map[string]struct {
		settings endpoint.Settings
		ok       string // the answer {"n": 1, "s": "$"}
		budget   time.Duration
		failure  int
	}{
		"none":       {endpoint.Settings{}, `{"_status":"ok","n":1,"s":"$"}`, second, 200},
		"asterisk":   {endpoint.Settings{For: "asterisk"}, `{"_status":"ok","n":"1","s":"$"}`, 5 * second, 200},
		"connect":    {endpoint.Settings{For: "connect"}, `{"_status":"ok","n":"1","s":"$"}`, 1800 * time.Millisecond, 200},
		"cxone":      {endpoint.Settings{For: "cxone"}, `{"_status":"ok","n":1,"s":"$"}`, second, 200},
		"freeswitch": {endpoint.Settings{For: "freeswitch"}, `{"_status":"ok","n":"1","s":"＄"}`, second, 200},
		"genesys":    {endpoint.Settings{For: "genesys"}, `{"_status":"ok","n":1,"s":"$"}`, second, 504},
		"gladly":     {endpoint.Settings{For: "gladly"}, `{"_status":"ok","n":1,"s":"$"}`, 1500 * time.Millisecond, 200},
		"jambonz":    {endpoint.Settings{For: "jambonz"}, `{"_status":"ok","n":1,"s":"$"}`, 4 * second, 200},
		"kamailio":   {endpoint.Settings{For: "kamailio"}, `{"_status":"ok","n":"1","s":"＄"}`, 3 * second, 200},
		"sobot":      {endpoint.Settings{For: "sobot"}, `{"_status":"ok","n":"1","s":"$"}`, second, 200},
		"talkdesk":   {endpoint.Settings{For: "talkdesk"}, `{"_status":"ok","n":1,"s":"$"}`, 2 * second, 200},
		"twilio":     {endpoint.Settings{For: "twilio"}, `{"_status":"ok","n":1,"s":"$"}`, 4 * second, 504},
		"one's own":  {endpoint.Settings{For: "pbx"}, `_status=ok&n=1&s=%EF%BC%84`, 700 * time.Millisecond, 504},
		"written": {
			endpoint.Settings{For: "pbx", Format: "json", Budget: caddy.Duration(2 * second), OnFailure: "default", StatusField: "off"},
			`{"n":1,"s":"＄"}`, 2 * second, 200,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := made(t, test.settings, endpoint.Defaults{Subject: "the API", Budget: second, StatusField: "_status", HasDefault: true})
			if err != nil {
				t.Fatal(err)
			}
			r.Contract = answer.NewContract(map[string]any{"s": ""})
			got, budget := answered(t, r, call.OK, map[string]any{"n": 1, "s": "$"})
			if got.Code != 200 || got.Body.String() != test.ok {
				t.Errorf("got %d %s, want %s", got.Code, got.Body, test.ok)
			}
			if budget != test.budget {
				t.Errorf("budget %v, want %v", budget, test.budget)
			}
			if got, _ := answered(t, r, call.Timeout, nil); got.Code != test.failure {
				t.Errorf("a failure gives %d %s, want %d", got.Code, got.Body, test.failure)
			}
		})
	}
	if _, err := made(t, endpoint.Settings{For: "pxb"}, endpoint.Defaults{Budget: second}); err == nil || !strings.Contains(err.Error(), "custom ones: pbx") {
		t.Errorf("an unknown one: %v", err)
	}
}

// Over a limit, nothing is cut: the default takes the answer's place, and says
// why. An error passes the same filter.
func TestForNeverCutsAnAnswer(t *testing.T) {
	r, err := made(t, endpoint.Settings{For: "pbx", OnFailure: "default"}, endpoint.Defaults{Budget: time.Second, StatusField: "_status", HasDefault: true})
	if err != nil {
		t.Fatal(err)
	}
	r.Contract = answer.NewContract(map[string]any{"s": ""})
	for name, output := range map[string]map[string]any{
		"an answer": {"a": "123456789", "b": "123456789", "c": "123456789", "d": "123456789", "e": "123456789", "f": "123456789", "g": "123456789", "h": "123456789"},
		"a value":   {"s": "1234567890"},
	} {
		if got, _ := answered(t, r, call.OK, output); got.Code != 200 || got.Body.String() != "_status=too_large&s=" {
			t.Errorf("%s: got %d %s", name, got.Code, got.Body)
		}
	}
}

// An error passes the same filter, and is no longer than an answer may be.
func TestErrorsForAPhoneSystem(t *testing.T) {
	for name, test := range map[string]struct{ system, body string }{
		"no phone system": {"", `{"error":{"message":"the \"$API\" did not answer in time","outcome":"timeout"}}`},
		"kamailio":        {"kamailio", `{"error":{"message":"the \"＄API\" did not answer in time","outcome":"timeout"}}`},
		"asterisk":        {"asterisk", `{"error":{"message":"the '$API' did not answer in time","outcome":"timeout"}}`},
		"values of 9":     {"pbx", `{"error":{"outcome":"timeout"}}`},
		"20 bytes":        {"tiny", ``},
	} {
		r, err := made(t, endpoint.Settings{For: test.system, OnFailure: "error"}, endpoint.Defaults{Budget: time.Second, Subject: `the "$API"`})
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := answered(t, r, call.Timeout, nil); got.Code != 504 || got.Body.String() != test.body {
			t.Errorf("%s: got %d %s", name, got.Code, got.Body)
		}
	}
}
