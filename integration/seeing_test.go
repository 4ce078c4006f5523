package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

func stepOf(t *testing.T, trace adminapi.Trace, name string) adminapi.Step {
	t.Helper()
	for _, step := range trace.Steps {
		if step.Step == name {
			return step
		}
	}
	t.Fatalf("no step %s in %s", name, stepNames(trace))
	return adminapi.Step{}
}

func asText(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Step `contract` of a test that the cache answered showed the defaults. So did one
// of a call that filled the cache.
func TestATestOfACachedAnswerShowsWhatWasSent(t *testing.T) {
	api := startProvider(t, provider.Options{})
	var site strings.Builder
	for _, format := range []string{"json", "flat", "form"} {
		fmt.Fprintf(&site, "%s\n", strings.NewReplacer("/ivr/order order", "/"+format+" "+format, "{MORE}", "format "+format+"\n cache 1h").Replace(orderBlock))
	}
	site.WriteString(strings.NewReplacer("/ivr/order order", "/old old", "{MORE}", "cache 1ms {\n stale 0s 1h\n }").Replace(orderBlock))
	caddy := start(t, api, setup{site: site.String()})
	const params = `{"params":{"tel":"13800138000"}}`
	for _, format := range []string{"json", "flat", "form"} {
		t.Run(format, func(t *testing.T) {
			hit := false
			harness.Eventually(t, 10*time.Second, "a hit", func() bool {
				trace, _ := tested(t, caddy, format, params)
				shown := asText(t, stepOf(t, trace, "contract").Out)
				for _, want := range []string{"张三", "1.10"} {
					if format == "form" && want == "张三" {
						want = "%E5%BC%A0"
					}
					if !strings.Contains(shown, want) {
						t.Fatalf("step contract is without %s: %s, the answer %s", want, shown, trace.Answer)
					}
				}
				hit = stepNames(trace) == "receive cache contract answer"
				return hit
			})
		})
	}
	t.Run("an older answer", func(t *testing.T) {
		tested(t, caddy, "old", params)
		inject(t, api, provider.Fault{Target: provider.API, Fault: "html"})
		defer api.ClearFaults()
		harness.Eventually(t, 10*time.Second, "an older answer", func() bool {
			trace, _ := tested(t, caddy, "old", params)
			return trace.Outcome == "stale" && strings.Contains(asText(t, stepOf(t, trace, "contract").Out), "张三")
		})
	})
}

// After no_token, steps showed a status 503 and a bearer header that never were.
func TestATestWithoutATokenShowsNoAnswer(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{
		env: []string{"CRM_APP_SECRET=wrong"},
		tokens: `
		token other {
			credential app_key {env.CRM_APP_KEY}
			credential app_secret {env.CRM_APP_SECRET}
			obtain {API}/token/get
			refresh {API}/token/refresh
		}`,
		site: orderBlock + strings.NewReplacer("/ivr/order order", "/signed signed", "query `{tel: .tel}`", "query `{tel: .tel, k: $token}`").Replace(orderBlock),
	})
	for name, want := range map[string]string{
		"order":  "receive token request contract answer",
		"signed": "receive token contract answer", // the request could not be made
	} {
		trace, text := tested(t, caddy, name, `{"params":{"tel":"13800138000"}}`)
		if trace.Outcome != "no_token" || stepNames(trace) != want {
			t.Errorf("%s: got %s, %s", name, trace.Outcome, stepNames(trace))
		}
		if step := stepOf(t, trace, "token"); step.Outcome != "no_token" || step.Note != trace.Reason || trace.Reason == "" {
			t.Errorf("%s: step token is %+v, the reason %s", name, step, trace.Reason)
		}
		if ownStatus.MatchString(text) || strings.Contains(text, "Bearer") || strings.Contains(strings.ToLower(text), "x-access-token") || strings.Contains(text, "curl") {
			t.Errorf("%s: the trace tells of what was not sent: %s", name, text)
		}
	}
	got := harness.Get(t, caddy.URL("/ivr/order?tel=13800138000&call_id=c-1"))
	if status := strings.Join(got.Header.Values("Proxy-Status"), " "); strings.Contains(status, "received-status") {
		t.Errorf("the header tells of an answer that never was: %s", status)
	}
	kept := harness.Get(t, "http://"+caddy.Admin+"/switchboard/apis/order/failures?call_id=c-1").Body
	if !strings.Contains(kept, `"outcome":"no_token"`) || strings.Contains(kept, `"step":"call"`) {
		t.Errorf("what is kept: %s", kept)
	}
}

// ownStatus is the status that the flow got instead of an answer, and no part of a
// call id or of a time.
var ownStatus = regexp.MustCompile(`[ :"]503\b`)

