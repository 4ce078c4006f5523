package integration

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// tested asks the admin API for a test call.
func tested(t *testing.T, caddy *harness.Caddy, api, body string) (adminapi.Trace, string) {
	t.Helper()
	got := harness.Do(t, harness.Request(t, "POST", "http://"+caddy.Admin+"/switchboard/apis/"+api+"/test", "application/json", body))
	var trace adminapi.Trace
	if err := json.Unmarshal([]byte(got.Body), &trace); err != nil || got.Status != 200 {
		t.Fatalf("got %d %s: %v", got.Status, got.Body, err)
	}
	return trace, got.Body
}

func stepNames(t adminapi.Trace) string {
	names := make([]string, len(t.Steps))
	for i, step := range t.Steps {
		names[i] = step.Step
	}
	return strings.Join(names, " ")
}

// A test tells every step of a call, and says where it went wrong.
func TestATestTellsItsSteps(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: orderBlock + `
	api /cached cached {
		to {API}/open/order/query
		method POST
		token crm
		body ` + "`{tel: .tel}`" + `
		output ` + "`{name: .data.nick}`" + `
		default ` + "`{name: \"\"}`" + `
		cache 1m
	}
	api /write write {
		to {API}/free/echo
		method POST
		body ` + "`{tel: .tel}`" + `
		output ` + "`{method: .method}`" + `
		default ` + "`{method: \"\"}`" + `
	}`})
	const params = `{"params":{"tel":"13800138000"}}`
	trace, _ := tested(t, caddy, "order", params)
	if stepNames(trace) != "receive token request call verdict output contract answer" || string(trace.Answer) != known || trace.Outcome != "ok" {
		t.Errorf("got %s: %s, %s", stepNames(trace), trace.Outcome, trace.Answer)
	}
	for _, step := range trace.Steps {
		if step.Outcome != "ok" {
			t.Errorf("step %s: %s", step.Step, step.Outcome)
		}
	}
	t.Run("a cache", func(t *testing.T) {
		trace, _ := tested(t, caddy, "cached", params)
		if stepNames(trace) != "receive cache token request call verdict output contract answer" {
			t.Errorf("a miss: got %s", stepNames(trace))
		}
		harness.Eventually(t, 5*time.Second, "a hit", func() bool {
			trace, _ = tested(t, caddy, "cached", params)
			return stepNames(trace) == "receive cache contract answer"
		})
		if trace, _ = tested(t, caddy, "cached", `{"params":{"tel":"13800138000"},"no_cache":true}`); !strings.Contains(stepNames(trace), "call") {
			t.Errorf("no_cache: got %s", stepNames(trace))
		}
	})
	t.Run("a dry run", func(t *testing.T) {
		before := orders(api)
		for _, body := range []string{`{"params":{"tel":"1"},"dry_run":true}`, `{"params":{"tel":"1"}}`} {
			name := "write"
			trace, _ := tested(t, caddy, name, body)
			if trace.Outcome != "dry_run" || stepNames(trace) != "receive request call" || trace.Answer != nil {
				t.Errorf("%s: got %s %s %s", body, trace.Outcome, stepNames(trace), trace.Answer)
			}
		}
		if n := orders(api) - before; n != 0 {
			t.Errorf("%d calls of the API in dry runs", n)
		}
		if trace, _ := tested(t, caddy, "write", `{"params":{"tel":"1"},"live":true}`); string(trace.Answer) != `{"_status":"ok","method":"POST"}` {
			t.Errorf("live: got %s", trace.Answer)
		}
	})
	t.Run("a fresh token", func(t *testing.T) {
		before := len(api.Ledger().TokenCalls())
		tested(t, caddy, "order", `{"params":{"tel":"13800138000"},"fresh_token":true}`)
		if n := len(api.Ledger().TokenCalls()) - before; n != 1 {
			t.Errorf("%d token calls", n)
		}
	})
	t.Run("a dead token", func(t *testing.T) {
		api.Expire()
		if trace, _ := tested(t, caddy, "order", params); !strings.Contains(stepNames(trace), "verdict replay output") || trace.Outcome != "ok" {
			t.Errorf("got %s: %s", stepNames(trace), trace.Outcome)
		}
	})
	for _, tc := range []struct{ fault, outcome, at string }{
		{"hang", "timeout", "call"},
		{"html", "bad_answer", "verdict"},
		{"error-code", "rejected", "verdict"},
		{"reset", "unreachable", "call"},
		{"huge", "too_large", "call"},
	} {
		t.Run(tc.fault, func(t *testing.T) {
			inject(t, api, provider.Fault{Target: provider.API, Fault: tc.fault})
			defer api.ClearFaults()
			trace, _ := tested(t, caddy, "order", params)
			at := slices.IndexFunc(trace.Steps, func(s adminapi.Step) bool { return s.Outcome == tc.outcome })
			if trace.Outcome != tc.outcome || at < 0 || trace.Steps[at].Step != tc.at || trace.Check == "" || trace.Reason == "" {
				t.Errorf("got %s, %s at %d: %+v", trace.Outcome, stepNames(trace), at, trace)
			}
		})
	}
	t.Run("bad tests", func(t *testing.T) {
		for body, want := range map[string]string{
			`[`:                       "not one JSON document",
			`{"params":1}`:            "write e.g.",
			`{"path":"x"}`:            "path must begin with /",
			`{"headers":{"a b":"c"}}`: "is not a header",
			`{"method":"GET","params":{"a":{"b":1}}}`: "use POST",
		} {
			got := harness.Do(t, harness.Request(t, "POST", "http://"+caddy.Admin+"/switchboard/apis/order/test", "application/json", body))
			if got.Status != 400 || !strings.Contains(got.Body, want) {
				t.Errorf("%s: got %d %s", body, got.Status, got.Body)
			}
		}
	})
}

