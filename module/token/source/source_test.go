package source

import (
	"bytes"
	"cmp"
	"crypto/fips140"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/module/token"
)

func TestSecretsAreResolvedOnce(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("{env.TEST_KEY}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEST_KEY", "the key")
	t.Setenv("TEST_HOST", "crm.example.com:8443")
	s := provision(t, `
		credential app_key {env.TEST_KEY}
		credential app_secret {file.`+secret+`}
		credential braces \{a\}
		optional scope
		obtain https://{env.TEST_HOST}/token`)
	names, values := s.Credentials()
	if want := []string{"app_key", "app_secret", "braces", "scope"}; !slices.Equal(names, want) {
		t.Errorf("names %q", names)
	}
	// what a file holds is not a placeholder
	if want := []any{"the key", "{env.TEST_KEY}", "{a}", nil}; !slices.Equal(values, want) {
		t.Errorf("values %q", values)
	}
	if got := s.obtainURL.String(); got != "https://crm.example.com:8443/token" {
		t.Errorf("URL %s", got)
	}
	shown, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(shown), "the key") || !strings.Contains(string(shown), "{env.TEST_KEY}") {
		t.Errorf("the configuration shows %s", shown)
	}
}

func TestProvisionErrors(t *testing.T) {
	t.Setenv("TEST_BLANK", "")
	t.Setenv("TEST_URL", "https://canary:canary@a.example")
	for name, test := range map[string]struct {
		source string // JSON
		want   []string
	}{
		"an unset variable":   {`{"credentials": {"app_key": "{env.TEST_NOBODY_SET_THIS}"}}`, []string{"credential app_key", "{env.TEST_NOBODY_SET_THIS} is not set"}},
		"a blank variable":    {`{"credentials": {"app_key": "{env.TEST_BLANK}"}}`, []string{"{env.TEST_BLANK}", "empty"}},
		"a missing file":      {`{"credentials": {"app_key": "{file./nowhere/secret}"}}`, []string{"{file./nowhere/secret}"}},
		"a secret with {":     {`{"credentials": {"app_key": "x{canary}y"}}`, []string{"credential app_key", `\{`}},
		"a secret, all in {}": {`{"credentials": {"app_key": "{canary}"}}`, []string{"credential app_key", `\{`}},
		"a static token's {":  {`{"static": "x{canary}y"}`, []string{"static", `\{`}},
		"static, unset":       {`{"static": "{env.TEST_BLANK}"}`, []string{"static", "{env.TEST_BLANK}"}},
		"static, no header":   {`{"static": "canary\n"}`, []string{"static", "header"}},
		"a URL's variable":    {`{"credentials": {"app_key": "a", "app_secret": "b"}, "obtain": {"url": "https://{env.TEST_BLANK}/"}}`, []string{"obtain", "placeholder"}},
		"a URL's secret":      {`{"credentials": {"app_key": "a", "app_secret": "b"}, "obtain": {"url": "{env.TEST_URL}"}}`, []string{"obtain", "user name or password"}},
		"a refresh URL":       {`{"credentials": {"app_key": "a", "app_secret": "b"}, "obtain": {"url": "https://a.example"}, "refresh": {"url": "{env.TEST_BLANK}"}}`, []string{"refresh", "TEST_BLANK"}},
		"no URL":              {`{"credentials": {"app_key": "a", "app_secret": "b"}, "obtain": {}}`, []string{"obtain", "URL is missing"}},
		"nothing":             {`{}`, []string{"nothing to send"}},
		"a wrong program":     {`{"static": "a", "api_success": ".a ++"}`, []string{"api_success: line 1"}},
		"wrong definitions":   {`{"static": "a", "define": "def f: ;"}`, []string{"define: line 1"}},
		"two windows":         {`{"static": "a", "refresh_before": 1, "refresh_fraction": 0.5}`, []string{"refresh_before"}},
		"a window below zero": {`{"credentials": {"app_key": "a", "app_secret": "b"}, "obtain": {"url": "https://a.example"}, "refresh_before": -1}`, []string{"refresh_before", "must not be negative"}},
		"both windows":        {`{"credentials": {"app_key": "a", "app_secret": "b"}, "obtain": {"url": "https://a.example"}, "refresh_before": "5m", "refresh_fraction": 0.2}`, []string{"refresh_before", "one of them"}},
		"a lifetime below 0":  {`{"credentials": {"app_key": "a", "app_secret": "b"}, "obtain": {"url": "https://a.example"}, "lifetime": -1}`, []string{"lifetime"}},
		"a unit of nothing":   {`{"dialect": "none", "access_token": ".a", "obtain": {"url": "https://a.example"}, "expires_in_unit": "ms"}`, []string{"expires_in", "no program"}},
		"a zone of nothing":   {`{"static": "a", "timestamp_zone": "UTC"}`, []string{"timestamp", "no zone"}},
		"keep nothing":        {`{"dialect": "none", "access_token": ".a", "obtain": {"url": "https://a.example"}, "keep": {"hosts": ["a.example"]}}`, []string{"keep", "program is missing"}},
		"an empty rule":       {`{"static": "a", "token_expired": {}}`, []string{"token_expired", "401"}},
		"another transport":   {`{"dialect": "none", "access_token": ".a", "obtain": {"url": "https://a.example"}, "transport": {"protocol": "fastcgi"}}`, []string{"transport", "`http` only"}},
		"a broken transport":  {`{"dialect": "none", "access_token": ".a", "obtain": {"url": "https://a.example"}, "transport": {"protocol": "http", "versions": ["9"]}}`, []string{"transport", "9"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := new(Source)
			if err := json.Unmarshal([]byte(test.source), s); err != nil {
				t.Fatal(err)
			}
			err := load(t, s)
			if err == nil {
				t.Fatal("want an error")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q lacks %q", err, part)
				}
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("%q shows a secret", err)
			}
		})
	}
}

