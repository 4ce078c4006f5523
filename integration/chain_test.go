package integration

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// chainBlocks find a customer by telephone number, then that customer's latest order.
const chainBlocks = `
	api /api/customer customer {
		to {API}/open/customer/query
		method GET
		token crm
		query ` + "`{tel: .tel}`" + `
		success ` + "`.code == \"000000\"`" + `
		not_found ` + "`.data | blank`" + `
		output ` + "`{id: .data.id, name: .data.nick}`" + `
		default ` + "`{id: \"\", name: \"\"}`" + `
		{CUSTOMER}
	}
	api /api/order order {
		to {API}/open/order/latest
		method GET
		token crm
		query ` + "`{customer: .customer}`" + `
		success ` + "`.code == \"000000\"`" + `
		not_found ` + "`.data | blank`" + `
		output ` + "`{number: .data.orderId, status: .data.status}`" + `
		default ` + "`{number: \"\", status: \"none\"}`" + `
		{ORDER}
	}
	api /ivr/both both {
		require tel
		with found customer ` + "`{tel: .tel}`" + `
		with latest order ` + "`{customer: {ID}}`" + ` {OPTIONAL}
		output ` + "`{name: $found.name, order: $latest.number, state: $latest.status}`" + `
		default ` + "`{name: \"\", order: \"\", state: \"none\"}`" + `
		budget 1s
		{BOTH}
	}`

type chain struct{ customer, order, both, id, required string }

func (c chain) site() string {
	id, optional := "$found.id", "optional"
	if c.id != "" {
		id = c.id
	}
	if c.required != "" {
		optional = ""
	}
	return strings.NewReplacer("{CUSTOMER}", c.customer, "{ORDER}", c.order, "{BOTH}", c.both, "{ID}", id, "{OPTIONAL}", optional).Replace(chainBlocks)
}

const (
	bothKnown = `{"_status":"ok","name":"张三","order":"9007199254740993","state":"shipped"}`
	orderless = `{"_status":"partial","name":"张三","order":"","state":"none"}`
)

// asked returns the paths that the API was asked for since an entry, in order.
func asked(api *provider.Server, since int) (paths []string) {
	for _, entry := range api.Ledger().Since(since).Kind(provider.API) {
		paths = append(paths, strings.TrimPrefix(entry.Path, "/open/")+"?"+entry.Query)
	}
	return paths
}

func callCounted(t *testing.T, caddy *harness.Caddy, api, outcome string) bool {
	t.Helper()
	return strings.Contains(harness.Get(t, "http://"+caddy.Admin+"/metrics").Body, fmt.Sprintf(`switchboard_calls_total{api=%q,outcome=%q} 1`, api, outcome))
}

func TestTwoCallsOneAnswer(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{global: "metrics", site: chain{}.site()})
	url := caddy.URL("/ivr/both?tel=")
	if got := harness.Get(t, url+"13800138000"); got.Body != bothKnown {
		t.Errorf("got %s", got.Body)
	}
	if got, want := asked(api, 0), []string{"customer/query?tel=13800138000", "order/latest?customer=C1001"}; !slices.Equal(got, want) {
		t.Errorf("asked for %v, want %v", got, want)
	}

	// who is unknown has no orders to ask for
	before := api.Ledger().Last()
	if got := harness.Get(t, url+"19900000000"); got.Status != 200 || got.Body != `{"_status":"not_found","name":"","order":"","state":"none"}` {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
	if got := asked(api, before); len(got) != 1 {
		t.Errorf("asked for %v", got)
	}
	if got := harness.Get(t, caddy.URL("/ivr/both")); !strings.Contains(got.Body, `"_status":"incomplete"`) {
		t.Errorf("got %s", got.Body)
	}

	// a second part that hangs costs what it gives, and no more
	inject(t, api, provider.Fault{Target: provider.API, Fault: "hang", Path: "/open/order/latest"})
	begin := time.Now()
	got := harness.Get(t, url+"13800138000")
	if got.Status != 200 || got.Body != orderless || !strings.Contains(got.Header.Get("Proxy-Status"), `details="partial"`) {
		t.Errorf("got %d %s, %v", got.Status, got.Body, got.Header)
	}
	// an answer after the budget would be a timeout; this machine may be busy
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("a budget of 1s took %v: %s", took, got.Header.Get("Server-Timing"))
	}
	for name, outcome := range map[string]string{"both": "partial", "order": "timeout"} {
		if !callCounted(t, caddy, name, outcome) {
			t.Errorf("%s has no %s", name, outcome)
		}
	}
	metrics := harness.Get(t, "http://"+caddy.Admin+"/metrics").Body
	if !strings.Contains(metrics, `switchboard_api_degraded{api="order"} 1`) || !strings.Contains(metrics, `switchboard_api_degraded{api="both"} 0`) {
		t.Error("the wrong api is degraded")
	}
	out, err := caddy.Command("switchboard", "last", "both", "--json")
	if err != nil || !strings.Contains(out, "latest (api order): the budget ran out") || !strings.Contains(out, "/open/order/latest") {
		t.Errorf("%v: last says\n%s", err, out)
	}
}

