package console_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

const withKey = "handle_path /ops/* {\n\t\tapi_console {\n\t\t\tauth key {env.CONSOLE_KEY}\n\t\t}\n\t}"

// Nobody sees anything without the key but the form that asks for it.
func TestWithoutTheKey(t *testing.T) {
	s := start(t, withKey)
	form := s.ask(http.MethodGet, "/ops/", "", "Accept", "text/html")
	if form.status != http.StatusUnauthorized || !strings.Contains(form.body, "signin.js") || strings.Contains(form.body, "app.js") {
		t.Errorf("%d %s", form.status, form.body)
	}
	for path, want := range map[string]int{
		"/ops/signin.js": 200, "/ops/dom.js": 200, "/ops/words.js": 200, "/ops/console.css": 200,
		"/ops/app.js": 401, "/ops/index.html": 401, "/ops/data/apis": 401, "/ops/data/tokens": 401, "/ops/data/cache": 401, "/ops/data/customers": 401, "/ops/data/nope": 401,
	} {
		if g := s.get(path); g.status != want || want == 401 && !strings.Contains(g.header.Get("Www-Authenticate"), "ApiKey") {
			t.Errorf("%s: %d", path, g.status)
		}
	}
	for _, action := range []string{"hold", "release", "renew", "purge", "search"} {
		if g := s.post("/ops/data/"+action, `{"api":"order","token":"crm","tel":"13800138000"}`); g.status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", action, g.status, g.body)
		}
	}
	if api, err := running(t).Operator().API("order"); err != nil || api.Held {
		t.Errorf("%+v, %v", api, err)
	}
	if g := s.ask(http.MethodGet, "/ops/data/apis", "", "X-API-Key", "canary-console-key"); g.status != http.StatusOK {
		t.Errorf("a program with the key: %d", g.status)
	}
	if g := s.ask(http.MethodGet, "/ops/data/apis", "", "X-API-Key", "canary-console-kex"); g.status != http.StatusUnauthorized {
		t.Errorf("a program with another: %d", g.status)
	}
}

// The key opens a session, and a cookie that is made up or changed doesn't.
func TestSignIn(t *testing.T) {
	s := start(t, withKey)
	if g := s.post("/ops/data/signin", `{"key":"wrong"}`); g.status != http.StatusUnauthorized || g.header.Get("Set-Cookie") != "" {
		t.Errorf("%d %v", g.status, g.header)
	}
	if g := s.ask(http.MethodPost, "/ops/data/signin", `{"key":"canary-console-key"}`, "Content-Type", "text/plain", "Sec-Fetch-Site", "cross-site"); g.status != http.StatusForbidden {
		t.Errorf("from another site: %d", g.status)
	}
	g := s.post("/ops/data/signin", `{"key":"canary-console-key"}`)
	set, err := http.ParseSetCookie(g.header.Get("Set-Cookie"))
	if err != nil || g.status != http.StatusOK {
		t.Fatalf("%d %v", g.status, err)
	}
	if !set.HttpOnly || set.SameSite != http.SameSiteStrictMode || set.Path != "/ops/" || set.MaxAge != 12*3600 || strings.Contains(set.Value, "canary") {
		t.Errorf("%+v", set)
	}
	with := func(value string) int {
		return s.ask(http.MethodGet, "/ops/data/apis", "", "Cookie", set.Name+"="+value).status
	}
	if got := with(set.Value); got != http.StatusOK {
		t.Errorf("with the cookie: %d", got)
	}
	if page := s.ask(http.MethodGet, "/ops/", "", "Cookie", set.Name+"="+set.Value); page.status != http.StatusOK || !strings.Contains(page.body, "app.js") {
		t.Errorf("the page: %d", page.status)
	}
	end, signature, _ := strings.Cut(set.Value, ".")
	later := "9" + end[1:]
	for _, value := range []string{"", ".", "x.y", later + "." + signature, end + ".", end + "." + strings.ToUpper(signature), signature} {
		if got := with(value); got != http.StatusUnauthorized {
			t.Errorf("%q: %d", value, got)
		}
	}
	if at := time.Until(time.Unix(number(t, end), 0)); at < 11*time.Hour || at > 12*time.Hour {
		t.Errorf("a session of %s", at)
	}
}

func number(t *testing.T, text string) (n int64) {
	t.Helper()
	for _, c := range text {
		n = n*10 + int64(c-'0')
	}
	return n
}

// `auth user` takes whom an earlier handler has signed in, and asks nobody itself.
func TestAuthUser(t *testing.T) {
	// the password is "hiccup"
	s := start(t, "basic_auth /console* {\n\t\tannika $2a$04$b.6cpbciKQZXIfazuB3KAuBA5a7QPw8b5ryrhlICLS3cQFcjGzr1e\n\t}\n\tapi_console /console* {\n\t\tauth user\n\t}\n\tapi_console /bare/* {\n\t\tauth user\n\t}")
	if g := s.get("/console/"); g.status != http.StatusUnauthorized || !strings.HasPrefix(g.header.Get("Www-Authenticate"), "Basic") {
		t.Errorf("%d %v", g.status, g.header)
	}
	if g := s.ask(http.MethodGet, "/console/", "", "Authorization", "Basic YW5uaWthOmhpY2N1cA=="); g.status != http.StatusOK {
		t.Errorf("signed in: %d", g.status)
	}
	for _, path := range []string{"/bare/", "/bare/app.js", "/bare/signin.js", "/bare/data/apis"} {
		if g := s.get(path); g.status != http.StatusUnauthorized || strings.Contains(g.body, "order") {
			t.Errorf("%s: nobody has signed in, %d", path, g.status)
		}
	}
	if g := s.post("/bare/data/signin", `{"key":""}`); g.status != http.StatusUnauthorized {
		t.Errorf("%d", g.status)
	}
}

func TestDirectiveRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"api_console":                                      "auth is missing",
		"api_console {\n}":                                 "auth is missing",
		"api_console {\nauth\n}":                           "auth takes",
		"api_console {\nauth maybe\n}":                     "auth takes",
		"api_console {\nauth none\nauth user\n}":           "auth is already set",
		"api_console {\nauth none\ntheme dark\n}":          "unrecognized subdirective 'theme'",
		"api_console a b {\nauth none\n}":                  `unexpected "a"`,
		"api_console /x* {\nauth key {env.CONSOLE_KEY}\n}": "",
	} {
		_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte("{\n\tadmin off\n\tswitchboard {\n\t}\n}\nhttp://localhost {\n"+text+"\n}"), map[string]any{"filename": "Caddyfile"})
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
