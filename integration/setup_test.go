package integration

import (
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// tokenBlock signs in to the provider as the protocol says. The default
// lifetime is the provider's.
const tokenBlock = `
		token crm {
			credential app_key {env.CRM_APP_KEY}
			credential app_secret {env.CRM_APP_SECRET}
			obtain {API}/token/get
			refresh {API}/token/refresh
			lifetime {LIFETIME}
			refresh_before {WINDOW}
			token_expired 401 ` + "`.code == \"40001\"`" + `
		}`

// orderBlock is a flow's question for a caller's order.
const orderBlock = `
	api /ivr/order order {
		to {API}/open/order/query
		method GET
		token crm
		query ` + "`{tel: .tel}`" + `
		success ` + "`.code == \"000000\"`" + `
		not_found ` + "`.data == null`" + `
		output ` + "`{name: .data.nick, vip: .data.isVip, order: .data.orderId, amount: .data.amount}`" + `
		default ` + "`{name: \"\", vip: \"2\", order: \"\", amount: \"\"}`" + `
		budget 2s
		{MORE}
	}`

// setup is a test's Caddyfile in parts.
type setup struct {
	lifetime, window string // of tokens
	global, tokens   string // more of the global options, and token sources
	more             string // more of the order api
	before           string // what stands before the site, such as snippets
	site             string // the site; default: the order api
	env              []string
	dir              string
}

func (s setup) caddyfile(api *provider.Server) string {
	or := func(v, d string) string {
		if v == "" {
			return d
		}
		return v
	}
	text := `{
	admin {ADMIN}
	grace_period 5s
	{GLOBAL}
	switchboard {` + tokenBlock + s.tokens + `
	}
}
` + s.before + `
http://localhost:{PORT} {
	bind 127.0.0.1
	` + or(s.site, orderBlock) + `
}
`
	return strings.NewReplacer("{API}", api.URL(), "{LIFETIME}", or(s.lifetime, "2m"), "{WINDOW}", or(s.window, "30s"),
		"{MORE}", s.more, "{GLOBAL}", s.global).Replace(text)
}

func startProvider(t testing.TB, o provider.Options) *provider.Server {
	t.Helper()
	api := provider.New(o)
	if err := api.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	return api
}

var credentials = []string{"CRM_APP_KEY=demo-app", "CRM_APP_SECRET=demo-secret"}

func start(t testing.TB, api *provider.Server, s setup) *harness.Caddy {
	t.Helper()
	return harness.Start(t, harness.Config{Caddyfile: s.caddyfile(api), Env: append(credentials, s.env...), Dir: s.dir})
}

func inject(t testing.TB, api *provider.Server, faults ...provider.Fault) {
	t.Helper()
	if err := api.Inject(faults...); err != nil {
		t.Fatal(err)
	}
}

func replaceOnce(text, old, by string) string { return strings.Replace(text, old, by, 1) }