// Parts that don't use one another are asked at the same time: both requests are at
// the API before either is answered. Who hangs up ends both.
func TestPartsAtTheSameTime(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{global: "metrics", site: replaceOnce(chain{id: ".customer"}.site(), "budget 1s", "budget 20s")})
	url := caddy.URL("/ivr/both?tel=13800138000&customer=C1001")
	if got := harness.Get(t, url); got.Body != bothKnown {
		t.Fatalf("got %s", got.Body)
	}
	inject(t, api, provider.Fault{Target: provider.API, Fault: "hang"})
	before := api.Ledger().Last()
	req := harness.Request(t, http.MethodGet, url, "", "")
	ctx, hangUp := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := harness.Try(req.WithContext(ctx))
		ended <- err
	}()
	harness.Eventually(t, 5*time.Second, "both requests", func() bool { return len(asked(api, before)) == 2 })
	hangUp()
	if err := <-ended; err == nil {
		t.Error("an answer came to somebody who had hung up")
	}
	harness.Eventually(t, 5*time.Second, "all calls to end", func() bool {
		return callCounted(t, caddy, "both", "canceled") && callCounted(t, caddy, "customer", "canceled") && callCounted(t, caddy, "order", "canceled")
	})
}

// A part keeps its own cache and breaker, and an operator's hold of it is its own.
func TestAPartKeepsWhatItHas(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{global: "metrics", site: chain{customer: "cache 1m", order: "breaker 50% 2 1m"}.site()})
	url := caddy.URL("/ivr/both?tel=13800138000")
	harness.Eventually(t, 10*time.Second, "a hit", func() bool {
		before := api.Ledger().Last()
		if got := harness.Get(t, url); got.Body != bothKnown {
			t.Fatalf("got %s", got.Body)
		}
		return slices.Equal(asked(api, before), []string{"order/latest?customer=C1001"})
	})

	inject(t, api, provider.Fault{Target: provider.API, Fault: "status", Status: 500, Path: "/open/order/latest"})
	harness.Eventually(t, 10*time.Second, "an open breaker", func() bool {
		before := api.Ledger().Last()
		if got := harness.Get(t, url); got.Body != orderless {
			t.Fatalf("got %s", got.Body)
		}
		return len(asked(api, before)) == 0
	})
	api.ClearFaults()
	if out, err := caddy.Command("switchboard", "last", "both"); err != nil || !strings.Contains(out, "latest (api order): circuit breaker is open") {
		t.Errorf("%v: last says\n%s", err, out)
	}

	if out, err := caddy.Command("switchboard", "hold", "customer"); err != nil {
		t.Fatal(err, out)
	}
	if got := harness.Get(t, caddy.URL("/ivr/both?tel=13900139000")); got.Body != `{"_status":"held","name":"","order":"","state":"none"}` {
		t.Errorf("got %s", got.Body)
	}
}

// An answer with a part that is missing is not kept: the next call gets it all.
func TestAPartialAnswerIsNotKept(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: chain{both: "cache 1m {\n not_found 1m\n }"}.site()})
	url := caddy.URL("/ivr/both?tel=13800138000")
	inject(t, api, provider.Fault{Target: provider.API, Fault: "status", Status: 500, Path: "/open/order/latest"})
	for range 3 {
		if got := harness.Get(t, url); got.Body != orderless || cacheStatus(got) != "switchboard; fwd=miss" {
			t.Fatalf("got %s, %s", got.Body, got.Header.Get("Cache-Status"))
		}
	}
	api.ClearFaults()
	harness.Eventually(t, 10*time.Second, "a hit", func() bool {
		got := harness.Get(t, url)
		if got.Body != bothKnown {
			t.Fatalf("got %s", got.Body)
		}
		return cacheStatus(got) == "switchboard; hit"
	})
}

