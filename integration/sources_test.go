package integration

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// OAuth 2.0 client credentials, in the body and as Basic, with the lifetime in
// each of its spellings.
func TestOAuth2(t *testing.T) {
	for _, form := range []provider.ExpiresIn{"number", "string", "float"} {
		for _, dialect := range []string{"oauth2", "oauth2_basic"} {
			t.Run(fmt.Sprint(dialect, " ", form), func(t *testing.T) {
				api := startProvider(t, provider.Options{ExpiresIn: form})
				caddy := start(t, api, setup{tokens: `
		token partner {
			dialect ` + dialect + `
			credential client_id {env.CRM_APP_KEY}
			credential client_secret {env.CRM_APP_SECRET}
			obtain {API}/oauth2/token
		}`, site: strings.Replace(orderBlock, "token crm", "token partner", 1)})
				if got := harness.Get(t, caddy.URL("/ivr/order?tel=13800138000")); got.Body != known {
					t.Errorf("got %s", got.Body)
				}
				if n := api.Ledger().Count(provider.OAuth2, "ok"); n != 1 {
					t.Errorf("%d sign-ins, want 1", n)
				}
			})
		}
	}
}

// A source that can only refresh begins with a refresh token of its own.
func TestRefreshAlone(t *testing.T) {
	api := startProvider(t, provider.Options{Seed: "the-first-refresh-token"})
	caddy := start(t, api, setup{tokens: `
		token partner {
			credential refresh_token {env.SEED}
			refresh {API}/token/refresh
			lifetime 2m
		}`, site: strings.Replace(orderBlock, "token crm", "token partner", 1), env: []string{"SEED=the-first-refresh-token"}})
	url := caddy.URL("/ivr/order?tel=13800138000")
	if got := harness.Get(t, url); got.Body != known {
		t.Fatalf("got %s", got.Body)
	}
	api.Expire()
	if got := harness.Get(t, url); got.Body != known {
		t.Errorf("after the token's death: got %s", got.Body)
	}
	if twice := api.Ledger().RefreshTokensUsedTwice(); len(twice) > 0 {
		t.Errorf("refresh tokens were sent twice: %v", twice)
	}
}

// A request that is signed with the token is made anew for the replay: its
// signature fits the new token, and the time and nonce in it are one.
func TestASignedRequestIsMadeAnew(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: `
	api /ivr/order order {
		to {API}/open/order/query
		method POST
		token crm
		body ` + "`{tel: .tel, sign: ($token + ($timestamp | tostring) | md5), timestamp: $timestamp, nonce: $nonce}`" + `
		headers ` + "`{\"X-Tenant\": (\"\\($timestamp)|\\($nonce)|\\($app_key)|\\($body | length > 0)|\\($url | endswith(\"/open/order/query\"))\")}`" + `
		output ` + "`{name: .data.nick}`" + `
		default ` + "`{name: \"\"}`" + `
	}`})
	url := caddy.URL("/ivr/order?tel=13800138000")
	harness.Get(t, url)
	api.Expire()
	before := api.Ledger().Last()
	if got := harness.Get(t, url); got.Body != `{"_status":"ok","name":"张三"}` {
		t.Fatalf("got %s", got.Body)
	}
	calls := api.Ledger().Since(before).Kind(provider.API)
	if len(calls) != 2 {
		t.Fatalf("%d calls, want two", len(calls))
	}
	first, second := calls[0].Header.Get("X-Tenant"), calls[1].Header.Get("X-Tenant")
	if first == second || !strings.HasSuffix(second, "|demo-app|true|true") {
		t.Errorf("signed with %q, then with %q", first, second)
	}
	if calls[0].Token == calls[1].Token {
		t.Error("both tries carried the same token")
	}
}