// The answer of a test is the answer of a call, byte for byte.
func TestATestIsACall(t *testing.T) {
	api := startProvider(t, provider.Options{})
	var site strings.Builder
	shapes := []string{"format json", "format flat", "format form", "format text", "for kamailio", "for twilio", "for talkdesk", "on_failure error", "cache 1h", "cache 1h {\n key `.a`\n }"}
	for i, shape := range shapes {
		output := "`{a: $params.a, b: {c: [$params.b, 1.10, null, true, 9007199254740993]}, m: .method, q: .rawquery, f: (if $params.c == \"x\" then error(\"no\") else .length end)}`"
		if shape == "format text" {
			output = "`{a: $params.a}`"
		}
		def := "default `{a: \"none\"}`"
		fmt.Fprintf(&site, "\tapi /p%d p%d {\n to {API}/free/echo\n query `{a: .a, n: .b}`\n output %s\n %s\n %s\n }\n", i, i, output, def, shape)
	}
	caddy := start(t, api, setup{site: site.String()})
	random := rand.New(rand.NewPCG(4, 2))
	words := []string{"", "x", "13800138000", "ann@example.com", `"quoted" \ $var(x)`, "张三 🙂", "a+b c&d=e", "1.10", "line\nbreak", "{env.HOME}", "<b>"}
	for i := range 200 {
		params := make(map[string]string)
		values := make(url.Values)
		for _, name := range []string{"a", "b", "c"} {
			if random.IntN(4) > 0 {
				params[name] = words[random.IntN(len(words))]
				values.Set(name, params[name])
			}
		}
		n := random.IntN(len(shapes))
		body, err := json.Marshal(map[string]any{"params": params})
		if err != nil {
			t.Fatal(err)
		}
		trace, _ := tested(t, caddy, fmt.Sprintf("p%d", n), string(body))
		got := harness.Get(t, caddy.URL(fmt.Sprintf("/p%d?%s", n, values.Encode())))
		answer := string(trace.Answer)
		if !strings.HasPrefix(got.Header.Get("Content-Type"), "application/json") {
			var text string
			if err := json.Unmarshal(trace.Answer, &text); err != nil {
				t.Fatalf("%s: %v", trace.Answer, err)
			}
			answer = text
		}
		if answer != got.Body || trace.Status != got.Status {
			t.Fatalf("case %d, %s with %v:\ntest %d %s\ncall %d %s", i, shapes[n], params, trace.Status, answer, got.Status, got.Body)
		}
	}
}