// The cause of an error stays within reach.
func TestProvisionErrorIsASyntaxError(t *testing.T) {
	err := load(t, &Source{Static: "a", AnswerSuccess: ".a ++"})
	if _, ok := errors.AsType[*jq.SyntaxError](err); !ok {
		t.Errorf("got %v", err)
	}
}

// A program that would fail at each sign-in is refused at load. The mode is one
// of the whole process, so the test runs itself again.
func TestFIPS(t *testing.T) {
	if fips140.Enforced() {
		for body, want := range map[string]string{
			signedSource: "obtain json: md5",
			"static t\ndefine `def f: sha1;`\napi_success `.a | f`": "api_success: md5 and sha1",
			"static t\napi_success `.a | sha256`":                   "",
		} {
			_, err := parse(t, body)
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v", body, err)
			}
		}
		return
	}
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFIPS$", "-test.v")
	again.Env = append(os.Environ(), "GODEBUG=fips140=only")
	if out, err := again.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: TestFIPS")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestKindsOfSource(t *testing.T) {
	for name, test := range map[string]struct {
		body                                  string
		hasToken, warm, canObtain, canRefresh bool
	}{
		"an endpoint":      {signedSource, true, true, true, true},
		"sign in only":     {keys + signIn, true, true, true, false},
		"not at start":     {signedSource + "\nwarm off", true, false, true, true},
		"static":           {"static t", true, false, false, false},
		"credentials only": {keys, false, false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := provision(t, test.body)
			e := s.Endpoint()
			if s.HasToken() != test.hasToken || s.IsWarm() != test.warm || e.CanObtain() != test.canObtain || e.CanRefresh() != test.canRefresh {
				t.Errorf("token %t, warm %t, obtain %t, refresh %t", s.HasToken(), s.IsWarm(), e.CanObtain(), e.CanRefresh())
			}
		})
	}
}

func TestPolicy(t *testing.T) {
	s := provision(t, signedSource)
	p := s.Policy()
	if p.Name != "crm" || p.Lifetime != 0 || p.RefreshBefore != 10*time.Minute || !p.MustDiffer || !p.Warm ||
		p.Timeout != 10*time.Second || p.RetryRefused != 5*time.Minute || p.Seed != "" || p.Static != "" ||
		p.Identity != s.Identity() || p.SealKey == [32]byte{} {
		t.Errorf("signed: %+v", p)
	}
	p = provision(t, signedSource+"\nlifetime 2h\nrefresh_before 0.25\nmust_differ off\nwarm off\ntimeout 3s\nretry_refused 1m").Policy()
	if p.Lifetime != 2*time.Hour || p.RefreshBefore != 0 || p.RefreshFraction != 0.25 || p.MustDiffer || p.Warm ||
		p.Timeout != 3*time.Second || p.RetryRefused != time.Minute {
		t.Errorf("as written: %+v", p)
	}
	p = provision(t, none).Policy()
	if p.MustDiffer || p.RefreshBefore != 0 {
		t.Errorf("none: %+v", p)
	}
	if p = provision(t, "static t").Policy(); p.Static != "t" || p.Warm {
		t.Errorf("static: %+v", p)
	}
}

