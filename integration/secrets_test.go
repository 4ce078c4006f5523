package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// Eight planted secrets are nowhere to be found: not in DEBUG logs, the
// configuration, its autosave, the metrics or the bodies of errors.
func TestSecretsStaySecret(t *testing.T) {
	api := startProvider(t, provider.Options{AppKey: "canaryappkey1", AppSecret: "canaryappsecret2", TokenLength: 48})
	static := filepath.Join(t.TempDir(), "static")
	if err := os.WriteFile(static, []byte("canarystatic3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	caddy := start(t, api, setup{
		global: "debug\n\tmetrics\n\tlog {\n\t\tformat switchboard\n\t}",
		tokens: `
		token fixed {
			static {file.` + static + `}
			inject header X-Access-Token {token}
		}
		token query {
			dialect oauth2
			credential client_id {env.CRM_APP_KEY}
			credential client_secret {env.CRM_APP_SECRET}
			obtain {API}/oauth2/token
			lifetime 2m
			inject query access_token
		}`,
		site: `
	log {
		format switchboard
	}
	handle_errors {
		respond "{http.request.header.Authorization} {http.request.header.X-Access-Token} {http.request.uri}"
	}` + strings.Replace(orderBlock, "{MORE}", "auth key {env.IVR_KEY}", 1) + `
	api /fixed/* fixed {
		to {API}
		token fixed
		auth none
	}
	handle_path /query/* {
		reverse_proxy {API} {
			transport switchboard {
				token query
			}
		}
	}`,
		env: []string{"CRM_APP_KEY=canaryappkey1", "CRM_APP_SECRET=canaryappsecret2", "IVR_KEY=canaryivrkey4"},
	})
	var bodies strings.Builder
	ask := func(path string, header ...string) {
		req := harness.Request(t, "GET", caddy.URL(path), "", "")
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		got, err := harness.Try(req)
		if err != nil {
			bodies.WriteString(err.Error()) // a bare reverse_proxy hands on a broken answer
		}
		bodies.WriteString(got.Body)
		for name, values := range got.Header {
			bodies.WriteString(name + strings.Join(values, " ") + "\n")
		}
	}
	ask("/ivr/order?tel=13812345678", "X-Api-Key", "canaryivrkey4")
	ask("/ivr/order?tel=13812345678&email=canary8%40example.com", "X-Api-Key", "wrong")
	ask("/fixed/echo")
	ask("/query/open/customer/C1001")
	for _, fault := range []string{"hang", "reset", "html", "error-code", "truncate"} {
		inject(t, api, provider.Fault{Target: provider.All, Fault: fault, Times: 3})
		ask("/ivr/order?tel=13812345678", "X-Api-Key", "canaryivrkey4")
		if fault != "hang" { // a bare reverse_proxy has no budget
			ask("/query/open/order/query?tel=13812345678")
		}
		api.ClearFaults()
	}
	api.Expire()
	ask("/ivr/order?tel=13812345678", "X-Api-Key", "canaryivrkey4")

	places := map[string]string{
		"the log":           caddy.Logs.String(),
		"/config/":          harness.Get(t, "http://"+caddy.Admin+"/config/").Body,
		"the metrics":       harness.Get(t, "http://"+caddy.Admin+"/metrics").Body,
		"an answer":         bodies.String(),
		"files of autosave": files(t, filepath.Join(caddy.Dir, "config")),
		"stored records":    files(t, filepath.Join(caddy.Dir, "data")),
	}
	secrets := []string{"canaryappkey1", "canaryappsecret2", "canarystatic3", "canaryivrkey4", "canary8"}
	for _, e := range api.Ledger() {
		for _, s := range []string{e.Issued, e.RefreshToken} {
			if s != "" {
				secrets = append(secrets, s)
			}
		}
	}
	if len(secrets) < 8 {
		t.Fatalf("only %d secrets were planted", len(secrets))
	}
	for where, text := range places {
		if text == "" {
			t.Errorf("%s is empty: nothing was checked", where)
		}
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds the secret %q", where, secret)
			}
		}
		if where != "an answer" && strings.Contains(text, "13812345678") {
			t.Errorf("%s holds a caller's number", where)
		}
	}
}

func files(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all.WriteString(path + "\n")
		all.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
