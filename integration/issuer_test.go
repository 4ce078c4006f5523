package integration

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// An api opens to those who hold a token of its issuer, and to nobody else.
func TestAnIssuersTokenOpens(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{
		tokens: `
		issuer partner {
			client {env.PARTNER_KEY} {env.PARTNER_SECRET}
		}`, site: `
	token_issuer /token/* partner` + orderBlock, more: "auth issuer partner",
		env: []string{"PARTNER_KEY=pk", "PARTNER_SECRET=ps"},
	})
	order := func(bearer string) harness.Answer {
		req := harness.Request(t, "GET", caddy.URL("/ivr/order?tel=13800138000"), "", "")
		if bearer != "" {
			req.Header.Set("Authorization", "Bearer "+bearer)
		}
		return harness.Do(t, req)
	}
	for _, bearer := range []string{"", "made-up"} {
		if got := order(bearer); got.Status != 401 {
			t.Errorf("%q: got %d %s, want 401", bearer, got.Status, got.Body)
		}
	}
	stamp := fmt.Sprint(time.Now().UnixMilli())
	sum := md5.Sum([]byte("pk" + stamp + "ps"))
	got := harness.Do(t, harness.Request(t, "POST", caddy.URL("/token/obtain"), "application/json",
		fmt.Sprintf(`{"app_key":"pk","timestamp":%s,"sign":"%s"}`, stamp, hex.EncodeToString(sum[:]))))
	var pair struct {
		Code string
		Data struct {
			AccessToken string `json:"access_token"`
		}
	}
	if err := json.Unmarshal([]byte(got.Body), &pair); err != nil || pair.Code != "000000" {
		t.Fatalf("got %d %s %v", got.Status, got.Body, err)
	}
	if got := order(pair.Data.AccessToken); got.Status != 200 || got.Body != known {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
	// a reload keeps what was issued
	if err := caddy.Reload(setup{tokens: `
		issuer partner {
			client {env.PARTNER_KEY} {env.PARTNER_SECRET}
			lifetime 3h
		}`, site: orderBlock, more: "auth issuer partner"}.caddyfile(api)); err != nil {
		t.Fatal(err)
	}
	if got := order(pair.Data.AccessToken); got.Status != 200 {
		t.Errorf("after a reload: got %d %s", got.Status, got.Body)
	}
}

// Switchboard signs in to Switchboard: both halves speak the same protocol.
func TestBothHalvesOfTheProtocol(t *testing.T) {
	api := startProvider(t, provider.Options{})
	partner := start(t, api, setup{
		tokens: `
		issuer partner {
			client {env.PARTNER_KEY} {env.PARTNER_SECRET}
			lifetime 30s
		}`, site: `
	token_issuer /token/* partner` + orderBlock, more: "auth issuer partner",
		env: []string{"PARTNER_KEY=pk", "PARTNER_SECRET=ps"},
	})
	caller := harness.Start(t, harness.Config{Env: []string{"PARTNER_KEY=pk", "PARTNER_SECRET=ps"}, Caddyfile: `{
	admin {ADMIN}
	switchboard {
		token partner {
			credential app_key {env.PARTNER_KEY}
			credential app_secret {env.PARTNER_SECRET}
			obtain ` + partner.URL("/token/obtain") + `
			refresh ` + partner.URL("/token/refresh") + `
			refresh_before 15s
		}
	}
}
http://localhost:{PORT} {
	bind 127.0.0.1
	api order {
		to ` + partner.URL("/ivr/order") + `
		method GET
		token partner
		pass query
		output .
		default ` + "`{name: \"?\"}`" + `
	}
}`})
	url := caller.URL("/?tel=13800138000")
	if got := harness.Get(t, url); got.Body != known {
		t.Fatalf("got %s, want %s", got.Body, known)
	}
	renewed := func() bool {
		if got := harness.Get(t, url); got.Body != known {
			t.Fatalf("got %s, want %s", got.Body, known)
		}
		return strings.Contains(caller.Logs.String(), `"how":"refresh"`)
	}
	harness.Eventually(t, 40*time.Second, "a renewal", renewed)
}
