package source

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/module/token"
)

const (
	consentClient = "dialect oauth2_code\ncredential client_id {env.TEST_CLIENT}\ncredential client_secret {env.TEST_SECRET}\n"
	consentCalls  = "obtain https://a.example/token\nrefresh https://a.example/token\n"
	consentSource = consentClient + consentCalls + "authorize https://a.example/authorize"
)

func setConsentEnv(t *testing.T) {
	t.Helper()
	t.Setenv("TEST_CLIENT", "our client")
	t.Setenv("TEST_SECRET", "canary-secret")
}

func TestAuthorizationURL(t *testing.T) {
	setConsentEnv(t)
	own := url.Values{
		"response_type": {"code"}, "client_id": {"our client"}, "redirect_uri": {"http://127.0.0.1/callback"},
		"state": {"a state"}, "code_challenge": {"a challenge"}, "code_challenge_method": {"S256"},
	}
	for name, test := range map[string]struct {
		lines string
		more  url.Values
	}{
		"nothing more": {"", nil},
		"a scope":      {"\ncredential scope \"a b\"", url.Values{"scope": {"a b"}}},
		"a query": {
			" {\nquery `{access_type: \"offline\", prompt: [\"consent\", null], scope: $scope}`\n}\ncredential scope a",
			url.Values{"access_type": {"offline"}, "prompt": {"consent"}, "scope": {"a"}},
		},
		"in the URL": {"?tenant=t%261", url.Values{"tenant": {"t&1"}}},
	} {
		s := provision(t, consentSource+test.lines)
		if !s.NeedsConsent() || s.Endpoint().CanObtain() || !s.Endpoint().CanRefresh() || !s.HasToken() {
			t.Errorf("%s: what the source can do", name)
		}
		redirect, err := s.Redirect("", 0)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(s.AuthorizationURL("a state", "a challenge", redirect))
		if err != nil || u.Scheme+u.Host+u.Path != "httpsa.example/authorize" {
			t.Fatalf("%s: %v, %v", name, u, err)
		}
		got := u.Query()
		for name, values := range test.more {
			if strings.Join(got[name], "\n") != strings.Join(values, "\n") {
				t.Errorf("%s is %q", name, got[name])
			}
			got.Del(name)
		}
		if got.Encode() != own.Encode() {
			t.Errorf("%s: got %s", name, got.Encode())
		}
	}
}

func TestRedirect(t *testing.T) {
	setConsentEnv(t)
	for _, test := range []struct {
		written, given string
		port           int
		want           string
	}{
		{"", "", 0, "http://127.0.0.1/callback"},
		{"", "", 4711, "http://127.0.0.1:4711/callback"},
		{"http://localhost:8765/cb", "", 4711, "http://localhost:8765/cb"},
		{"http://[::1]/cb?a=b", "", 4711, "http://[::1]:4711/cb?a=b"},
		{"https://ops.example.com/cb", "", 4711, "https://ops.example.com/cb"},
		{"https://ops.example.com/cb", "http://localhost", 4711, "http://localhost:4711"},
		{"", "http://crm.example.com/cb", 0, ""},
	} {
		line := ""
		if test.written != "" {
			line = " {\nredirect " + test.written + "\n}"
		}
		got, err := provision(t, consentSource+line).Redirect(test.given, test.port)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%q, %q: got %q, %v", test.written, test.given, got, err)
		}
	}
}

func TestConsentIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		body string
		line string
		want string
	}{
		"without obtain":       {consentClient + "authorize https://a.example\nrefresh https://a.example", ":5", "write `obtain URL`"},
		"without refresh":      {consentClient + "authorize https://a.example\nobtain https://a.example", ":5", "write `refresh URL`"},
		"static":               {"static x\nauthorize https://a.example", ":2", "leave out one of the two"},
		"without client":       {"dialect oauth2_code\ncredential client_secret s\nauthorize https://a.example\n" + consentCalls, ":4", "`credential client_id VALUE`"},
		"without a secret":     {"dialect oauth2_code\ncredential client_id c\nauthorize https://a.example\n" + consentCalls, ":4", "`credential seal_key VALUE`"},
		"a refresh token":      {consentSource + "\ncredential refresh_token r", ":8", "leave out one of the two"},
		"a name of ours":       {consentSource + "\ncredential code c", ":8", "$code is a variable of `obtain`"},
		"no URL":               {consentClient + consentCalls + "authorize", ":7", "write `authorize URL`"},
		"no scheme":            {consentClient + consentCalls + "authorize a.example", ":7", "the URL needs a scheme"},
		"in clear":             {consentClient + consentCalls + "authorize http://a.example", ":7", "write https"},
		"state in the URL":     {consentClient + consentCalls + "authorize https://a.example?state=x", ":7", "state can't be set here"},
		"state in the query":   {consentSource + " {\nquery `{state: \"x\"}`\n}", ":8", "state can't be set here"},
		"a secret in it":       {consentSource + " {\nquery `{secret: $client_secret}`\n}", ":8", "$client_secret is a secret"},
		"no object":            {consentSource + " {\nquery `1`\n}", ":8", "object"},
		"an unknown variable":  {consentSource + " {\nquery `{a: $tenant}`\n}", ":8", "$tenant"},
		"a redirect in clear":  {consentSource + " {\nredirect http://crm.example.com/cb\n}", ":8", "http://127.0.0.1/callback"},
		"a redirect elsewhere": {consentSource + " {\nredirect urn:ietf:wg:oauth:2.0:oob\n}", ":8", "write http://127.0.0.1/callback"},
		"a redirect of a user": {consentSource + " {\nredirect http://a@localhost/cb\n}", ":8", "neither a user name nor a fragment"},
		"an unknown line":      {consentSource + " {\nscope x\n}", ":8", "issuer, query and redirect"},
		"a query twice":        {consentSource + " {\nquery `{}`\nquery `{}`\n}", ":9", "already set"},
		"another dialect":      {strings.Replace(consentSource, "oauth2_code", "oauth2", 1), ":5", "write `dialect oauth2_code`"},
		"no verifier": {
			consentClient + "authorize https://a.example\nrefresh https://a.example\nobtain https://a.example {\nform `{code: $code, r: $redirect_uri}`\n}",
			":7", "must send $code_verifier",
		},
		"the dialect without it": {consentClient + consentCalls, ":5", "with `authorize URL`; write that line"},
	} {
		_, err := parse(t, test.body)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasSuffix(err.Error(), test.line) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What placeholders hold is known only when the source is provisioned.
func TestConsentIsRefusedAtLoad(t *testing.T) {
	setConsentEnv(t)
	t.Setenv("TEST_URL", "http://canary.example")
	t.Setenv("TEST_NAME", "state")
	for body, want := range map[string]string{
		consentClient + consentCalls + "authorize {env.TEST_URL}":                              "authorize: a person would sign in over a connection",
		consentClient + consentCalls + "authorize {env.TEST_UNSET}":                            "{env.TEST_UNSET} is not set",
		consentSource + " {\nredirect {env.TEST_URL}\n}":                                       "authorize redirect: the code would be sent",
		consentSource + " {\nquery `{\"\\($name)\": 1}`\n}\ncredential name {env.TEST_NAME}":   "authorize query: state can't be set here",
		consentSource + " {\nquery `$claims | fromjson`\n}\ncredential claims {env.TEST_NAME}": "authorize query: ",
		consentSource + " {\nissuer {env.TEST_UNSET}\n}":                                       "authorize issuer: {env.TEST_UNSET} is not set",
	} {
		err := load(t, mustParse(t, body))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// A consent outlives new secrets and programs, and is nobody else's.
func TestIdentityOfAConsent(t *testing.T) {
	setConsentEnv(t)
	const sealed = "\ncredential seal_key {env.TEST_SEAL}"
	t.Setenv("TEST_SEAL", "random")
	base := provision(t, consentSource+sealed)
	t.Setenv("TEST_SECRET", "another")
	for body, same := range map[string]bool{
		consentSource + sealed: true,
		consentSource + sealed + "\naccess_token .t\nlifetime 2h":            true,
		consentSource + sealed + "\ncredential scope admin":                  false,
		strings.Replace(consentSource, "{env.TEST_CLIENT}", "x", 1) + sealed: false,
	} {
		s := provision(t, body)
		if (s.identity == base.identity) != same || s.sealKey != base.sealKey {
			t.Errorf("%s: another identity %v, seal key %v", body, s.identity != base.identity, s.sealKey != base.sealKey)
		}
	}
	if provision(t, consentSource).sealKey == base.sealKey {
		t.Error("the seal key isn't used")
	}
	other := mustParse(t, consentSource+sealed)
	if err := other.Provision(contextOf(t), "partner"); err != nil || other.identity == base.identity {
		t.Errorf("two sources share a consent: %v", err)
	}
}

func TestExchangeOfACode(t *testing.T) {
	setConsentEnv(t)
	var form url.Values
	e := endpointOf(t, consentSource, trip(func(req *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		if form, err = url.ParseQuery(string(body)); err != nil {
			return nil, err
		}
		return says(http.StatusOK, `{"access_token":"at","refresh_token":"rt","expires_in":60,"echo":"the-code"}`)(req)
	}))
	g, err := e.Obtain(t.Context(), token.Params{Consent: &token.Consent{Code: "the-code", Verifier: "the-verifier", Redirect: "http://127.0.0.1:1/cb"}})
	want := url.Values{
		"grant_type": {"authorization_code"}, "code": {"the-code"}, "code_verifier": {"the-verifier"},
		"redirect_uri": {"http://127.0.0.1:1/cb"}, "client_id": {"our client"}, "client_secret": {"canary-secret"},
	}
	if err != nil || g.Access != "at" || g.Refresh != "rt" || form.Encode() != want.Encode() {
		t.Errorf("got %+v, %v after %s", g, err, form.Encode())
	}
	shown, err := json.Marshal(g.Exchange)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"the-code", "the-verifier", "canary-secret"} {
		if strings.Contains(string(shown), secret) {
			t.Errorf("%s is shown", secret)
		}
	}
}

// The variables of an exchange stand beside those that every request has.
func TestVariablesOfAnExchange(t *testing.T) {
	setConsentEnv(t)
	var sent string
	e := endpointOf(t, consentClient+"authorize https://a.example\nrefresh https://a.example/token {\nform `{t: $refresh_token, url: $url}`\n}\nobtain https://a.example/token {\n"+
		"form `{c: $code, v: $code_verifier, r: $redirect_uri, i: $client_id, url: $url}`\n}",
		trip(func(req *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(req.Body)
			sent = string(body)
			if err != nil {
				return nil, err
			}
			return says(http.StatusOK, `{"access_token":"at"}`)(req)
		}))
	_, err := e.Obtain(t.Context(), token.Params{Consent: &token.Consent{Code: "c", Verifier: "v", Redirect: "r"}})
	if want := "c=c&i=our+client&r=r&url=https%3A%2F%2Fa.example%2Ftoken&v=v"; err != nil || sent != want {
		t.Errorf("obtain sent %s, %v", sent, err)
	}
	_, err = e.Refresh(t.Context(), token.Params{Refresh: "rt"})
	if want := "t=rt&url=https%3A%2F%2Fa.example%2Ftoken"; err != nil || sent != want {
		t.Errorf("refresh sent %s, %v", sent, err)
	}
}