func TestIdentity(t *testing.T) {
	base := provision(t, signedSource)
	if len(base.Identity()) != 64 {
		t.Errorf("identity %q", base.Identity())
	}
	// Another key would not open what earlier versions have stored.
	if key := fmt.Sprintf("%x", base.Policy().SealKey); key != "fbe454262bea27799786e1557ae24f2274529060204f620178156af876b2dcc2" {
		t.Errorf("the seal key is %s now", key)
	}
	for name, test := range map[string]struct {
		body               string
		sameToken, sameKey bool
	}{
		"itself":            {signedSource, true, true},
		"when to renew":     {signedSource + "\nlifetime 2h\nrefresh_before 5m\nwarm off\ntimeout 3s", true, true},
		"how it travels":    {signedSource + "\ninject header token\ntoken_expired 403", true, true},
		"another secret":    {strings.Replace(signedSource, " sk", " sk2", 1), false, false},
		"secrets swapped":   {strings.NewReplacer(" ak", " sk", " sk", " ak").Replace(signedSource), false, false},
		"another URL":       {strings.Replace(signedSource, "/get", "/get2", 1), false, true},
		"another renewal":   {strings.Replace(signedSource, "/refresh", "/refresh2", 1), false, true},
		"another program":   {signedSource + "\naccess_token .data.token", false, true},
		"another timestamp": {signedSource + "\ntimestamp s", false, true},
		"other definitions": {signedSource + "\ndefine `def f: 1;`", false, true},
	} {
		s := provision(t, test.body)
		if same := s.Identity() == base.Identity(); same != test.sameToken {
			t.Errorf("%s: same identity: %t", name, same)
		}
		if same := s.sealKey == base.sealKey; same != test.sameKey {
			t.Errorf("%s: same seal key: %t", name, same)
		}
	}
	// what is resolved counts, not how it is written
	t.Setenv("TEST_SECRET", "sk")
	if s := provision(t, strings.Replace(signedSource, " sk", " {env.TEST_SECRET}", 1)); s.Identity() != base.Identity() {
		t.Error("a placeholder makes another identity")
	}
	if a, b := provision(t, "static a"), provision(t, "static b"); a.Identity() == b.Identity() {
		t.Error("two static tokens have one identity")
	}
}

func TestWarnings(t *testing.T) {
	t.Setenv("TEST_SECRET", "canary")
	const clean = "credential app_key ak\ncredential app_secret {env.TEST_SECRET}\nobtain https://a.example\n"
	for name, test := range map[string]struct {
		body string
		want []string // a part of each
	}{
		"none":                       {clean + "lifetime 2h", nil},
		"none, with expires_in":      {clean + "expires_in .e", nil},
		"no lifetime":                {clean, []string{"neither lifetime nor expires_in"}},
		"the dialect has one":        {"dialect oauth2\ncredential client_id i\ncredential client_secret {env.TEST_SECRET}\nobtain https://a.example", nil},
		"a literal secret":           {"credential app_secret canary", []string{"credential app_secret is a secret in clear"}},
		"a literal key":              {"credential api_key canary\ncredential app_key a\ncredential corpid a", []string{"credential api_key is a secret in clear"}},
		"two of them, in order":      {"credential b_secret canary\ncredential a_secret canary", []string{"a_secret", "b_secret"}},
		"a literal token":            {"static canary", []string{"static is a secret in clear"}},
		"in clear":                   {strings.Replace(clean, "https", "http", 1) + "lifetime 2h", []string{"in clear to a.example"}},
		"renewal in clear":           {clean + "lifetime 2h\nrefresh http://b.example", []string{"in clear to b.example"}},
		"on this machine":            {strings.Replace(clean, "https://a.example", "http://127.0.0.1:8080", 1) + "lifetime 2h", nil},
		"on this machine, by name":   {strings.Replace(clean, "https://a.example", "http://localhost:8080", 1) + "lifetime 2h", nil},
		"in the URL":                 {clean + "lifetime 2h\ninject query access_token", []string{"URL"}},
		"in a cookie":                {clean + "lifetime 2h\ninject header Cookie", []string{"Cookie is an unusual place"}},
		"nothing to inject":          {"credential app_key a", nil},
		"certificates are not asked": {clean + "lifetime 2h\ntransport http {\ntls_insecure_skip_verify\n}", []string{"does not verify"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := provision(t, test.body).Warnings()
			if len(got) != len(test.want) {
				t.Fatalf("got %q", got)
			}
			for i, part := range test.want {
				if !strings.Contains(got[i], part) {
					t.Errorf("%q lacks %q", got[i], part)
				}
				if strings.Contains(got[i], "canary") {
					t.Errorf("%q shows a secret", got[i])
				}
			}
		})
	}
}