// A write may have parts. Its repeat gets the answer that it had, whatever the parts
// would give now.
func TestAWriteWithParts(t *testing.T) {
	api := startProvider(t, provider.Options{})
	site := chain{customer: "cache 1m"}.site() + replaceOnce(ticketSite("1h {\n header Idempotency-Key\n finish 10s\n }", "with found customer `{tel: .tel}` optional"),
		"{ticket: .data.number}", "{ticket: .data.number, name: $found.name}")
	caddy := start(t, api, setup{site: site})
	inject(t, api, provider.Fault{Target: provider.API, Fault: "status", Status: 500, Path: "/open/customer/query"})
	first := harness.Get(t, caddy.URL("/ticket?tel=13800138000&subject=parcel&call_id=1"))
	if !strings.Contains(first.Body, `"_status":"partial"`) || written(api) != 1 {
		t.Fatalf("got %s, written %d", first.Body, written(api))
	}
	api.ClearFaults()
	if again := harness.Get(t, caddy.URL("/ticket?tel=13800138000&subject=parcel&call_id=1")); again.Body != first.Body || written(api) != 1 {
		t.Errorf("got %s, written %d", again.Body, written(api))
	}
	if other := harness.Get(t, caddy.URL("/ticket?tel=13800138000&subject=parcel&call_id=2")); !strings.Contains(other.Body, `"name":"张三"`) || written(api) != 2 {
		t.Errorf("got %s, written %d", other.Body, written(api))
	}
	for _, entry := range api.Ledger().Kind(provider.API) {
		if key := entry.Header.Get("Idempotency-Key"); (key != "") != (entry.Path == "/open/ticket/create") {
			t.Errorf("%s has the key %q", entry.Path, key)
		}
	}
}

// A chain that can't work stops the load, and what runs goes on.
func TestChainsThatAreRefused(t *testing.T) {
	api := startProvider(t, provider.Options{})
	s := setup{site: chain{}.site()}
	caddy := start(t, api, s)
	working := func() {
		t.Helper()
		if got := harness.Get(t, caddy.URL("/ivr/both?tel=13800138000")); got.Body != bothKnown {
			t.Fatalf("got %s", got.Body)
		}
	}
	working()
	for name, test := range map[string]struct{ site, want string }{
		"an api that has gone": {
			strings.Replace(chain{}.site(), "api /api/order order {", "api /api/order orders {", 1),
			"api both: with latest: there is no api order; there are: customer, orders",
		},
		"a cycle": {
			chain{customer: "with round both `{tel: .tel}`"}.site(),
			"this chain loops: both -> customer -> both",
		},
		"a sidecar": {
			strings.Replace(chain{}.site(), "to {API}/open/order/latest\n\t\tmethod GET", "to {API}", 1),
			"api order has a `to` without a path",
		},
		"a write": {
			strings.Replace(chain{order: "once 1h"}.site(), "method GET", "method POST", 1),
			"with: api order has `once`",
		},
	} {
		refused := s
		refused.site = test.site
		if err := caddy.Reload(refused.caddyfile(api)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
		working()
	}
}

// A test shows what each part did, and a configuration is tried without a server, too.
func TestTheTraceOfAChain(t *testing.T) {
	api := startProvider(t, provider.Options{})
	s := setup{site: chain{}.site()}
	caddy := start(t, api, s)
	for name, args := range map[string][]string{
		"running": {"switchboard", "test", "both", "tel=13800138000"},
		"a file":  {"switchboard", "test", "both", "tel=13800138000", "--config", config(t, s.caddyfile(api)), "--adapter", "caddyfile"},
	} {
		out, err := caddy.Command(args...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range []string{"chain ", "    call ", "$found is the answer of api customer", "/open/order/latest?customer=C1001", `"name":"张三"`} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %s is not in\n%s", name, want, out)
			}
		}
		if strings.Contains(out, "query?tel=13800138000") {
			t.Errorf("%s: a number is not masked in\n%s", name, out)
		}
	}
}

// config writes a Caddyfile without its admin API and port.
func config(t *testing.T, caddyfile string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "Caddyfile")
	text := strings.NewReplacer("{ADMIN}", "off", "{PORT}", "8080").Replace(caddyfile)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
