package integration

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

const credentialSite = `
	log {
		format switchboard
	}
	token_issuer /token/* partner
	api /key/call keycall {
		to {API}/free/echo
		method GET
		auth key {env.IVR_KEY} header X-Ivr
		pass query headers X-Ivr Authorization
		query ` + "`{asked: ($request | tojson)}`" + `
	}
	api /issuer/call issuercall {
		to {API}/free/echo
		method GET
		auth issuer partner
		pass query headers Authorization X-Tk
		query ` + "`{asked: ($request | tojson), given: (. | tojson)}`" + `
	}
	handle /proxied {
		token_auth partner
		reverse_proxy {API} {
			rewrite /free/echo?{query}
		}
	}
	handle /free/echo/twice {
		token_auth partner
		api twice {
			to {API}
			auth issuer partner
		}
	}
	api /free/echo/key keyside {
		to {API}
		auth key {env.IVR_KEY} header X-Ivr
	}
	api /free/echo/issuer issuerside {
		to {API}
		auth issuer partner
	}`

// What opens the door doesn't go on to the API: a partner's token once did, in the
// header, in the query, and by what a program sees. Nor is it in the access log,
// whatever name the configuration gives it.
func TestTheCredentialIsConsumed(t *testing.T) {
	api := startProvider(t, provider.Options{})
	for _, tc := range []struct {
		name, accept string
		carry        func(r *http.Request, token string)
	}{
		{"Authorization", "", func(r *http.Request, token string) { r.Header.Set("Authorization", "Bearer "+token) }},
		{"a header", "accept header X-Tk", func(r *http.Request, token string) { r.Header.Set("X-Tk", token) }},
		{"the query", "accept query tk", func(r *http.Request, token string) { r.URL.RawQuery += "&tk=" + token }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			caddy := start(t, api, setup{tokens: `
		issuer partner {
			client {env.PARTNER_KEY} {env.PARTNER_SECRET}
			` + tc.accept + `
		}`, site: strings.ReplaceAll(credentialSite, "{API}", api.URL()), env: []string{"PARTNER_KEY=pk", "PARTNER_SECRET=ps", "IVR_KEY=opensesame"}})
			pair := tokensOf(t, harness.Do(t, harness.Request(t, "POST", caddy.URL("/token/obtain"), "application/x-www-form-urlencoded", signIn("ps", time.Now()))))
			for _, path := range []string{"/key/call", "/free/echo/key", "/issuer/call", "/free/echo/issuer", "/proxied", "/free/echo/twice"} {
				req := harness.Request(t, "GET", caddy.URL(path+"?a=1&b=%20"), "", "")
				secret := pair.AccessToken
				if strings.Contains(path, "key") {
					secret = "opensesame"
					req.Header.Set("X-Ivr", secret)
				} else {
					tc.carry(req, secret)
				}
				got := harness.Do(t, req)
				if got.Status != 200 || !strings.Contains(got.Body, "a=1") {
					t.Errorf("%s: got %d %s", path, got.Status, got.Body)
				}
				if strings.Contains(got.Body, secret) {
					t.Errorf("%s: the API saw what opened: %s", path, got.Body)
				}
				if path != "/free/echo/twice" && path != "/proxied" {
					if got := harness.Get(t, caddy.URL(path)); got.Status != 401 {
						t.Errorf("%s without anything: got %d", path, got.Status)
					}
				}
			}
			harness.Eventually(t, 5*time.Second, "six lines of the access log", func() bool {
				return strings.Count(caddy.Logs.String(), "handled request") >= 10
			})
			for _, secret := range []string{"opensesame", pair.AccessToken} {
				for line := range strings.Lines(caddy.Logs.String()) {
					if strings.Contains(line, secret) {
						t.Errorf("the log shows it: %s", line)
					}
				}
			}
		})
	}
}

// An API that repeats our token in what it answers gets it no further than here,
// where the answer is looked into.
func TestAnEchoedTokenIsMasked(t *testing.T) {
	api := startProvider(t, provider.Options{})
	url := healthy(t)
	caddy := start(t, api, setup{site: strings.ReplaceAll(`
	api /ivr/shaped shaped {
		to {URL}/x
		method GET
		token crm
		output .
	}
	api /ivr/looked looked {
		to {URL}/x
		method GET
		token crm
		token_expired `+"`.code == \"40001\"`"+`
		output .
	}`, "{URL}", url)})
	for _, path := range []string{"/ivr/shaped", "/ivr/looked"} {
		got := harness.Get(t, caddy.URL(path))
		if got.Status != 200 || !strings.Contains(got.Body, `"authorization":"Bearer ***"`) {
			t.Errorf("got %d %s", got.Status, got.Body)
		}
	}
}
