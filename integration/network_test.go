package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// The network between us and the token endpoint eats the answer of a renewal
// that took place. Nobody knows whether the refresh token is spent, so it is
// never sent again: the source signs in anew.
func TestTheAnswerOfARenewalIsLost(t *testing.T) {
	for _, tc := range []struct{ name, toxic string }{
		{"timeout", `{"type":"timeout","stream":"downstream","attributes":{"timeout":300}}`},
		{"reset", `{"type":"reset_peer","stream":"downstream","attributes":{"timeout":0}}`},
		{"cut", `{"type":"limit_data","stream":"downstream","attributes":{"bytes":20}}`},
		{"late", `{"type":"latency","stream":"downstream","attributes":{"latency":3000}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			api := startProvider(t, provider.Options{})
			network := startNetwork(t, strings.TrimPrefix(api.URL(), "http://"))
			caddy := start(t, api, setup{tokens: `
		token far {
			credential app_key {env.CRM_APP_KEY}
			credential app_secret {env.CRM_APP_SECRET}
			obtain http://` + network.Listen + `/token/get
			refresh http://` + network.Listen + `/token/refresh
			lifetime 2m
			timeout 2s
		}`, site: strings.Replace(orderBlock, "token crm", "token far", 1)})
			url := caddy.URL("/ivr/order?tel=13800138000")
			if got := harness.Get(t, url); got.Body != known {
				t.Fatalf("got %s", got.Body)
			}
			if _, err := network.Toxics.AddToxicJson(strings.NewReader(tc.toxic)); err != nil {
				t.Fatal(err)
			}
			api.Expire()
			begin := time.Now()
			got := harness.Get(t, url)
			wellFormed(t, got, "no_token")
			if took := time.Since(begin); took > 2500*time.Millisecond {
				t.Errorf("the answer took %v, with a budget of 2s", took)
			}
			harness.Eventually(t, 10*time.Second, "the renewal to have reached the provider", func() bool {
				return api.Ledger().Count(provider.TokenRefresh, "ok") == 1
			})
			network.Toxics.ResetToxics(t.Context())
			harness.Eventually(t, 30*time.Second, "an answer", func() bool { return harness.Get(t, url).Body == known })
			if twice := api.Ledger().RefreshTokensUsedTwice(); len(twice) > 0 {
				t.Errorf("%d refresh tokens were sent twice", len(twice))
			}
		})
	}
}

func startNetwork(t *testing.T, upstream string) *toxiproxy.Proxy {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	network := toxiproxy.NewProxy(server, "issuer", "127.0.0.1:0", upstream)
	if err := network.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(network.Stop)
	return network
}
