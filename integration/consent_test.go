package integration

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// consentBlock is a token source that needs a person's consent.
func consentBlock(lines string) string {
	return `
		token mail {
			dialect oauth2_code
			credential client_id {env.CRM_APP_KEY}
			credential client_secret {env.CRM_APP_SECRET}
			authorize {API}/oauth2/authorize {
				query ` + "`{access_type: \"offline\"}`" + `
				` + lines + `
			}
			obtain {API}/oauth2/token
			refresh {API}/oauth2/token
			retry_refused 1s
		}`
}

func consentSetup(lines string) setup {
	return setup{tokens: consentBlock(lines), site: strings.Replace(orderBlock, "token crm", "token mail", 1)}
}

const noConsent = "nobody has consented yet; run `caddy switchboard tokens connect mail`"

// connecting is `tokens connect` while it runs.
type connecting struct {
	url    string
	stdin  io.WriteCloser
	errs   *bytes.Buffer
	finish func() (out string, err error)
}

func connect(t *testing.T, caddy *harness.Caddy, flags ...string) *connecting {
	t.Helper()
	cmd := caddy.Prepare(append([]string{"switchboard", "--address", caddy.Admin, "tokens", "connect", "mail"}, flags...)...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c := &connecting{stdin: stdin, errs: new(bytes.Buffer)}
	cmd.Stderr = c.errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	line, _ := lines.ReadString('\n')
	c.url = strings.TrimSpace(line)
	c.finish = func() (string, error) {
		rest, _ := io.ReadAll(lines)
		err := cmd.Wait()
		return string(rest) + c.errs.String(), err
	}
	return c
}

// browse opens a URL as a browser does, and follows redirects.
func browse(t *testing.T, to string) (status int, text string) {
	t.Helper()
	res, err := http.Get(to)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// landing is where the browser is redirected to, without going there.
func landing(t *testing.T, from string) *url.URL {
	t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Get(from)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	to, err := res.Location()
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// shows reports whether `tokens` shows a text.
func shows(t *testing.T, caddy *harness.Caddy, text string) bool {
	t.Helper()
	out, err := caddy.Command("switchboard", "--address", caddy.Admin, "tokens")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.Contains(out, text)
}

func order(t *testing.T, caddy *harness.Caddy) string {
	t.Helper()
	return harness.Get(t, caddy.URL("/ivr/order?tel=13800138000")).Body
}

func TestConsent(t *testing.T) {
	api := startProvider(t, provider.Options{})
	s := consentSetup("")
	caddy := start(t, api, s)
	if got := order(t, caddy); !strings.Contains(got, `"_status":"no_token"`) {
		t.Errorf("before the consent: %s", got)
	}
	harness.Eventually(t, 10*time.Second, "the reason", func() bool { return shows(t, caddy, noConsent) })
	if out, err := caddy.Command("switchboard", "--address", caddy.Admin, "test", "order", "tel=13800138000"); err == nil || !strings.Contains(out, noConsent) {
		t.Errorf("test: %v\n%s", err, out)
	}

	c := connect(t, caddy)
	asked, err := url.Parse(c.url)
	if err != nil || asked.Query().Get("access_type") != "offline" || asked.Query().Get("code_challenge_method") != "S256" {
		t.Fatalf("URL %q: %s", c.url, c.errs)
	}
	// what else comes to the address changes nothing
	redirect := asked.Query().Get("redirect_uri")
	for _, query := range []string{"?code=x&state=" + strings.Repeat("x", 43), "?state=" + asked.Query().Get("state"), "/favicon.ico"} {
		if status, text := browse(t, redirect+query); status == http.StatusOK {
			t.Errorf("%s: %s", query, text)
		}
	}
	if status, text := browse(t, c.url); status != http.StatusOK || !strings.Contains(text, "Connected") {
		t.Errorf("the browser shows %d %s", status, text)
	}
	out, err := c.finish()
	if err != nil || !strings.Contains(out, "fresh") {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := order(t, caddy); got != known {
		t.Errorf("after the consent: %s", got)
	}
	if n := api.Ledger().Count(provider.OAuth2, ""); n != 1 {
		t.Errorf("%d token calls, want 1", n)
	}

	nothingSecret(t, caddy, api)

	caddy.Kill()
	s.dir = caddy.Dir
	caddy = start(t, api, s)
	if got := order(t, caddy); got != known {
		t.Errorf("after a restart: %s", got)
	}
	if out, err := caddy.Command("switchboard", "--address", caddy.Admin, "tokens", "renew", "mail"); err != nil {
		t.Errorf("renew: %v\n%s", err, out)
	}
	if got := order(t, caddy); got != known || api.Ledger().Count(provider.OAuth2, "ok") != 2 {
		t.Errorf("after a renewal: %s", got)
	}
}

// nothingSecret checks that neither the log nor the storage holds a code or a token.
func nothingSecret(t *testing.T, caddy *harness.Caddy, api *provider.Server) {
	t.Helper()
	var secrets []string
	for _, e := range api.Ledger().Kind(provider.OAuth2) {
		form, err := url.ParseQuery(e.Body)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, e.Issued, form.Get("code"), url.QueryEscape(form.Get("code")), form.Get("code_verifier"), "rt-")
	}
	look := func(where, text string) {
		for _, secret := range secrets {
			if secret != "" && strings.Contains(text, secret) {
				t.Errorf("%s holds %.8s…", where, secret)
			}
		}
	}
	look("the log", caddy.Logs.String())
	files := 0
	err := filepath.WalkDir(filepath.Join(caddy.Dir, "data"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		files++
		look(path, string(text))
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files, %v", files, err)
	}
}

func TestConsentPasted(t *testing.T) {
	api := startProvider(t, provider.Options{RedirectURI: "https://ops.example.com/callback"})
	caddy := start(t, api, consentSetup("redirect https://ops.example.com/callback"))
	state := func(asked string) string {
		_, rest, _ := strings.Cut(asked, "state=")
		return rest
	}
	for _, test := range []struct {
		name  string
		flags []string
		paste func(asked string) string
		want  string // of an error
	}{
		{"another state", nil, func(asked string) string {
			back := landing(t, asked)
			return strings.Replace(back.String(), back.Query().Get("state"), strings.Repeat("x", 43), 1)
		}, "state belongs to no consent under way"},
		{"no code", nil, func(asked string) string { return "https://ops.example.com/callback?state=" + state(asked) }, "neither a code nor an error"},
		{"another code", nil, func(string) string { return "a-code-nobody-gave" }, `code invalid_grant): the endpoint says "unknown_code"`},
		{"a denial", nil, func(asked string) string { return landing(t, asked+"&_deny=1").String() }, "the consent was denied (access_denied); it says \"denied\""},
		{"nothing", nil, func(string) string { return "" }, "nothing was pasted"},
		{"the address", []string{"--paste"}, func(asked string) string { return landing(t, asked).String() }, ""},
		{"without a flag", nil, func(asked string) string { return landing(t, asked).String() }, ""},
		{"the code", nil, func(asked string) string { return "\n" + landing(t, asked).Query().Get("code") }, ""},
	} {
		c := connect(t, caddy, test.flags...)
		if _, err := fmt.Fprintln(c.stdin, test.paste(c.url)); err != nil {
			t.Fatal(err)
		}
		_ = c.stdin.Close()
		out, err := c.finish()
		if (err != nil) != (test.want != "") || !strings.Contains(out, test.want) || test.want == "" && !strings.Contains(out, "fresh") {
			t.Errorf("%s: %v\n%s", test.name, err, out)
		}
	}
	if got := order(t, caddy); got != known {
		t.Errorf("after the consent: %s", got)
	}
	nothingSecret(t, caddy, api)
}

func TestConsentOverTheAdminAPI(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, consentSetup("issuer {API}"))
	post := func(path, body string) harness.Answer {
		return harness.Do(t, harness.Request(t, "POST", "http://"+caddy.Admin+"/switchboard/tokens/"+path, "application/json", body))
	}
	begin := func() (asked, state string) {
		got := post("mail/connect", `{"port":4711}`)
		u := regexp.MustCompile(`"url":"([^"]+)"`).FindStringSubmatch(got.Body)
		if got.Status != 200 || u == nil || !strings.Contains(got.Body, `"redirect":"http://127.0.0.1:4711/callback"`) || strings.Contains(got.Body, "verifier") {
			t.Fatalf("got %d %s", got.Status, got.Body)
		}
		parsed, err := url.Parse(u[1])
		if err != nil {
			t.Fatal(err)
		}
		return u[1], parsed.Query().Get("state")
	}
	asked, state := begin()
	back := landing(t, asked).Query()
	finish := func(state, code, iss string) string {
		return fmt.Sprintf(`{"state":%q,"code":%q,"iss":%q}`, state, code, iss)
	}
	for _, test := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"crm/connect", "", 409, "token crm has no `authorize`"},
		{"nobody/connect", "", 404, "nobody"},
		{"mail/connect", "[]", 400, "the body doesn't say"},
		{"mail/connect", `{"redirect":"http://crm.example.com/cb"}`, 400, "would be sent over a connection that anybody can read"},
		{"mail/connect/finish", "x", 400, "the body is not what a redirect carries"},
		{"mail/connect/finish", "{}", 400, "state belongs to no consent"},
		{"mail/connect/finish", finish(state, back.Get("code"), back.Get("iss")), 200, `"state":"fresh"`},
		{"mail/connect/finish", finish(state, back.Get("code"), back.Get("iss")), 400, "state belongs to no consent"},
	} {
		if got := post(test.path, test.body); got.Status != test.status || !strings.Contains(got.Body, test.want) {
			t.Errorf("%s %s: %d %s", test.path, test.body, got.Status, got.Body)
		}
	}
	for iss, want := range map[string]string{"": "carries no iss", "https://a.example": "another server may have answered"} {
		_, state := begin()
		if got := post("mail/connect/finish", finish(state, "c", iss)); got.Status != 400 || !strings.Contains(got.Body, want) {
			t.Errorf("%q: %d %s", iss, got.Status, got.Body)
		}
	}
	if n := api.Ledger().Count(provider.OAuth2, ""); n != 1 {
		t.Errorf("%d token calls, want 1", n)
	}
}

// A provider that gives no refresh token: the next person would be asked in an hour.
func TestConsentWithoutRefreshToken(t *testing.T) {
	api := startProvider(t, provider.Options{ReusableRefresh: true})
	caddy := start(t, api, consentSetup(""))
	c := connect(t, caddy)
	if status, text := browse(t, c.url); status != http.StatusBadGateway || !strings.Contains(text, "no refresh token") {
		t.Errorf("the browser shows %d %s", status, text)
	}
	out, err := c.finish()
	if err == nil || !strings.Contains(out, "the endpoint gave no refresh token") || !strings.Contains(out, "offline") {
		t.Errorf("%v\n%s", err, out)
	}
	if got := order(t, caddy); !strings.Contains(got, "no_token") {
		t.Errorf("a token that was refused is used: %s", got)
	}
}

func TestConsentOfAFleet(t *testing.T) {
	api := startProvider(t, provider.Options{Lifetime: time.Hour})
	s := consentSetup("")
	s.global = "storage file_system " + t.TempDir()
	one, other := start(t, api, s), start(t, api, s)
	for _, caddy := range []*harness.Caddy{one, other} {
		harness.Eventually(t, 10*time.Second, "the reason", func() bool { return shows(t, caddy, noConsent) })
	}
	c := connect(t, one)
	browse(t, c.url)
	if out, err := c.finish(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	harness.Eventually(t, 10*time.Second, "the token on the other instance", func() bool { return order(t, other) == known })
	if n := api.Ledger().Count(provider.OAuth2, ""); n != 1 {
		t.Errorf("%d token calls, want 1", n)
	}

	// the person withdraws the consent
	api.Revoke()
	for _, caddy := range []*harness.Caddy{one, other} {
		harness.Eventually(t, 20*time.Second, "the end of the consent", func() bool { return strings.Contains(order(t, caddy), "no_token") })
	}
	ended := func(caddy *harness.Caddy) bool {
		return shows(t, caddy, "the consent has ended; run `caddy switchboard tokens connect mail`") ||
			shows(t, caddy, "if the consent has ended, run `caddy switchboard tokens connect mail`")
	}
	harness.Eventually(t, 20*time.Second, "the reason", func() bool { return ended(one) && ended(other) })
	c = connect(t, other)
	browse(t, c.url)
	if out, err := c.finish(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := order(t, other); got != known {
		t.Errorf("after another consent: %s", got)
	}
	harness.Eventually(t, 40*time.Second, "it on the other instance", func() bool { return order(t, one) == known })
}