// Without a token, a signed request's refusal says when to come again, as that
// of any other does.
func TestASignedRequestWithoutAToken(t *testing.T) {
	api := startProvider(t, provider.Options{})
	inject(t, api, provider.Fault{Target: provider.TokenGet, Fault: "error-code"})
	caddy := start(t, api, setup{site: `
	api /ivr/order order {
		to {API}/open/order/query
		token crm
		query ` + "`{sign: ($token | md5)}`" + `
	}`})
	got := harness.Get(t, caddy.URL("/ivr/order?tel=13800138000"))
	if got.Status != 503 || got.Header.Get("Retry-After") == "" {
		t.Errorf("got %d %v %s, want 503 with Retry-After", got.Status, got.Header, got.Body)
	}
}

// A base URL that the token endpoint gives is kept with the token, and used on
// the hosts that are allowed.
func TestABaseURLKeptWithTheToken(t *testing.T) {
	api := startProvider(t, provider.Options{})
	secure := httptest.NewTLSServer(api)
	defer secure.Close()
	source := func(hosts string) string {
		return `
		token partner {
			credential app_key {env.CRM_APP_KEY}
			credential app_secret {env.CRM_APP_SECRET}
			obtain {API}/token/get
			lifetime 2m
			keep ` + "`{base: \"" + secure.URL + "\", code: .code}`" + ` hosts ` + hosts + `
		}`
	}
	site := `
	api /ivr/order order {
		to {token.base}/open/order/query
		method GET
		token partner
		query ` + "`{tel: .tel}`" + `
		output ` + "`{name: .data.nick}`" + `
		default ` + "`{name: \"\"}`" + `
		reverse_proxy {
			transport http {
				tls_insecure_skip_verify
			}
		}
	}`
	for hosts, want := range map[string]string{
		"127.0.0.1":     `{"_status":"ok","name":"张三"}`,
		"*.example.com": `{"_status":"no_token","name":""}`,
	} {
		caddy := start(t, api, setup{tokens: source(hosts), site: site})
		if got := harness.Get(t, caddy.URL("/ivr/order?tel=13800138000")); got.Body != want {
			t.Errorf("hosts %s: got %s, want %s", hosts, got.Body, want)
		}
	}
}

// Programs in files, definitions for all of them, and one block in several
// servers.
func TestProgramsInFiles(t *testing.T) {
	api := startProvider(t, provider.Options{})
	dir := t.TempDir()
	for name, text := range map[string]string{
		"lib.jq":   "def vip: .data.isVip == \"1\";",
		"order.jq": "{name: .data.nick,\n vip: vip} # {$NOT_A_VARIABLE} {path}",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	second := harness.FreePort(t)
	caddy := start(t, api, setup{dir: dir, tokens: "\n\t\tdefine @lib.jq", before: `
(order) {
	api /ivr/order order {
		to {API}/open/order/query
		method GET
		token crm
		query ` + "`{tel: .tel}`" + `
		output @order.jq
		default ` + "`{name: \"\", vip: \"false\"}`" + `
	}
}`, site: fmt.Sprintf(`
	import order
}
http://localhost:%d {
	bind 127.0.0.1
	import order`, second)})
	for _, url := range []string{caddy.URL("/ivr/order"), fmt.Sprintf("http://localhost:%d/ivr/order", second)} {
		if got := harness.Get(t, url+"?tel=13800138000"); got.Body != `{"_status":"ok","name":"张三","vip":"true"}` {
			t.Errorf("got %s", got.Body)
		}
	}
}

// Numbers keep their digits on both ways.
func TestNumbersAreExact(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: `
	api /ivr/echo echo {
		to {API}/echo
		token crm
		body .
		output ` + "`.body | fromjson`" + `
	}`})
	const exact = `{"a":9007199254740993,"b":1.10,"c":12345678901234567890,"d":1e2}`
	got := harness.Do(t, harness.Request(t, "POST", caddy.URL("/ivr/echo"), "application/json", exact))
	// fromjson is jq's own reading of numbers; what is sent on is to the letter
	sent := ""
	for _, e := range api.Ledger().Kind(provider.API) {
		sent = e.Body
	}
	if sent != exact {
		t.Errorf("the API got %s, want %s (and we %s)", sent, exact, got.Body)
	}
}
