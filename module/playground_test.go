package switchboard_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

func TestPlayground(t *testing.T) {
	cfg, _ := directoryConfig(t, "phone_system pbx {\n format flat\n }\n define `def twice: . * 2;`")
	app := run(t, cfg)
	if err := app.RegisterAPI("order", "f", new(fakeAPI)); err != nil {
		t.Fatal(err)
	}
	app.APIState("order")
	o := app.Operator()
	if api, err := o.API("order"); err != nil || strings.Join(api.Params, " ") != "tel" {
		t.Errorf("%+v, %v", api, err)
	}
	bench, err := o.Playground("order")
	if err != nil || bench.Output != ".data" || !strings.Contains(" "+strings.Join(bench.Systems, " ")+" ", " kamailio pbx sobot ") {
		t.Errorf("%+v, %v", bench, err)
	}
	for name, want := range map[string]int{"nope": http.StatusNotFound} {
		if _, err := o.Playground(name); status(err) != want {
			t.Errorf("the bench of %s: %v", name, err)
		}
		if _, err := o.RunPlayground(t.Context(), name, switchboard.PlaygroundInput{}); status(err) != want {
			t.Errorf("trying %s: %v", name, err)
		}
	}

	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	for _, tt := range []struct {
		draft  switchboard.PlaygroundInput
		result string
		text   string
		wrong  string
	}{
		{switchboard.PlaygroundInput{Output: ".a | twice", Answer: raw(`{"a":4}`), For: "pbx"}, "8", "8 for pbx", ""},
		{switchboard.PlaygroundInput{Output: "$status", Answer: raw("{}")}, "200", "200 for ", ""},
		{switchboard.PlaygroundInput{Output: "$params.tel", Answer: raw("{}"), Vars: map[string]json.RawMessage{"params": raw(`{"tel":"7"}`)}}, `"7"`, "7 for ", ""},
		{switchboard.PlaygroundInput{Answer: raw(`"as it is"`)}, `"as it is"`, "as it is for ", ""},
		{switchboard.PlaygroundInput{Output: ".a.", Answer: raw("{}")}, "", "", "line 1"},
		{switchboard.PlaygroundInput{Output: "until(false; .)", Answer: raw("{}")}, "", "", "too long"},
		{switchboard.PlaygroundInput{Answer: raw(strings.Repeat("[", 2000) + strings.Repeat("]", 2000))}, "", "", "too large"},
	} {
		done, err := o.RunPlayground(t.Context(), "order", tt.draft)
		if err != nil || string(done.Result) != tt.result || done.Text != tt.text || !strings.Contains(done.Error, tt.wrong) || (tt.wrong == "") != (done.Error == "") {
			t.Errorf("%s: %+v, %v", tt.draft.Output, done, err)
		}
	}
	for name, draft := range map[string]switchboard.PlaygroundInput{
		"a phone system that is unknown": {Output: ".", For: "pigeon"},
		"a variable that is unknown":     {Output: ".", Vars: map[string]json.RawMessage{"token": raw(`"x"`)}},
	} {
		if _, err := o.RunPlayground(t.Context(), "order", draft); status(err) != http.StatusBadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A customer lookup has a name when it is tested: its own, or a number where there
// are several.
func TestLookupsAreTestedByName(t *testing.T) {
	cfg, _ := directoryConfig(t, "")
	app := run(t, cfg)
	o := app.Operator()
	test := func(name string) error {
		_, err := o.Test(context.Background(), name, adminapi.Test{})
		return err
	}
	if err := test(switchboard.LookupName); status(err) != http.StatusNotFound || len(o.Lookups()) != 0 {
		t.Errorf("without a lookup: %v", err)
	}
	app.RegisterLookup("one", "all fields", new(fakeAPI))
	app.RegisterLookup("one", "all fields", new(fakeAPI)) // in another server
	if err := test(switchboard.LookupName); err != nil || len(o.Lookups()) != 1 {
		t.Errorf("one: %v, %v", o.Lookups(), err)
	}
	app.RegisterLookup("two", "for asterisk", new(fakeAPI))
	err := test(switchboard.LookupName)
	if status(err) != http.StatusConflict || !strings.Contains(err.Error(), "customer_lookup.1 (all fields) or customer_lookup.2 (for asterisk)") {
		t.Errorf("which of two: %v", err)
	}
	for name, want := range map[string]int{"customer_lookup.1": 0, "customer_lookup.2": 0, "customer_lookup.3": http.StatusNotFound} {
		if err := test(name); (want == 0) != (err == nil) || want != 0 && status(err) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
