package console

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

//go:embed checks.js
var checks string

const caddyfile = `{
	admin {ADMIN}
	switchboard {
		token crm {
			credential app_key {env.APP_KEY}
			credential app_secret {env.APP_SECRET}
			obtain {API}/token/get
			refresh {API}/token/refresh
			lifetime 2m
		}
		token wrong {
			credential app_key {env.APP_KEY}
			credential app_secret not-the-secret
			obtain {API}/token/get
			lifetime 2m
		}
		token partner {
			static {env.PARTNER_TOKEN}
		}
		customers sqlite {DIR}/customers.db
		region CN
	}
}
http://localhost:{PORT} {
	bind 127.0.0.1
	handle_path /console* {
		api_console {
			auth none
		}
	}
	handle_path /locked* {
		api_console {
			auth key {env.CONSOLE_KEY}
		}
	}
	api /order order {
		to {API}/open/order/query
		method GET
		token crm
		auth none
		query ` + "`{tel: .tel}`" + `
		success ` + "`.code == \"000000\"`" + `
		not_found ` + "`.data == null`" + `
		output ` + "`{name: .data.nick}`" + `
		default ` + "`{name: \"\"}`" + `
		breaker 50% 20 10s
		cache 1s {
			stale 1m 1h
		}
		keep_answer on
	}
	api /down an-api-with-quite-a-long-name-for-a-telephone-screen {
		to http://127.0.0.1:1/down
		auth none
		default ` + "`{name: \"\"}`" + `
	}
	api /plain plain {
		to {API}/free/echo
		auth none
		output ` + "`{method: .method}`" + `
	}
	customer_lookup /customer {
		auth none
	}
	{MORE}
}
`

// start runs Caddy with a console, and some calls that it can show. More directives
// may be in its site.
func start(t *testing.T, more ...string) (caddy *harness.Caddy, base string) {
	t.Helper()
	api := provider.New(provider.Options{AppKey: "demo-app", AppSecret: "demo-secret"})
	if err := api.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	caddy = harness.Start(t, harness.Config{
		Caddyfile: strings.NewReplacer("{API}", api.URL(), "{MORE}", strings.Join(more, "\n")).Replace(caddyfile),
		Env:       []string{"APP_KEY=demo-app", "APP_SECRET=demo-secret", "PARTNER_TOKEN=canary-partner", "CONSOLE_KEY=canary-key"},
	})
	put := harness.Request(t, http.MethodPut, "http://"+caddy.Admin+"/switchboard/customers/C1001", "application/json", `{"nick":"张三","tel":"13800138000","email":"zhangsan@example.com","isVip":"1"}`)
	if got, err := harness.Try(put); err != nil || got.Status != http.StatusOK {
		t.Fatalf("%+v, %v", got, err)
	}
	for i := range 12 {
		harness.Get(t, caddy.URL(fmt.Sprintf("/order?tel=1380013800%d", i%3)))
		harness.Get(t, caddy.URL("/customer?tel=13800138000"))
		harness.Get(t, caddy.URL("/customer?tel=13900139000"))
	}
	harness.Get(t, caddy.URL("/down"))
	return caddy, caddy.URL("/console/")
}

var widths = []int64{360, 1440}

// Each page at both widths, in both languages and by day and night: nothing wrong for
// those who see, hear or type it, no error, no request to anybody else.
func TestPages(t *testing.T) {
	_, base := start(t)
	browser := Open(t)
	for _, width := range widths {
		for scheme, language := range map[string]string{"light": "en", "dark": "zh"} {
			tab := browser.Tab(t, width, 900,
				Call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}),
				Call(emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: "console test", AcceptLanguage: language}),
				chromedp.Navigate(base))
			for _, page := range pages {
				t.Run(fmt.Sprint(page.name, " ", width, " ", scheme, " ", language), func(t *testing.T) {
					tab := tab.In(t)
					Eval[bool](tab, fmt.Sprintf(`(location.hash = %q, true)`, page.hash))
					tab.Wait(map[string]string{"en": page.en, "zh": page.zh}[language])
					tab.Check()
					tab.Clean(base)
				})
			}
		}
	}
}

