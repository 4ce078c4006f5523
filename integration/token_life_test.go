package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// partnerBlock is a token source at the provider's OAuth 2.0 endpoint, with
// programs of its own.
func partnerBlock(programs string) string {
	return `
		token partner {
			dialect none
			credential client_id {env.CRM_APP_KEY}
			credential client_secret {env.CRM_APP_SECRET}
			obtain {API}/oauth2/token {
				form ` + "`{grant_type: \"client_credentials\", client_id: $client_id, client_secret: $client_secret}`" + `
			}
			lifetime 2m
			` + programs + `
		}`
}

var partnerOrder = strings.Replace(orderBlock, "token crm", "token partner", 1)

// One 429 with "Retry-After: 1" cost five minutes of service.
func TestASignInThatIsPutOff(t *testing.T) {
	for _, status := range []int{429, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			api := startProvider(t, provider.Options{})
			inject(t, api, provider.Fault{Target: provider.TokenGet, Fault: "status", Status: status, Times: 1})
			caddy := start(t, api, setup{})
			harness.Eventually(t, 10*time.Second, "an answer", func() bool {
				return harness.Get(t, caddy.URL("/ivr/order?tel=13800138000")).Body == known
			})
			if n := len(api.Ledger().Kind(provider.TokenGet)); n != 2 {
				t.Errorf("%d sign-ins, want 2", n)
			}
		})
	}
}

// Answers of a token endpoint that are not JSON gave no token for good.
func TestTokenAnswersOfOtherKinds(t *testing.T) {
	for fault, programs := range map[string]string{
		"as-form":        "access_token `.access_token`\n\t\t\texpires_in `.expires_in`",
		"as-text":        "access_token .",
		"as-header":      "access_token `$headers[\"x-subject-token\"]`",
		"number-refresh": "access_token `.access_token`\n\t\t\trefresh_token `.refresh_token`",
	} {
		t.Run(fault, func(t *testing.T) {
			api := startProvider(t, provider.Options{})
			inject(t, api, provider.Fault{Target: provider.OAuth2, Fault: fault})
			caddy := start(t, api, setup{tokens: partnerBlock(programs), site: partnerOrder})
			if got := harness.Get(t, caddy.URL("/ivr/order?tel=13800138000")); got.Body != known {
				t.Errorf("got %s", got.Body)
			}
		})
	}
}

// One record that answers 401 whatever the token must neither renew it without
// end nor hide that the token has died.
func TestARecordThatIsAlwaysRefused(t *testing.T) {
	api := startProvider(t, provider.Options{})
	inject(t, api, provider.Fault{Target: provider.API, Path: "/open/customer/C1002", Fault: "status", Status: 401})
	caddy := start(t, api, setup{site: `
	api /ivr/customer customer {
		to {API}/open/customer
		method GET
		token crm
		path ` + "`[.id]`" + `
		output ` + "`{name: .data.nick}`" + `
		default ` + "`{name: \"\"}`" + `
	}`})
	const good = `{"_status":"ok","name":"张三"}`
	ask := func(id string) string { return harness.Get(t, caddy.URL("/ivr/customer?id="+id)).Body }
	if got := ask("C1001"); got != good {
		t.Fatalf("got %s", got)
	}
	before := api.Ledger().Last()
	for range 20 {
		if got := ask("C1002"); strings.Contains(got, `"ok"`) {
			t.Fatalf("the refused record: %s", got)
		}
		if got := ask("C1001"); got != good {
			t.Fatalf("beside the refused record: %s", got)
		}
	}
	if n := len(api.Ledger().Since(before).TokenCalls()); n != 1 {
		t.Errorf("%d renewals for one record, want 1", n)
	}
	api.Expire()
	died := time.Now()
	harness.Eventually(t, 5*time.Second, "a new token", func() bool { return ask("C1001") == good })
	if took := time.Since(died); took > 2*time.Second {
		t.Errorf("a dead token was replaced after %v", took)
	}
}

// An API whose transport has a token source that the API itself doesn't name: a
// refusal had no source to ask for its reason.
func TestARefusalWithATransportOfItsOwn(t *testing.T) {
	api := startProvider(t, provider.Options{})
	inject(t, api, provider.Fault{Target: provider.API, Fault: "status", Status: 401})
	caddy := start(t, api, setup{site: `
	api /ivr/order order {
		to {API}/open/order/query
		method GET
		query ` + "`{tel: .tel}`" + `
		output ` + "`{name: .data.nick}`" + `
		default ` + "`{name: \"\"}`" + `
		reverse_proxy {
			transport switchboard {
				token crm
			}
		}
	}`})
	if got := harness.Get(t, caddy.URL("/ivr/order?tel=13800138000")); got.Body != `{"_status":"token_refused","name":""}` {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
}

// What the endpoint said was dropped, and so was the rule that a kept URL broke.
func TestWhyThereIsNoToken(t *testing.T) {
	for name, test := range map[string]struct {
		fault    provider.Fault
		programs string
		want     string
	}{
		"the endpoint's words": {
			provider.Fault{Target: provider.OAuth2, Fault: "error-code", Code: "900001"},
			"access_token `.access_token`", `code 900001): the answer holds no token; the endpoint says "system busy"`,
		},
		"HTML": {
			provider.Fault{Target: provider.OAuth2, Fault: "html"}, "access_token `.access_token`", "HTML instead of JSON",
		},
		"a kept URL": {
			provider.Fault{}, "access_token `.access_token`\n\t\t\tkeep `{base: \"http://eu.example.com\"}` hosts *.example.com", "keep: base is not an https URL",
		},
	} {
		t.Run(name, func(t *testing.T) {
			api := startProvider(t, provider.Options{})
			if test.fault.Fault != "" {
				inject(t, api, test.fault)
			}
			caddy := start(t, api, setup{tokens: partnerBlock(test.programs), site: partnerOrder})
			if got := harness.Get(t, caddy.URL("/ivr/order?tel=13800138000")); !strings.Contains(got.Body, "no_token") {
				t.Errorf("got %s", got.Body)
			}
			out, err := caddy.Command("switchboard", "--address", caddy.Admin, "tokens")
			if err != nil || !strings.Contains(out, test.want) {
				t.Errorf("got %v %s, want %q", err, out, test.want)
			}
			if strings.Contains(out, "demo-secret") {
				t.Error("the secret is shown")
			}
		})
	}
}