func TestUnused(t *testing.T) {
	sign, err := jq.Compile(`{a: $app_key}`, jq.Spec{Vars: []string{"app_key"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		body string
		apis []*jq.Program
		want string
	}{
		"none":                 {"credential app_key a\ncredential app_secret s\nobtain https://a.example", nil, ""},
		"none, with a refresh": {"dialect none\naccess_token .t\ncredential app x\ncredential refresh_token r\nrefresh https://a.example {\nform `{app: $app, r: $refresh_token}`\n}", nil, ""},
		"a misspelled one": {
			"dialect oauth2\ncredential client_id i\ncredential client_secret s\ncredential scopes x\nobtain https://a.example", nil,
			"no program uses credential scopes; the names in use are audience, client_id, client_secret, scope",
		},
		"of an api":             {"credential app_key a", []*jq.Program{sign}, ""},
		"of no api's":           {"credential app_key a\ncredential x b\ncredential y c", []*jq.Program{sign}, "no program uses credential x, y; the names in use are app_key"},
		"an api beside a token": {"static {env.HOME}\ncredential app_key a", []*jq.Program{sign}, ""},
		"a source without apis": {"credential app_key a", nil, ""},
		"a consent": {
			"dialect oauth2_code\ncredential client_id i\ncredential seal_key k\nauthorize https://a.example/a\nobtain https://a.example/t\nrefresh https://a.example/t", nil, "",
		},
	} {
		if got := provision(t, test.body).Unused(test.apis); got != test.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestExpiredRule(t *testing.T) {
	statuses, program := provision(t, "static {env.HOME}").ExpiredRule()
	if !slices.Equal(statuses, []int{401}) || program != nil {
		t.Errorf("default: %v", statuses)
	}
	statuses, program = provision(t, "static {env.HOME}\ndefine `def dead: . == 40001;`\ntoken_expired 403 `.errcode | dead and $status == 200 and $headers[\"x\"] == $params.x and $request.method == \"GET\"`").ExpiredRule()
	if !slices.Equal(statuses, []int{403}) || program == nil {
		t.Fatalf("as written: %v", statuses)
	}
	vars := []any{200, map[string]any{"x": "1"}, map[string]any{"x": "1"}, map[string]any{"method": "GET"}}
	if dead, err := program.Test(t.Context(), map[string]any{"errcode": 40001}, vars...); !dead || err != nil {
		t.Error("the rule does not hold")
	}
	if dead, err := program.Test(t.Context(), map[string]any{"errcode": 0}, vars...); dead || err != nil {
		t.Error("the rule always holds")
	}
	// what is written is all there is
	if statuses, _ = provision(t, "static {env.HOME}\ntoken_expired `.errcode == 40001`").ExpiredRule(); len(statuses) != 0 {
		t.Errorf("a program alone: %v", statuses)
	}
}

func TestAPISuccess(t *testing.T) {
	if got := provision(t, "static {env.HOME}").APISuccess(); got != "" {
		t.Errorf("got %q", got)
	}
	got := provision(t, "static {env.HOME}\ndefine `def ok: . == 0; # fine`\napi_success `.code | ok`").APISuccess()
	if want := "def ok: . == 0; # fine\n.code | ok"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestKeepHosts(t *testing.T) {
	if got := provision(t, none).KeepHosts(); got != nil {
		t.Errorf("got %q", got)
	}
	s := provision(t, none+"keep `{a: .a}` hosts *.example.com 10.0.0.1")
	hosts := s.KeepHosts()
	if !slices.Equal(hosts, []string{"*.example.com", "10.0.0.1"}) {
		t.Errorf("got %q", hosts)
	}
	hosts[0] = "*.evil.example"
	if s.KeepHosts()[0] != "*.example.com" {
		t.Error("a caller can change the hosts")
	}
}

func TestInjectionOfASource(t *testing.T) {
	if got := provision(t, signedSource+"\ninject header token").Injection(); got != (token.Injection{Where: token.InHeader, Name: "Token"}) {
		t.Errorf("got %+v", got)
	}
}

// Caddy's transport is used where it is written, ours elsewhere.
func TestTransports(t *testing.T) {
	if s := provision(t, signedSource+"\ntransport http"); s.roundTripper == nil {
		t.Error("no transport")
	} else if _, ok := s.roundTripper.(caddyTransport); !ok {
		t.Errorf("the transport is %T", s.roundTripper)
	}
	s := provision(t, signedSource)
	own, ok := s.roundTripper.(*http.Transport)
	if !ok || own.Proxy == nil || own.TLSClientConfig != nil && own.TLSClientConfig.InsecureSkipVerify {
		t.Errorf("the transport is %+v", s.roundTripper)
	}
}

func TestDialects(t *testing.T) {
	var names []string
	for _, d := range Dialects() {
		names = append(names, d.Name)
		s, err := d.parse()
		if err != nil {
			t.Errorf("%s: %v", d.Name, err)
			continue
		}
		if !strings.HasPrefix(d.Text, "# ") {
			t.Errorf("%s does not say what it is", d.Name)
		}
		if d.Name == "none" {
			continue
		}
		// every dialect works with the credentials that its comments name
		s = &Source{Dialect: d.Name, Obtain: &Request{URL: "https://a.example"}, Refresh: &Request{URL: "https://a.example"}}
		if strings.Contains(d.Text, "\nauthorize {") {
			s.Authorize = &Authorize{URL: "https://a.example"}
		}
		s.CredentialValues = make(map[string]string)
		for line := range strings.Lines(d.Text) {
			if words := strings.Fields(line); len(words) > 2 && words[0] == "#" && words[1] == "credential" {
				s.CredentialValues[words[2]] = cmp.Or(map[string]string{"private_key": edKey, "algorithm": "EdDSA"}[words[2]], "x")
			}
		}
		if err := load(t, s); err != nil {
			t.Errorf("%s with %q: %v", d.Name, slices.Sorted(maps.Keys(s.CredentialValues)), err)
		}
	}
	if want := []string{"jwt_bearer", "none", "oauth2", "oauth2_basic", "oauth2_code", "oauth2_jwt", "signed"}; !slices.Equal(names, want) {
		t.Errorf("got %q", names)
	}
}

// Whatever a source writes stands over its dialect; requests whole.
func TestDialectGivesWay(t *testing.T) {
	s := provision(t, `
		credential app_key ak
		obtain GET https://a.example {
			query `+"`{k: $app_key}`"+`
		}
		success .ok
		access_token .t
		refresh_token .r
		expires_in .e ms
		timestamp s
		refresh_before 5m
		must_differ off`)
	p := s.plan
	if p.Obtain.JSON != "" || p.Obtain.Query == "" || p.Obtain.Method != http.MethodGet {
		t.Errorf("the request is mixed: %+v", p.Obtain)
	}
	if p.Success != ".ok" || p.AccessToken != ".t" || p.RefreshToken != ".r" || p.ExpiresIn != ".e" || p.ExpiresInUnit != "ms" ||
		p.Timestamp != "s" || time.Duration(p.RefreshBefore) != 5*time.Minute || *p.MustDiffer {
		t.Errorf("got %+v", p.Source)
	}
	if s.Success != ".ok" || s.Obtain.Method != http.MethodGet || s.RefreshBefore != caddy.Duration(5*time.Minute) {
		t.Errorf("the configuration itself changed: %+v", s)
	}
	// a method by itself keeps the rest
	s = provision(t, keys+"obtain PUT https://a.example")
	if s.plan.Obtain.Method != http.MethodPut || s.plan.Obtain.JSON == "" {
		t.Errorf("got %+v", s.plan.Obtain)
	}
	// as a fraction replaces a dialect's duration
	s = provision(t, signedSource+"\nrefresh_before 0.5")
	if s.plan.RefreshBefore != 0 || s.plan.RefreshFraction != 0.5 {
		t.Errorf("got %d, %g", s.plan.RefreshBefore, s.plan.RefreshFraction)
	}
	if s.Dialect != "" || s.RefreshBefore != 0 || s.Obtain.JSON != "" {
		t.Error("the dialect got into the configuration")
	}
}