// An API that takes the token for dead, where there is no other one, has answered:
// its status is shown, and not the one that the flow got instead.
func TestATestWhoseTokenDies(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{})
	tested(t, caddy, "order", `{"params":{"tel":"13800138000"}}`)
	inject(t, api, provider.Fault{Target: provider.All, Path: "/token", Fault: "status", Status: 500}, provider.Fault{Target: provider.API, Fault: "status", Status: 401})
	trace, text := tested(t, caddy, "order", `{"params":{"tel":"13800138000"}}`)
	if trace.Outcome != "no_token" || stepNames(trace) != "receive token request call contract answer" || ownStatus.MatchString(text) {
		t.Errorf("got %s, %s: %s", trace.Outcome, stepNames(trace), text)
	}
	if out := asText(t, stepOf(t, trace, "call").Out); out != `{"status":401}` {
		t.Errorf("step call: %s", out)
	}
}

// Tests were counted as calls: one that failed set switchboard_api_degraded, and
// opened the breaker for all.
func TestTestsAreNoTraffic(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{global: "metrics", more: "breaker 50% 5 1m\n cache 1ms {\n stale 1h 1h\n }"})
	counted := func() string {
		var kept []string
		for line := range strings.SplitSeq(scrape(t, caddy), "\n") {
			if strings.HasPrefix(line, "switchboard_") && !strings.Contains(line, "token") && !strings.HasPrefix(line, "switchboard_cache_entries") && !strings.HasPrefix(line, "switchboard_cache_bytes") && !strings.HasPrefix(line, "switchboard_cache_dropped") {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "\n")
	}
	before := counted()
	tested(t, caddy, "order", `{"params":{"tel":"13800138000"}}`)
	tested(t, caddy, "order", `{"params":{"tel":"13800138000"},"dry_run":true}`)
	inject(t, api, provider.Fault{Target: provider.API, Fault: "html"})
	for i := range 30 {
		// half of them find an older answer, which is renewed behind
		trace, _ := tested(t, caddy, "order", fmt.Sprintf(`{"params":{"tel":"%d"}}`, 13800138000+i%2))
		if trace.Outcome == "breaker_open" {
			t.Fatal("tests open the breaker")
		}
	}
	if _, err := caddy.Command("switchboard", "test", "order", "tel=13800138009", "--address", caddy.Admin); err == nil {
		t.Error("a failing test is a success")
	}
	api.ClearFaults()
	if after := counted(); after != before {
		t.Errorf("tests changed the metrics from\n%s\nto\n%s", before, after)
	}
	described := harness.Get(t, "http://"+caddy.Admin+"/switchboard/apis/order").Body
	for _, want := range []string{`"degraded":false`, `"calls":0`, `"breaker":"closed"`} {
		if !strings.Contains(described, want) {
			t.Errorf("no %s in %s", want, described)
		}
	}
	if strings.Contains(described, "last_outcome") || strings.Contains(described, "degraded_since") {
		t.Errorf("tests are told as calls: %s", described)
	}
	if kept := harness.Get(t, "http://"+caddy.Admin+"/switchboard/apis/order/failures").Body; kept != "[]\n" {
		t.Errorf("tests are kept as calls that failed: %s", kept)
	}

	// a test is stopped where a call is
	inject(t, api, provider.Fault{Target: provider.API, Fault: "html"})
	for range 5 {
		harness.Get(t, caddy.URL("/ivr/order?tel=13800138005"))
	}
	if trace, _ := tested(t, caddy, "order", `{"params":{"tel":"13800138005"}}`); trace.Outcome != "breaker_open" {
		t.Errorf("with an open breaker: %s", trace.Outcome)
	}
	described = harness.Get(t, "http://"+caddy.Admin+"/switchboard/apis/order").Body
	var told adminapi.API
	if err := json.Unmarshal([]byte(described), &told); err != nil || !told.Degraded || time.Since(told.DegradedSince) > time.Minute || told.Calls != 5 || told.Real == nil || *told.Real != 0 || told.LastOutcome != "bad_answer" {
		t.Errorf("%v: %s", err, described)
	}
}

// What `require` ended was not told at all, and neither was a predicate that failed.
func TestATestTellsOfRequireAndPredicates(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: `
	api /r required {
		to {API}/free/echo
		require tel
		require ` + "`.tel | e164(\"CN\") != null`" + `
		query ` + "`{tel: .tel}`" + `
		success ` + "`.method | has(\"x\")`" + `
		default ` + "`{name: \"\"}`" + `
		cache 1m
	}
	api /w write {
		to {API}/free/echo
		method POST
		default ` + "`{name: \"\"}`" + `
	}`})
	for params, reason := range map[string]string{`{}`: "tel is missing", `{"tel":"anonymous"}`: "condition 1"} {
		trace, _ := tested(t, caddy, "required", `{"params":`+params+`}`)
		step := stepOf(t, trace, "require")
		if stepNames(trace) != "receive require contract answer" || trace.Outcome != "incomplete" || step.Outcome != "incomplete" || !strings.Contains(step.Note, reason) || trace.Check == "" {
			t.Errorf("%s: %s, %s, %+v", params, trace.Outcome, stepNames(trace), step)
		}
	}
	trace, _ := tested(t, caddy, "required", `{"params":{"tel":"13800138000"}}`)
	if step := stepOf(t, trace, "verdict"); stepNames(trace) != "receive require cache request call verdict contract answer" || step.Outcome != "rejected" || !strings.Contains(step.Note, "success") || strings.Count(step.Note, "has(") > 1 {
		t.Errorf("%s: %+v", stepNames(trace), step)
	}
	if trace, _ := tested(t, caddy, "write", `{}`); trace.Reason != "a dry run: the method is POST; write --live to send it" {
		t.Errorf("the dry run of a write: %s", trace.Reason)
	}
	if trace, _ := tested(t, caddy, "write", `{"dry_run":true}`); trace.Reason != "a dry run: the API was not called" {
		t.Errorf("a dry run: %s", trace.Reason)
	}
}

