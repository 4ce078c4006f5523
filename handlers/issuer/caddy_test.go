package issuer_test

// These tests run Caddy itself, in this process, from a Caddyfile.

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/integration/issuersite"
)

const (
	asForm = "application/x-www-form-urlencoded"
	asJSON = "application/json"
)

func TestTheDocumentsProtocol(t *testing.T) {
	site := issuersite.Start(t, "lifetime 1h", "token_issuer /token/* partners")
	now := time.Now()
	stamp := func(n int64) string { return strconv.FormatInt(now.UnixMilli()+n, 10) }
	object := func(timestamp string) string {
		v := issuersite.SignIn(strings.Trim(timestamp, `"`))
		return fmt.Sprintf(`{"app_key":%q,"timestamp":%s,"sign":%q}`, issuersite.Key, timestamp, v.Get("sign"))
	}
	for _, req := range []struct{ name, path, media, body string }{
		{"JSON, a Long", "/token/obtain", asJSON, object(stamp(0))},
		{"JSON, a string", "/token/obtain", "application/json; charset=utf-8", object(`"` + stamp(1) + `"`)},
		{"form", "/token/obtain", asForm, issuersite.SignIn(stamp(2)).Encode()},
		{"query", "/token/obtain?" + issuersite.SignIn(stamp(3)).Encode(), "", ""},
		{"query, by POST", "/token/obtain?" + issuersite.SignIn(stamp(4)).Encode(), asForm, ""},
		{"seconds", "/token/obtain", asForm, issuersite.SignIn(strconv.FormatInt(now.Unix(), 10)).Encode()},
	} {
		a := ask(site, req.path, req.media, req.body)
		if a.Status != 200 || a.Code != "000000" || a.Data.ExpiresIn != 3600 {
			t.Errorf("%s: %+v", req.name, a)
			continue
		}
		if again := ask(site, req.path, req.media, req.body); again.Status != 401 || again.Code != "401000" || again.Data.AccessToken != "" {
			t.Errorf("%s, replayed: %+v", req.name, again)
		}
	}
}

// ask is a GET where there is no media type.
func ask(site *issuersite.Site, path, media, body string) issuersite.Answer {
	if media == "" {
		return site.Read(site.Get(path))
	}
	return site.Read(site.Post(path, media, body))
}

// However a refresh token comes, it gives a new pair, the same one again when
// the answer is lost, and the family's end when it comes later.
func TestRefresh(t *testing.T) {
	const path = "/token/refresh"
	site := issuersite.Start(t, "lifetime 1h", `token_issuer /token/* partners
	token_auth /api/* partners
	respond /api/* hello`)
	opens := func(token string) bool {
		resp, _ := site.Get("/api/x", "Authorization", "Bearer "+token)
		return resp.StatusCode == http.StatusOK
	}
	now := time.Now()
	for n, way := range []struct {
		name string
		ask  func(token string) issuersite.Answer
	}{
		{"JSON", func(token string) issuersite.Answer {
			return ask(site, path, asJSON, fmt.Sprintf(`{"refresh_token":%q}`, token))
		}},
		{"JSON and more", func(token string) issuersite.Answer {
			return ask(site, path, "application/json; charset=utf-8", fmt.Sprintf(`{"app_key":"x", "refresh_token":%q, "n": [1]}`, token))
		}},
		{"form", func(token string) issuersite.Answer {
			return ask(site, path, asForm, url.Values{"refresh_token": {token}}.Encode())
		}},
		{"query", func(token string) issuersite.Answer { return ask(site, path+"?refresh_token="+token, "", "") }},
		{"query, by POST", func(token string) issuersite.Answer { return ask(site, path+"?refresh_token="+token, asForm, "") }},
		{"JSON over a query", func(token string) issuersite.Answer {
			return ask(site, path+"?refresh_token=x", asJSON, fmt.Sprintf(`{"refresh_token":%q}`, token))
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			first := site.Obtain(now.Add(time.Duration(n) * time.Millisecond)).Data
			refused := func(what, token string) {
				t.Helper()
				if a := way.ask(token); a.Status != 401 || a.Code != "401000" || a.Msg != "unauthorized" || a.Data.AccessToken != "" {
					t.Errorf("%s: %+v", what, a)
				}
			}
			refused("the access token", first.AccessToken)
			refused("a letter more", first.RefreshToken+"A")
			refused("nothing", "")
			second := way.ask(first.RefreshToken)
			if second.Status != 200 || second.Code != "000000" || second.Data.ExpiresIn != 3600 ||
				second.Data.AccessToken == first.AccessToken || second.Data.RefreshToken == first.RefreshToken {
				t.Fatalf("refreshed: %+v", second)
			}
			if again := way.ask(first.RefreshToken); again.Data.AccessToken != second.Data.AccessToken || again.Data.RefreshToken != second.Data.RefreshToken {
				t.Errorf("asked again: %+v", again)
			}
			third := way.ask(second.Data.RefreshToken).Data
			if !opens(third.AccessToken) || !opens(second.Data.AccessToken) || opens(first.AccessToken) {
				t.Error("the newest token and the one before open, older ones don't")
			}
			refused("a token from two refreshes ago", first.RefreshToken) // it is stolen
			refused("the newest of a family that ended", third.RefreshToken)
			if opens(third.AccessToken) {
				t.Error("a token of a family that ended opens")
			}
		})
	}
}

