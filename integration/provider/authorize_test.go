package provider_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/provider"
)

const (
	aVerifier = "a-verifier-of-43-characters-is-the-shortest"
	aRedirect = "http://127.0.0.1:4711/callback"
)

// asked are the parameters of an authorization request, changed by some others; ""
// leaves one out.
func asked(changes ...string) url.Values {
	sum := sha256.Sum256([]byte(aVerifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {"demo-app"}, "redirect_uri": {aRedirect}, "state": {"a state of length"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(changes); i += 2 {
		if q.Set(changes[i], changes[i+1]); changes[i+1] == "" {
			q.Del(changes[i])
		}
	}
	return q
}

// authorized asks for a code, and gives what the redirect carries.
func authorized(t *testing.T, s *provider.Server, q url.Values) (status int, back url.Values) {
	t.Helper()
	r := serve(t, s, bare(t, http.MethodGet, "/oauth2/authorize?"+q.Encode()))
	to, err := url.Parse(r.header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	return r.status, to.Query()
}

func exchanged(t *testing.T, s *provider.Server, code string, changes ...string) (status int, outcome, refresh string) {
	t.Helper()
	f := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {aRedirect}, "code_verifier": {aVerifier}}
	for i := 0; i < len(changes); i += 2 {
		f.Set(changes[i], changes[i+1])
	}
	r := serve(t, s, post(t, "/oauth2/token", formType, f.Encode()+"&"+credentials))
	if r.status == http.StatusOK {
		refresh = r.at(t, "refresh_token")
	}
	return r.status, last(s).Outcome, refresh
}

func TestAuthorizationCode(t *testing.T) {
	s := provider.New(provider.Options{})
	status, back := authorized(t, s, asked())
	if status != http.StatusFound || back.Get("state") != "a state of length" || back.Get("code") == "" || !strings.HasPrefix(back.Get("iss"), "http://") {
		t.Fatalf("redirect: %d %v", status, back)
	}
	for want, changes := range map[string][]string{
		"another_redirect_uri":     {"redirect_uri", "http://127.0.0.1:4712/callback"},
		"wrong_verifier":           {"code_verifier", strings.Repeat("x", 43)},
		"unknown_code":             {"code", "x"},
		"missing_code_or_verifier": {"code_verifier", "short"},
	} {
		if status, outcome, _ := exchanged(t, s, back.Get("code"), changes...); status != http.StatusBadRequest || outcome != want {
			t.Errorf("got %d %s, want %s", status, outcome, want)
		}
	}
	status, outcome, refresh := exchanged(t, s, back.Get("code"))
	if status != http.StatusOK || outcome != "ok" || refresh == "" {
		t.Fatalf("got %d %s", status, outcome)
	}
	if status, outcome, _ = exchanged(t, s, back.Get("code")); status != http.StatusBadRequest || outcome != "reused_code" {
		t.Errorf("again: %d %s", status, outcome)
	}
	r := serve(t, s, post(t, "/oauth2/token", formType, "grant_type=refresh_token&refresh_token="+refresh+"&"+credentials))
	if r.status != http.StatusBadRequest || r.at(t, "error") != "invalid_grant" {
		t.Errorf("the refresh token of a code that came twice: %d %s", r.status, r.body)
	}
}

func TestAuthorizationIsStrict(t *testing.T) {
	for name, test := range map[string]struct {
		changes []string
		status  int
		outcome string
	}{
		"another client":    {[]string{"client_id", "x"}, 400, "unknown_client"},
		"another redirect":  {[]string{"redirect_uri", "http://127.0.0.1:4711/other"}, 400, "unknown_redirect_uri"},
		"another host":      {[]string{"redirect_uri", "http://localhost:4711/callback"}, 400, "unknown_redirect_uri"},
		"no redirect":       {[]string{"redirect_uri", ""}, 400, "unknown_redirect_uri"},
		"a token":           {[]string{"response_type", "token"}, 302, "unsupported_response_type"},
		"no challenge":      {[]string{"code_challenge", ""}, 302, "bad_code_challenge"},
		"a plain challenge": {[]string{"code_challenge_method", "plain"}, 302, "bad_code_challenge"},
		"no state":          {[]string{"state", ""}, 302, "weak_state"},
		"a person's no":     {[]string{"_deny", "1"}, 302, "denied"},
	} {
		s := provider.New(provider.Options{})
		status, back := authorized(t, s, asked(test.changes...))
		if status != test.status || last(s).Outcome != test.outcome || back.Has("code") || status == 302 && !back.Has("error") {
			t.Errorf("%s: %d %s, %v", name, status, last(s).Outcome, back)
		}
	}
}

func TestCodesExpireAndConsentsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := provider.New(provider.Options{})
		_, back := authorized(t, s, asked())
		time.Sleep(time.Minute)
		if _, outcome, _ := exchanged(t, s, back.Get("code")); outcome != "expired_code" {
			t.Errorf("after a minute: %s", outcome)
		}
		_, back = authorized(t, s, asked())
		_, _, refresh := exchanged(t, s, back.Get("code"))
		s.Revoke()
		r := serve(t, s, post(t, "/oauth2/token", formType, "grant_type=refresh_token&refresh_token="+refresh+"&"+credentials))
		if r.status != http.StatusBadRequest || r.at(t, "error") != "invalid_grant" {
			t.Errorf("after the withdrawal: %d %s", r.status, r.body)
		}
	})
}
