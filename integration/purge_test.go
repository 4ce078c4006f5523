package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// An operator drops cached answers by the admin API: all, an API's, or those to
// one question.
func TestPurging(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{more: "cache 1h", site: orderBlock + `
	api /ivr/other other {
		to {API}/free/echo
		output ` + "`{tel: $request.query.tel}`" + `
		default ` + "`{tel: \"\"}`" + `
		cache 1h
	}`})
	url := func(path string) string { return caddy.URL("/ivr/" + path) }
	kept := func(path string) bool { return cacheStatus(harness.Get(t, url(path))) == "switchboard; hit" }
	fill := func() {
		t.Helper()
		for _, path := range []string{"order?tel=13800138000", "order?tel=13900139000", "other?tel=1"} {
			harness.Get(t, url(path))
			if path == "order?tel=13900139000" {
				continue // nobody, who isn't kept
			}
			harness.Eventually(t, 5*time.Second, path, func() bool { return kept(path) })
		}
	}
	purge := func(body, want string, status int) {
		t.Helper()
		got := harness.Do(t, harness.Request(t, "POST", "http://"+caddy.Admin+"/switchboard/cache/purge", "application/json", body))
		if got.Status != status || !strings.Contains(got.Body, want) {
			t.Errorf("%s: got %d %s, want %d %s", body, got.Status, got.Body, status, want)
		}
	}
	gone := func(path string, want bool) {
		t.Helper()
		if got := !kept(path); got != want {
			t.Errorf("%s: gone is %v, want %v", path, got, want)
		}
	}
	fill()
	purge(`{"api":"order","params":{"tel":"13900139000"}}`, `{"purged":"order"}`, 200)
	gone("order?tel=13800138000", false)
	purge(`{"api":"order","params":{"tel":"13800138000","blank":""}}`, `{"purged":"order"}`, 200)
	gone("order?tel=13800138000", true)
	gone("other?tel=1", false)

	fill()
	purge(`{"api":"order"}`, `{"purged":"order"}`, 200)
	gone("order?tel=13800138000", true)
	gone("other?tel=1", false)

	for _, body := range []string{"", "{}", `{"customer":"C1"}`} {
		fill()
		purge(body, `{"purged":"all"}`, 200)
		gone("order?tel=13800138000", true)
		gone("other?tel=1", true)
	}

	purge(`{"api":"other","params":{"tel":"1"}}`, "purge the whole api, or configure a `key`", 409)
	purge(`{"api":"nope"}`, "there is no api nope; there are: order, other", 404)
	purge(`{"params":{"tel":"1"}}`, "params need an api", 400)
	purge(`[`, "write e.g.", 400)
	// nothing is dropped by a purge that doesn't say what to drop
	fill()
	for _, body := range []string{`null`, `{"apis":"order"}`, `{"api":""}`, `{"api":null}`, `{"customer":""}`} {
		purge(body, "", 400)
		gone("order?tel=13800138000", false)
	}
	purge(`{"api":"order","params":[1]}`, "params must be an object", 400)

	numbers := harness.Get(t, "http://"+caddy.Admin+"/switchboard/cache")
	if numbers.Status != 200 || !strings.Contains(numbers.Body, `"size":67108864`) || !strings.Contains(numbers.Body, `"hits":`) {
		t.Errorf("got %d %s", numbers.Status, numbers.Body)
	}
}