// A customer lookup is tested as an API is: each of them where there are several, by
// the admin API and the command.
func TestALookupIsTested(t *testing.T) {
	caddy := startDirectory(t)
	putCustomer(t, caddy, "C1001", zhang)
	const params = `{"params":{"tel":"+86 138-0013-8000"}}`
	trace, _ := tested(t, caddy, "customer_lookup.2", params)
	if got := stepNames(trace); got != "receive call answer" || trace.Outcome != "ok" {
		t.Errorf("steps %s, outcome %s", got, trace.Outcome)
	}
	called := lookUp(t, caddy, "GET", "/ivr/customer?tel=13800138000", "", "")
	if string(trace.Answer) != called.Body || trace.Status != called.Status {
		t.Errorf("test %s\ncall %s", trace.Answer, called.Body)
	}
	steps, _ := json.Marshal(trace.Steps)
	for _, canary := range []string{"13800138000", "Example.com"} {
		if strings.Contains(string(steps), canary) {
			t.Errorf("the steps hold %s: %s", canary, steps)
		}
	}
	if trace, _ := tested(t, caddy, "customer_lookup.1", params); !strings.Contains(string(trace.Answer), `"field_9":"gold"`) {
		t.Errorf("the second lookup: %s", trace.Answer)
	}
	if trace, _ := tested(t, caddy, "customer_lookup.2", `{"params":{"tel":"anonymous"}}`); trace.Outcome != "not_found" {
		t.Errorf("a withheld number: %s", trace.Outcome)
	}
	if trace, _ := tested(t, caddy, "customer_lookup.2", `{"dry_run":true,"params":{"tel":"13800138000"}}`); trace.Outcome != "dry_run" || trace.Answer != nil {
		t.Errorf("a dry run: %s %s", trace.Outcome, trace.Answer)
	}
	got := harness.Do(t, harness.Request(t, "POST", "http://"+caddy.Admin+"/switchboard/apis/customer_lookup/test", "application/json", params))
	if got.Status != 409 || !strings.Contains(got.Body, "customer_lookup.1 (all fields) or customer_lookup.2 (fields id nick isVip tel)") {
		t.Errorf("without a number: %d %s", got.Status, got.Body)
	}
	if out, err := caddy.Command("switchboard", "test", "customer_lookup.2", "tel=13800138000", "--address", caddy.Admin); err != nil || !strings.Contains(out, "张三") {
		t.Errorf("%v: %s", err, out)
	}
}

// Nothing that is secret, and nobody's number or address, is in the steps of a
// call, in what is kept of calls that failed, or in the log.
func TestTracesKeepSecrets(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{global: "debug", site: `
	api /order order {
		to {API}/open/order/query
		method POST
		token crm
		query ` + "`{tel: .tel, mail: .who, k: $app_secret, t: $token}`" + `
		body ` + "`{tel: .tel, text: \"call \\(.tel) or \\(.who), \\($token)\"}`" + `
		headers ` + "`{\"X-Who\": .who, \"X-Plain\": \"\\(.tel) \\($app_secret)\"}`" + `
		output ` + "`{name: .data.nick, all: (.data | tojson)}`" + `
		default ` + "`{name: \"\"}`" + `
		success ` + "`.code == \"000000\" and $params.fail == null`" + `
	}`})
	for _, query := range []string{"tel=13800138000&who=ann.canary@example.com", "tel=13800138000&who=ann.canary@example.com&fail=1&call_id=c-7"} {
		harness.Get(t, caddy.URL("/order?"+query))
	}
	_, text := tested(t, caddy, "order", `{"live":true,"params":{"tel":"13800138000","who":"ann.canary@example.com","fail":"1"}}`)
	failures := harness.Get(t, "http://"+caddy.Admin+"/switchboard/apis/order/failures?call_id=c-7").Body
	if !strings.Contains(failures, `"outcome":"rejected"`) || !strings.Contains(failures, `"call_id":"c-7"`) {
		t.Errorf("the failed call isn't found by its id: %s", failures)
	}
	if other := harness.Get(t, "http://"+caddy.Admin+"/switchboard/apis/order/failures?call_id=none").Body; other != "[]\n" {
		t.Errorf("another id: got %s", other)
	}
	canaries := []string{"13800138000", "ann.canary", "demo-secret"}
	for _, entry := range api.Ledger() {
		if entry.Token != "" {
			canaries = append(canaries, entry.Token)
		}
	}
	for _, canary := range canaries {
		for where, shown := range map[string]string{"the trace": text, "what is kept": failures} {
			if strings.Contains(shown, canary) {
				t.Errorf("%s holds %s:\n%s", where, canary, shown)
			}
		}
	}
}