// pages are all there are, and what each says when it is there.
var pages = []struct{ name, hash, en, zh string }{
	{"apis", "#/apis", "order", "客户查询"},
	{"api", "#/apis/order", "Outcomes in the last hour", "最近一小时的结果"},
	{"down", "#/apis/an-api-with-quite-a-long-name-for-a-telephone-screen", "unreachable", "连接不到接口"},
	{"lookup", "#/apis/customer_lookup", "nobody found", "查无此人"},
	{"no api", "#/apis/nope", "no API called nope", "没有接口 nope"},
	{"tokens", "#/tokens", "Fingerprint", "指纹"},
	{"cache", "#/cache", "Hit rate", "命中率"},
	{"customers", "#/customers", "Customers: 1.", "共 1 位客户"},
	{"nowhere", "#/nowhere", "Page not found.", "没有这个页面"},
}

// Check fails the test for all that checks.js finds.
func (tab *Tab) Check() {
	tab.t.Helper()
	if complaints := Eval[[]string](tab, checks); len(complaints) > 0 {
		tab.t.Errorf("%s", strings.Join(complaints, "\n"))
	}
}

// Whoever only has a keyboard gets everywhere, in the order in which things are read,
// and sees where they are.
func TestKeyboard(t *testing.T) {
	_, base := start(t)
	browser := Open(t)
	for _, width := range widths {
		for _, hash := range []string{"", "#/apis/order", "#/tokens", "#/cache", "#/customers"} {
			t.Run(fmt.Sprint(width, hash), func(t *testing.T) {
				tab := browser.Tab(t, width, 900, chromedp.Navigate(base+hash), chromedp.WaitVisible(chromedp.CSS("main :is(.numbers, .facts, .panel)")))
				all := Eval[[]string](tab, `(window.stops = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')].filter((e) => e.checkVisibility())).map((e) => e.outerHTML.slice(0, 80))`)
				Eval[bool](tab, `(document.activeElement.blur(), true)`)
				for i, what := range all {
					tab.Do(chromedp.KeyEvent(kb.Tab))
					at := Eval[struct {
						Nth           int
						What, Outline string
						Seen          bool
					}](tab, `(() => { const e = document.activeElement, b = e.getBoundingClientRect(), s = getComputedStyle(e);
						return { Nth: window.stops.indexOf(e), What: e.outerHTML.slice(0, 80), Outline: s.outlineStyle + ' ' + s.outlineWidth, Seen: b.width > 0 && b.bottom > 0 && b.top < innerHeight && b.right > 0 && b.left < innerWidth }; })()`)
					if at.Nth != i || at.Outline != "solid 3px" || !at.Seen {
						t.Fatalf("stop %d is %+v, not %s", i, at, what)
					}
				}
				tab.Clean(base)
			})
		}
	}
}

