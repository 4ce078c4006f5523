package integration

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// signIn is what an obtain sends, as the protocol says.
func signIn(secret string, at time.Time) string {
	const key = "pk"
	stamp := fmt.Sprint(at.UnixMilli())
	sum := md5.Sum([]byte(key + stamp + secret))
	return "app_key=" + key + "&timestamp=" + stamp + "&sign=" + hex.EncodeToString(sum[:])
}

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
	pair := tokensOf(t, harness.Do(t, harness.Request(t, "POST", caddy.URL("/token/obtain"), "application/x-www-form-urlencoded", signIn("ps", time.Now()))))
	if got := order(pair.AccessToken); got.Status != 200 || got.Body != known {
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
	if got := order(pair.AccessToken); got.Status != 200 {
		t.Errorf("after a reload: got %d %s", got.Status, got.Body)
	}
}

// halves are both halves of the protocol: a provider that issues tokens, and its
// client. Both are Switchboard.
type halves struct {
	t               *testing.T
	url             string // of the client's api
	partner, caller harness.Config
	partners        []*harness.Caddy // all that ran, for what they logged
	clients         *harness.Caddy
	made, failed    atomic.Int64
	firstFailed     sync.Once
}

func startHalves(t *testing.T) *halves {
	t.Helper()
	api := startProvider(t, provider.Options{})
	env := []string{"PARTNER_KEY=pk", "PARTNER_SECRET=ps"}
	h := &halves{t: t}
	h.partner = harness.Config{Dir: t.TempDir(), Env: append(env, credentials...), Caddyfile: setup{
		tokens: `
		issuer partner {
			client {env.PARTNER_KEY} {env.PARTNER_SECRET}
			lifetime 40s
		}`, site: `
	log
	token_issuer /token/* partner` + orderBlock, more: "auth issuer partner",
	}.caddyfile(api)}
	partner := harness.Start(t, h.partner)
	h.partners, h.partner.Port = append(h.partners, partner), partner.Port
	h.caller = harness.Config{Dir: t.TempDir(), Env: env, Caddyfile: `{
	admin {ADMIN}
	grace_period 5s
	switchboard {
		token partner {
			credential app_key {env.PARTNER_KEY}
			credential app_secret {env.PARTNER_SECRET}
			obtain ` + partner.URL("/token/obtain") + `
			refresh ` + partner.URL("/token/refresh") + `
			refresh_before 20s
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
}`}
	h.clients = harness.Start(t, h.caller)
	h.caller.Port, h.url = h.clients.Port, h.clients.URL("/?tel=13800138000")
	return h
}

// call makes one call; it may fail to connect once, as during a reload (see
// TestReloadsUnderLoad).
func (h *halves) call(when string) {
	got, err := harness.Try(harness.Request(h.t, http.MethodGet, h.url, "", ""))
	if err != nil {
		got, err = harness.Try(harness.Request(h.t, http.MethodGet, h.url, "", ""))
	}
	h.made.Add(1)
	if err != nil || got.Body != known {
		h.failed.Add(1)
		h.firstFailed.Do(func() { h.t.Errorf("%s: %v %s", when, err, got.Body) })
	}
}

// during makes calls one after the other while something happens, and one more.
func (h *halves) during(what string, happens func()) {
	h.t.Helper()
	h.call("before " + what)
	var over atomic.Bool
	var calls sync.WaitGroup
	calls.Go(func() {
		for !over.Load() {
			h.call("during " + what)
		}
	})
	happens()
	over.Store(true)
	calls.Wait()
	h.call("after " + what)
}

// asked counts what the provider was asked, over all restarts.
func (h *halves) asked(path string) (n int) {
	for _, caddy := range h.partners {
		n += strings.Count(caddy.Logs.String(), `"uri":"`+path+`"`)
	}
	return n
}

// Switchboard signs in to Switchboard once. Neither a reload nor a restart of
// either side costs a token or a call, and the token is renewed when it is time.
func TestBothHalvesOfTheProtocol(t *testing.T) {
	h := startHalves(t)
	reload := func(caddy *harness.Caddy, text, old, by string) func() {
		return func() {
			t.Helper()
			changed := replaceOnce(text, old, by)
			if changed == text {
				t.Fatalf("no %q in the Caddyfile", old)
			}
			if err := caddy.Reload(changed); err != nil {
				t.Error(err)
			}
		}
	}
	h.during("a reload of the client", reload(h.clients, h.caller.Caddyfile, "pass query", "pass query\n\t\tbudget 3s"))
	h.during("a reload of the provider", reload(h.partners[0], h.partner.Caddyfile, "budget 2s", "budget 3s"))
	h.during("a restart of the provider", func() {
		// the next process listens before the last one stops
		h.partners = append(h.partners, harness.Start(t, h.partner))
		h.partners[0].Stop()
	})
	h.call("before a restart of the client")
	h.clients.Stop()
	h.clients = harness.Start(t, h.caller)
	h.call("after a restart of the client")
	if n := h.asked("/token/obtain"); n != 1 {
		t.Errorf("%d sign-ins, want 1", n)
	}
	harness.Eventually(t, 60*time.Second, "a renewal", func() bool {
		h.call("before the renewal")
		return h.asked("/token/refresh") > 0
	})
	h.call("after the renewal")
	if obtains, refreshes := h.asked("/token/obtain"), h.asked("/token/refresh"); obtains != 1 || refreshes != 1 {
		t.Errorf("%d sign-ins and %d renewals, want one of each", obtains, refreshes)
	}
	if n := h.failed.Load(); n > 0 {
		t.Errorf("%d of %d calls failed", n, h.made.Load())
	}
	t.Logf("%d calls", h.made.Load())
}