// The commands, as an operator types them.
func TestTheTestCommands(t *testing.T) {
	api := startProvider(t, provider.Options{})
	s := setup{}
	caddy := start(t, api, s)
	run := func(want string, args ...string) string {
		t.Helper()
		out, err := caddy.Command(append([]string{"switchboard"}, args...)...)
		if failed := err != nil; failed != strings.HasPrefix(want, "!") || !strings.Contains(out, strings.TrimPrefix(want, "!")) {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
		return out
	}
	address := []string{"--address", caddy.Admin}
	out := run("order: ok in", append(address, "test", "order", "tel=13800138000")...)
	for _, step := range []string{"receive ", "token ", "request ", "call ", "verdict ", "output ", "contract ", "answer ", "curl -H", `"amount":1.10`, known} {
		if !strings.Contains(out, step) {
			t.Errorf("no %s in\n%s", step, out)
		}
	}
	var trace adminapi.Trace
	if err := json.Unmarshal([]byte(run(`"outcome": "ok"`, append(address, "test", "order", "tel=13800138000", "--json")...)), &trace); err != nil || len(trace.Steps) != 8 {
		t.Errorf("%v: %+v", err, trace)
	}
	run("dry_run", append(address, "test", "order", "tel=1", "--dry-run")...)
	run("!is not a valid param", append(address, "test", "order", "tel")...)
	run("!there is no api nope; there are: order", append(address, "test", "nope")...)
	run("crm ", append(address, "tokens")...)
	run("crm ", append(address, "tokens", "renew", "crm")...)
	run("!token nope is not defined", append(address, "tokens", "renew", "nope")...)

	inject(t, api, provider.Fault{Target: provider.API, Fault: "error-code", Times: 1})
	harness.Get(t, caddy.URL("/ivr/order?tel=13800138000&call_id=night-3"))
	run("night-3", append(address, "last", "order")...)
	run("verdict", append(address, "last", "order", "--call", "night-3")...)
	run("!no failed call with this id", append(address, "last", "order", "--call", "none")...)

	file := filepath.Join(t.TempDir(), "cases.ndjson")
	write := func(lines ...string) {
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	vip := `{"name":"a VIP","api":"order","params":{"tel":"13800138000"},"outcome":"ok","answer":".vip == \"1\""}`
	write("# the demo's", "", vip, `{"api":"order","params":{"tel":"10000000000"},"outcome":"IN(\"ok\",\"not_found\")"}`)
	run("ok    line 3, a VIP", append(address, "cases", file)...)
	write(vip, `{"name":"wrong","api":"order","params":{"tel":"13800138000"},"answer":".vip == \"2\""}`)
	run("!1 of 2 cases failed", append(address, "cases", file)...)
	for line, want := range map[string]string{"{": "!line 1: not a case", `{"api":"order"}`: "!a case needs an expected result", "": "!no cases", `{"outcome":"ok"}`: "!\"api\" is missing"} {
		write(line)
		run(want, append(address, "cases", file)...)
	}

	// a configuration of its own, with a secret that is wrong
	api2 := startProvider(t, provider.Options{})
	config := filepath.Join(t.TempDir(), "Caddyfile")
	text := strings.NewReplacer("{ADMIN}", "127.0.0.1:1", "{PORT}", "1").Replace(s.caddyfile(api2))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	alone := func(secret string) (string, error) {
		return harness.Command(t, dir, []string{"CRM_APP_KEY=demo-app", "CRM_APP_SECRET=" + secret}, "switchboard", "test", "order", "tel=13800138000", "--config", config, "--adapter", "caddyfile")
	}
	if out, err := alone("demo-secret"); err != nil || !strings.Contains(out, known) {
		t.Errorf("%v\n%s", err, out)
	}
	dir = t.TempDir()
	out, err := alone("wrong")
	for _, want := range []string{"no_token", "refused", "check", "credentials"} {
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("with a wrong secret: no %s: %v\n%s", want, err, out)
		}
	}
	if strings.Contains(out, "wrong") {
		t.Errorf("the secret is shown:\n%s", out)
	}
}