// An operator holds an API and releases it, renews a token, empties the cache, finds a
// customer and changes the language.
func TestFlows(t *testing.T) {
	caddy, base := start(t)
	browser := Open(t)
	for _, width := range widths {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			tab := browser.Tab(t, width, 900, chromedp.Navigate(base))
			tab.Wait("order")
			tab.Click("Hold order")
			tab.Wait("Stop calling order?")
			tab.Check()
			tab.Click("Cancel")
			tab.Until("the focus", `document.activeElement.getAttribute('aria-label') === 'Hold order'`)
			tab.Click("Hold order")
			tab.Click("Hold")
			tab.Wait("order is on hold.")
			tab.Check()
			if got := harness.Get(t, caddy.URL("/order?tel=13900139009")); !strings.Contains(got.Body, `"held"`) {
				t.Error(got.Body)
			}
			tab.Click("Release order")
			tab.Wait("order is being called again.")

			tab.Click("Tokens")
			tab.Wait("failing")
			if text := tab.Text(); strings.Contains(text, "canary") || strings.Contains(text, "not-the-secret") {
				t.Error("a secret is on the page")
			}
			before := token(t, caddy, "crm")
			tab.Click("Renew crm now")
			tab.Wait("crm has a new token.")
			if after := token(t, caddy, "crm"); after <= before {
				t.Errorf("generation %v, then %v", before, after)
			}

			tab.Click("Cache")
			tab.Wait("Hit rate")
			tab.Do(chromedp.SendKeys(chromedp.CSS("#purge-params"), "nonsense"))
			tab.Click("Purge")
			tab.Wait("must be a JSON object")
			Eval[string](tab, `document.getElementById("purge-params").value = ""`)
			tab.Click("Purge")
			tab.Wait("Purge all cached answers?")
			tab.Do(chromedp.Click(chromedp.CSS("dialog button.main")))
			tab.Wait("Purged: all APIs and lookups.")

			tab.Click("Customers")
			tab.Wait("Directory: sqlite")
			tab.Do(chromedp.SendKeys(chromedp.CSS("#find-tel"), "+86 138-0013-8000"), chromedp.KeyEvent(kb.Enter))
			tab.Wait("zhangsan@example.com")
			tab.Check()
			tab.Do(chromedp.SetValue(chromedp.CSS("#language"), "zh"))
			Eval[bool](tab, `document.getElementById('language').dispatchEvent(new Event('change'))`)
			tab.Wait("共 1 位客户")
			tab.Check()
			if kept := Eval[string](tab, `document.getElementById('find-tel').value`); kept != "+86 138-0013-8000" {
				t.Errorf("the form lost what was written: %q", kept)
			}
			tab.Do(chromedp.Reload())
			tab.Wait("共 1 位客户")
			Eval[bool](tab, `(localStorage.clear(), true)`)
			tab.Clean(base)
		})
	}
	for _, secret := range []string{"13800138000", "138-0013-8000", "zhangsan", "canary"} {
		if strings.Contains(caddy.Logs.String(), secret) {
			t.Errorf("%s is in the log", secret)
		}
	}
}

func token(t *testing.T, caddy *harness.Caddy, name string) float64 {
	t.Helper()
	var told map[string]any
	if err := json.Unmarshal([]byte(harness.Get(t, "http://"+caddy.Admin+"/switchboard/tokens/"+name).Body), &told); err != nil {
		t.Fatal(err)
	}
	return told["generation"].(float64)
}

// A test shows each step; a call that failed is kept with its steps.
func TestTests(t *testing.T) {
	_, base := start(t)
	browser := Open(t)
	for _, width := range widths {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			tab := browser.Tab(t, width, 900, chromedp.Navigate(base+"#/apis/order"))
			tab.Wait("One per line")
			if prefilled := Eval[string](tab, `document.getElementById("test-params").value`); prefilled != "tel=" {
				t.Errorf("the form begins with %q", prefilled)
			}
			Eval[string](tab, `document.getElementById("test-params").value = "nonsense"`)
			tab.Click("Test")
			tab.Wait("Enter one name=value per line")
			Eval[string](tab, `document.getElementById("test-params").value = "tel=13800138000"`)
			tab.Do(chromedp.Click(chromedp.CSS("#test-no_cache")))
			tab.Click("Test")
			tab.Wait("Test result")
			tab.Until("the focus", `document.activeElement.id === "result"`)
			tab.Wait("张三")
			Eval[bool](tab, `([...document.querySelectorAll(".steps details")].forEach((d) => { d.open = true; }), true)`)
			steps := Eval[string](tab, `document.querySelector(".steps").innerText`)
			for _, step := range []string{"Receive", "Token", "Request", "Call", "Output", "Contract", "Answer"} {
				if !strings.Contains(steps, step) {
					t.Errorf("no step %s in\n%s", step, steps)
				}
			}
			if strings.Contains(steps, "13800138000") || strings.Contains(steps, "demo-secret") {
				t.Errorf("not masked:\n%s", steps)
			}
			tab.Check()
			Eval[bool](tab, `(location.hash = "#/apis/an-api-with-quite-a-long-name-for-a-telephone-screen", true)`)
			tab.Wait("Show recent failures")
			tab.Click("Show recent failures")
			tab.Until("a failure", `[...document.querySelectorAll("summary")].some((s) => s.innerText.includes("unreachable"))`)
			Eval[bool](tab, `([...document.querySelectorAll("details")].forEach((d) => { d.open = true; }), true)`)
			tab.Check()
			tab.Clean(base)
		})
	}
}