// A refresh token that is no string is none.
func TestRefreshOfAnotherType(t *testing.T) {
	site := issuersite.Start(t, "", "token_issuer /token/* partners")
	token := site.Obtain(time.Now()).Data.RefreshToken
	for _, body := range []string{`{}`, `{"refresh_token":null}`, `{"refresh_token":1}`, `{"refresh_token":["` + token + `"]}`, `{"refresh_token":{"a":"` + token + `"}}`} {
		if a := ask(site, "/token/refresh", asJSON, body); a.Status != 401 || a.Code != "401000" {
			t.Errorf("%s: %+v", body, a)
		}
	}
	for _, body := range []string{`["` + token + `"]`, `"` + token + `"`, `{"refresh_token":`, `{}{}`} {
		if a := ask(site, "/token/refresh", asJSON, body); a.Status != 400 || a.Code != "400000" {
			t.Errorf("%s: %+v", body, a)
		}
	}
	if a := ask(site, "/token/refresh", asForm, "refresh_token="+token+"&refresh_token="+token); a.Status != 401 {
		t.Errorf("twice: %+v", a)
	}
	if a := ask(site, "/token/refresh", asJSON, `{"refresh_token":"`+token+`"}`); a.Status != 200 {
		t.Errorf("a refusal spent the token: %+v", a)
	}
}

func TestErrors200(t *testing.T) {
	site := issuersite.Start(t, "errors 200", "token_issuer partners")
	for _, path := range []string{"/obtain", "/refresh"} {
		if a := ask(site, path, asJSON, `{}`); a.Status != 200 || a.Code != "401000" || a.Msg != "unauthorized" {
			t.Errorf("%s: %+v", path, a)
		}
	}
}

// Other routes of the site keep their paths.
func TestMatcher(t *testing.T) {
	site := issuersite.Start(t, "", "token_issuer /token/* partners\n\trespond `{\"code\":\"site\"}`")
	if a := ask(site, "/obtain", "", ""); a.Code != "site" {
		t.Errorf("%+v", a)
	}
	if a := ask(site, "/token/obtain", "", ""); a.Code != "401000" {
		t.Errorf("%+v", a)
	}
}

func TestDirectiveRefuses(t *testing.T) {
	for _, c := range []struct{ routes, want string }{
		{"token_issuer", "takes the name of an issuer"},
		{"token_issuer /token/*", "takes the name of an issuer"},
		{"token_issuer a b c", "takes the name of an issuer"},
		{"token_issuer \"\"", "takes the name of an issuer"},
		{"token_issuer partners {\n errors 200\n}", "token_issuer takes no block"},
	} {
		if _, err := issuersite.Adapt(t, t.TempDir(), "", c.routes); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.routes, err)
		}
	}
}

func TestUnknownIssuer(t *testing.T) {
	cfg, err := issuersite.Adapt(t, t.TempDir(), "", "token_issuer strangers")
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(cfg, true); err == nil || !strings.Contains(err.Error(), "strangers") || !strings.Contains(err.Error(), "partners") {
		t.Errorf("%v", err)
	}
}