// A program that fails whatever the caller sends was told as the caller's fault, and a
// misspelled credential was not told at all.
func TestAFaultOfTheConfigurationIsNotTheCallers(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{
		tokens: `
		token fixed {
			static {env.FIXED}
			credential kid k1
			credential account a1
		}`,
		site: `
	api /own own {
		to {API}/free/echo
		token fixed
		auth none
		headers ` + "`{\"X-Account\": $account, \"X-Sign\": ($token | error(\"no\"))}`" + `
		default ` + "`{name: \"\"}`" + `
	}
	api /theirs theirs {
		to {API}/free/echo
		token fixed
		auth none
		headers ` + "`{\"X-Sign\": ($token, .tel | error(\"no\"))}`" + `
		default ` + "`{name: \"\"}`" + `
	}
	api /placed placed {
		to {API}/free/echo
		headers X-Of "{query.of}"
		default ` + "`{name: \"\"}`" + `
	}`,
		env: []string{"FIXED=tok"},
	})
	for name, want := range map[string]struct{ outcome, reason, check string }{
		"own":    {"bad_answer", "headers can't be built, whatever the caller sends: ", "the configuration: "},
		"theirs": {"incomplete", "headers can't be built from the params: ", "what the phone system sent"},
	} {
		trace, _ := tested(t, caddy, name, `{}`)
		step := stepOf(t, trace, "request")
		if trace.Outcome != want.outcome || step.Outcome != want.outcome || !strings.HasPrefix(trace.Reason, want.reason) || !strings.HasPrefix(trace.Check, want.check) {
			t.Errorf("%s: %s, step %s, %s; %s", name, trace.Outcome, step.Outcome, trace.Reason, trace.Check)
		}
	}
	if got := harness.Get(t, caddy.URL("/placed?of=a%0ab")); !strings.Contains(got.Body, `"_status":"incomplete"`) {
		t.Errorf("a line break for a header: %s", got.Body)
	}
	if logs := caddy.Logs.String(); !strings.Contains(logs, "no program uses credential kid; the names in use are account") {
		t.Error("nothing is said of the credential that is not used")
	}
}

// What a token endpoint says, and what it was sent, was dropped: nobody could tell a
// wrong signature from a wrong secret.
func TestTheTokenExchangeIsShown(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{env: []string{"CRM_APP_SECRET=wrong-secret"}})
	exchange := func(step adminapi.Step) (shown struct {
		Exchange struct {
			Request struct{ Method, URL string }
			Status  int
			Answer  map[string]any
			Error   string
		}
	},
	) {
		t.Helper()
		if err := json.Unmarshal([]byte(asText(t, step.Out)), &shown); err != nil {
			t.Fatal(err)
		}
		return shown
	}
	trace, text := tested(t, caddy, "order", `{"params":{"tel":"13800138000"}}`)
	shown := exchange(stepOf(t, trace, "token")).Exchange
	if shown.Request.Method != http.MethodPost || !strings.HasSuffix(shown.Request.URL, "/token/get") || shown.Status == 0 || shown.Answer["code"] == nil || shown.Error == "" {
		t.Errorf("step token shows %+v", shown)
	}
	out, err := caddy.Command("switchboard", "tokens", "--address", caddy.Admin)
	for _, want := range []string{"failing", "in ", "refused", "POST ", "/token/get", "answer  "} {
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("tokens is without %q: %v\n%s", want, err, out)
		}
	}
	for _, canary := range []string{"wrong-secret"} {
		if strings.Contains(text, canary) || strings.Contains(out, canary) {
			t.Errorf("%s is shown:\n%s\n%s", canary, text, out)
		}
	}

	well := start(t, api, setup{})
	tested(t, well, "order", `{"params":{"tel":"13800138000"}}`)
	trace, _ = tested(t, well, "order", `{"params":{"tel":"13800138000"}}`)
	if shown := exchange(stepOf(t, trace, "token")).Exchange; shown.Status != 0 {
		t.Errorf("no exchange was made for the second test, and step token shows %+v", shown)
	}
	trace, text = tested(t, well, "order", `{"params":{"tel":"13800138000"},"fresh_token":true}`)
	if shown := exchange(stepOf(t, trace, "token")).Exchange; shown.Status != 200 || trace.Outcome != "ok" {
		t.Errorf("a renewal: %s, %+v", trace.Outcome, shown)
	}
	for _, entry := range api.Ledger() {
		if entry.Token != "" && strings.Contains(text, entry.Token) {
			t.Errorf("a token is shown: %s", text)
		}
	}
}