// The bench: the last answer and the program are there, what is typed is tried as it
// is written, in the form of the phone system that is chosen.
func TestPlayground(t *testing.T) {
	caddy, base := start(t)
	browser := Open(t)
	for _, width := range widths {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			tab := browser.Tab(t, width, 900, chromedp.Navigate(base+"#/apis/order"))
			tab.Wait("Open the playground")
			tab.Click("Open the playground")
			tab.Until("the focus", `document.activeElement.id === "bench"`)
			tab.Wait("What the phone system gets")
			tab.Wait(`{"_status":"ok","name":"张三"}`)
			if answer := Eval[string](tab, `document.getElementById("bench-answer").value`); !strings.Contains(answer, "000000") || !strings.Contains(answer, "1.10") || strings.Contains(answer, "13800138000") {
				t.Errorf("the last answer: %s", answer)
			}
			tab.Check()
			tab.Do(chromedp.SendKeys(chromedp.CSS("#bench-output"), kb.End+" | .city = \"x"))
			tab.Wait("No result")
			tab.Check()
			tab.Do(chromedp.SendKeys(chromedp.CSS("#bench-output"), "\""))
			tab.Wait(`"city": "x"`)
			tab.Do(chromedp.SetValue(chromedp.CSS("#bench-for"), "kamailio"))
			Eval[bool](tab, `document.getElementById("bench-for").dispatchEvent(new Event("change", { bubbles: true }))`)
			tab.Wait("for kamailio")
			tab.Wait("bytes,")
			Eval[string](tab, `document.getElementById("bench-answer").value = "{"`)
			tab.Do(chromedp.SendKeys(chromedp.CSS("#bench-vars"), " "))
			tab.Wait("not valid JSON")
			Eval[string](tab, `document.getElementById("bench-answer").value = '{"data":{"nick":"pasted"}}'`)
			tab.Do(chromedp.SendKeys(chromedp.CSS("#bench-vars"), " "))
			tab.Wait("pasted")
			Eval[string](tab, `document.getElementById("bench-output").value = "{n: .data.n}"`)
			Eval[string](tab, `document.getElementById("bench-answer").value = '{"data":{"n":12345678901234567890.10}}'`)
			tab.Do(chromedp.SendKeys(chromedp.CSS("#bench-vars"), " "))
			tab.Wait("12345678901234567890.10")
			tab.Click("Copy")
			tab.Until("a word about it", `/Copied|selected/.test(document.getElementById("status").textContent)`)
			tab.Check()

			// from a test of another API, which keeps nothing
			Eval[bool](tab, `(location.hash = "#/apis/plain", true)`)
			tab.Wait("Open the playground")
			tab.Click("Test")
			tab.Wait("Open this answer in the playground")
			tab.Click("Open this answer in the playground")
			tab.Wait("The answer of your test, masked")
			tab.Wait("What the phone system gets")
			tab.Check()
			tab.Clean(base)
		})
	}
	if log := caddy.Logs.String(); !strings.Contains(log, `"for":"bench"`) || strings.Contains(log, "pasted") {
		t.Errorf("the log should tell that the bench was used, and nothing of it")
	}
}

