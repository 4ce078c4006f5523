package provider_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/integration/provider"
)

const credentials = "client_id=demo-app&client_secret=demo-secret"

func basic(r *http.Request, id, secret string) *http.Request {
	r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	return r
}

func TestOAuth2Grants(t *testing.T) {
	s := provider.New(provider.Options{})
	r := serve(t, s, post(t, "/oauth2/token", formType, "grant_type=client_credentials&scope=a+b&"+credentials))
	if r.status != http.StatusOK || r.at(t, "token_type") != "Bearer" || r.at(t, "expires_in") != "120" {
		t.Fatalf("client credentials: %d %s", r.status, r.body)
	}
	if r.header.Get("Cache-Control") != "no-store" || r.header.Get("Pragma") != "no-cache" {
		t.Errorf("headers: %v", r.header)
	}
	first, refresh := r.at(t, "access_token"), r.at(t, "refresh_token")
	if got := query(t, s, first); got != "ok" {
		t.Errorf("the token: %s", got)
	}

	again := basic(post(t, "/oauth2/token", formType, "grant_type=refresh_token&refresh_token="+refresh), "demo-app", "demo-secret")
	r = serve(t, s, again)
	if second := r.at(t, "access_token"); second == first || query(t, s, second) != "ok" {
		t.Errorf("refreshed: %s", r.body)
	}
	if got := query(t, s, first); got != "dead_token" {
		t.Errorf("the old token: %s", got)
	}

	r = serve(t, s, post(t, "/oauth2/token", formType, "grant_type=refresh_token&refresh_token="+refresh+"&"+credentials))
	if r.status != http.StatusBadRequest || r.at(t, "error") != "invalid_grant" || last(s).RefreshToken != refresh {
		t.Errorf("used again: %d %s", r.status, r.body)
	}
}

func TestOAuth2IsStrict(t *testing.T) {
	const grant = "grant_type=client_credentials"
	token := func(form string) *http.Request { return post(t, "/oauth2/token", formType, form) }
	for _, tc := range []struct {
		name    string
		request *http.Request
		status  int
		code    string
	}{
		{"both ways at once", basic(token(grant+"&"+credentials), "demo-app", "demo-secret"), 400, "invalid_request"},
		{"Basic and client_id", basic(token(grant+"&client_id=demo-app"), "demo-app", "demo-secret"), 400, "invalid_request"},
		{"no credentials", token(grant), 401, "invalid_client"},
		{"a wrong secret", token(grant + "&client_id=demo-app&client_secret=x"), 401, "invalid_client"},
		{"a wrong secret by Basic", basic(token(grant), "demo-app", "x"), 401, "invalid_client"},
		{"Basic that isn't form-encoded", func() *http.Request {
			r := token(grant)
			r.SetBasicAuth("demo-app", "%zz")
			return r
		}(), 401, "invalid_client"},
		{"JSON", post(t, "/oauth2/token", jsonType, `{"grant_type":"client_credentials"}`), 400, "invalid_request"},
		{"credentials in the URI", post(t, "/oauth2/token?"+credentials, formType, grant), 400, "invalid_request"},
		{"a parameter twice", token(grant + "&" + grant + "&" + credentials), 400, "invalid_request"},
		{"no grant type", token(credentials), 400, "invalid_request"},
		{"another grant type", token("grant_type=password&" + credentials), 400, "unsupported_grant_type"},
		{"no refresh token", token("grant_type=refresh_token&" + credentials), 400, "invalid_request"},
		{"an unknown refresh token", token("grant_type=refresh_token&refresh_token=x&" + credentials), 400, "invalid_grant"},
		{"malformed", token(grant + "&x=%zz&" + credentials), 400, "invalid_request"},
		{"GET", bare(t, http.MethodGet, "/oauth2/token?"+grant), 405, "invalid_request"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := provider.New(provider.Options{})
			r := serve(t, s, tc.request)
			if r.status != tc.status || r.at(t, "error") != tc.code {
				t.Errorf("answer: %d %s", r.status, r.body)
			}
			if challenged := r.header.Get("WWW-Authenticate") != ""; challenged != (tc.status == 401) {
				t.Errorf("challenged: %v", challenged)
			}
			if len(s.Ledger().Issued()) != 0 {
				t.Error("a token was issued")
			}
		})
	}
}

func TestOAuth2Options(t *testing.T) {
	s := provider.New(provider.Options{
		AppKey: "a b:c", AppSecret: "p%+&=", ExpiresIn: provider.ExpiresString, ReusableRefresh: true, Seed: "seed",
	})
	r := serve(t, s, basic(post(t, "/oauth2/token", formType, "grant_type=refresh_token&refresh_token=seed"), "a b:c", "p%+&="))
	if r.status != http.StatusOK || !strings.Contains(r.body, `"expires_in":"120"`) || strings.Contains(r.body, "refresh_token") {
		t.Errorf("answer: %d %s", r.status, r.body)
	}
}
