package switchboard_test

import (
	"context"
	"encoding/json"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

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
			t.Errorf("the playground of %s: %v", name, err)
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
		{switchboard.PlaygroundInput{Output: "$customer.name", Answer: raw("null"), Vars: map[string]json.RawMessage{"customer": raw(`{"name":"Ann"}`)}}, `"Ann"`, "Ann for ", ""},
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

// Whatever somebody types, it ends within the budget, and the server lives.
func TestPlaygroundEndsHostilePrograms(t *testing.T) {
	cfg, _ := directoryConfig(t, "")
	app := run(t, cfg)
	if err := app.RegisterAPI("order", "f", new(fakeAPI)); err != nil {
		t.Fatal(err)
	}
	o := app.Operator()
	deep := json.RawMessage(strings.Repeat("[", 2000) + strings.Repeat("]", 2000))
	large := json.RawMessage("[" + strings.Repeat("0,", 200_000) + "0]")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, tt := range []struct {
		program string
		answer  json.RawMessage
		wrong   string
	}{
		{"repeat(1) | empty", nil, "jq: took too long"},
		{"def f: 1 + f; f", nil, "jq: took too long"},
		{"[range(1e9)]", nil, "jq: took too long"},
		{"[limit(100000000; repeat(1))]", nil, "jq: too"},
		{`"x" * 1e9`, nil, "jq: too"},
		{`[range(10) | "x" * 8000000]`, nil, "jq: too"}, // more than a program in production may
		{"reduce range(60) as $i ([0]; . + .)", nil, "jq: too"},
		{"reduce range(100000) as $i (null; [.]) | tojson", nil, "jq: too"},
		{"reduce range(40) as $i ([1]; [., .]) | flatten", nil, "jq: too"},
		{"null | .[536870911] = 1", nil, "jq: too"},
		{`gsub("a(.*b)?"; "")`, json.RawMessage(`"` + strings.Repeat("a", 200_000) + `"`), "jq: too"},
		{`error("no")`, nil, "called error"},
		{"env", nil, "env"},
		{"$ENV", nil, "$ENV"},
		{"input", nil, "input"},
		{`include "x"; .`, nil, "modules are off"},
		{strings.Repeat("(", 30_000) + "." + strings.Repeat(")", 30_000), nil, "nested too deeply"},
		{strings.Repeat(".", 70_000), nil, "longer than"},
		{".", deep, "the answer to work on: too large"},
		{".", large, "the answer to work on: too large"},
		{"$secret", nil, "there is no variable $secret"},
	} {
		begin := time.Now()
		if tt.answer == nil {
			tt.answer = json.RawMessage("{}")
		}
		out, err := o.RunPlayground(t.Context(), "order", switchboard.PlaygroundInput{Output: tt.program, Answer: tt.answer})
		if err != nil || !strings.Contains(out.Error, tt.wrong) || strings.Contains(out.Error, "Caddy") {
			t.Errorf("%.50s: %.50s, %q, %v", tt.program, out.Result, out.Error, err)
		}
		if took := time.Since(begin); took > 5*time.Second { // as slow as a busy machine with the race detector may be
			t.Errorf("%.50s: took %v", tt.program, took)
		}
	}
	runtime.ReadMemStats(&after)
	if peak := int64(after.HeapSys) - int64(before.HeapSys); peak > 256<<20 {
		t.Errorf("the heap grew by %d MiB", peak>>20)
	}
	if out, err := o.RunPlayground(t.Context(), "order", switchboard.PlaygroundInput{Output: ".a", Answer: json.RawMessage(`{"a":1}`)}); err != nil || string(out.Result) != "1" {
		t.Errorf("afterwards: %+v, %v", out, err)
	}
}

// Two programs at once: whoever comes while they run waits, or is told.
func TestPlaygroundIsBusy(t *testing.T) {
	cfg, _ := directoryConfig(t, "")
	app := run(t, cfg)
	if err := app.RegisterAPI("order", "f", new(fakeAPI)); err != nil {
		t.Fatal(err)
	}
	o := app.Operator()
	in := switchboard.PlaygroundInput{Output: "1", Answer: json.RawMessage("1")}
	end := switchboard.OccupyPlayground()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := o.RunPlayground(ctx, "order", in); status(err) != http.StatusServiceUnavailable {
		t.Errorf("got %v", err)
	}
	end()
	if out, err := o.RunPlayground(t.Context(), "order", in); err != nil || string(out.Result) != "1" {
		t.Errorf("%+v, %v", out, err)
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