// A customer lookup is tested as an API is.
func TestALookup(t *testing.T) {
	_, base := start(t)
	tab := Open(t).Tab(t, 360, 900, chromedp.Navigate(base+"#/apis/customer_lookup"))
	tab.Wait("One per line")
	Eval[string](tab, `document.getElementById("test-params").value = "id=\ntel=13800138000"`)
	tab.Click("Test")
	tab.Wait("Test result")
	tab.Wait("张三")
	tab.Check()
	tab.Clean(base)
}

// With a key: the form, a wrong key, the right one, and the console.
func TestSignIn(t *testing.T) {
	caddy, _ := start(t)
	browser := Open(t)
	for _, width := range widths {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			tab := browser.Tab(t, width, 900, chromedp.Navigate(caddy.URL("/locked")))
			tab.Wait("Sign in")
			tab.Check()
			tab.Do(chromedp.SendKeys(chromedp.CSS("#key"), "wrong"), chromedp.KeyEvent(kb.Enter))
			tab.Wait("That key is not correct.")
			tab.Check()
			Eval[string](tab, `document.getElementById("key").value = ""`)
			tab.Do(chromedp.SendKeys(chromedp.CSS("#key"), "canary-key"), chromedp.KeyEvent(kb.Enter))
			tab.Wait("order")
			tab.Check()
			if cookies := Eval[string](tab, `document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)`); strings.Contains(cookies, "canary") || strings.Contains(cookies, "switchboard_console") {
				t.Errorf("scripts can read %s", cookies)
			}
			for _, url := range tab.asked() {
				if !strings.HasPrefix(url, caddy.URL("/locked")) || strings.Contains(url, "canary") {
					t.Errorf("the page asks for %s", url)
				}
			}
			tab.Do(Call(network.ClearBrowserCookies, cdp.Empty{}))
		})
	}
}

// The pictures of the documents, into the folder that SCREENSHOTS names.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		dir = t.TempDir()
	}
	_, base := start(t)
	browser := Open(t)
	for _, picture := range []struct {
		name, hash string
		pose       func(*Tab)
	}{
		{"console.png", "#/apis", func(*Tab) {}},
		{"console-test.png", "#/apis/order", func(tab *Tab) {
			Eval[string](tab, `document.getElementById("test-params").value = "tel=13800138000"`)
			Eval[bool](tab, `(document.getElementById("test-no_cache").checked = true)`)
			tab.Click("Test")
			tab.Wait("Test result")
			Eval[bool](tab, `(document.querySelector('[data-key="6output"] details:last-child, .steps li:nth-child(7) details:last-child').open = true, document.getElementById("result").scrollIntoView(), true)`)
		}},
		{"console-bench.png", "#/apis/order", func(tab *Tab) {
			tab.Click("Open the playground")
			tab.Wait("What the phone system gets")
			Eval[string](tab, `document.getElementById("bench-output").value = "{name: .data.nick, vip: (.data.isVip == \"1\")}"`)
			tab.Do(chromedp.SetValue(chromedp.CSS("#bench-for"), "asterisk"))
			Eval[bool](tab, `document.getElementById("bench-for").dispatchEvent(new Event("change", { bubbles: true }))`)
			tab.Wait("for asterisk")
			Eval[bool](tab, `(document.getElementById("bench").scrollIntoView(), true)`)
		}},
	} {
		name := picture.name
		tab := browser.Tab(t, 1200, 800, chromedp.Navigate(base+picture.hash), chromedp.WaitVisible(chromedp.CSS(".card")))
		picture.pose(tab)
		png, err := chromedp.Run(tab.ctx, chromedp.CaptureScreenshot())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), png, 0o600); err != nil || len(png) < 10_000 {
			t.Errorf("%s: %d bytes, %v", name, len(png), err)
		}
	}
}
