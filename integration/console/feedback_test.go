package console

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/switchboard-ivr/switchboard/integration/harness"
)

// Seen waits until a note or another element is in the window, and nothing covers it.
func (tab *Tab) Seen(what, selector string) {
	tab.t.Helper()
	tab.Until(what+" in the window", fmt.Sprintf(`(() => {
		const el = document.querySelector(%q), b = el?.getBoundingClientRect();
		if (!b || b.height === 0 || b.top < 0 || b.top + Math.min(b.height, 24) > innerHeight) return false;
		const at = document.elementFromPoint(b.left + Math.min(b.width / 2, 20), b.top + Math.min(b.height / 2, 12));
		return el.contains(at);
	})()`, selector))
}

// Told waits until a note in the window says something, in an element that a screen
// reader reads out by itself.
func (tab *Tab) Told(role, text string) {
	tab.t.Helper()
	tab.Until("a note: "+text, fmt.Sprintf(`document.querySelector(".notes [role=%s]").textContent.includes(%q)`, role, text))
	tab.Seen("the note "+text, ".notes [role="+role+"]")
}

func (tab *Tab) toTheEnd() {
	tab.t.Helper()
	Eval[bool](tab, `(scrollTo(0, document.documentElement.scrollHeight), true)`)
}

// The link for those who type goes to the content. Its fragment used to be taken for a
// page that isn't there.
func TestSkipLink(t *testing.T) {
	_, base := start(t)
	browser := Open(t)
	for _, width := range widths {
		for _, hash := range []string{"", "#/tokens", "#/apis/order"} {
			t.Run(fmt.Sprint(width, hash), func(t *testing.T) {
				tab := browser.Tab(t, width, 600, chromedp.Navigate(base+hash), chromedp.WaitVisible(chromedp.CSS("main :is(.numbers, .facts)")))
				heading := Eval[string](tab, `document.querySelector("h1").textContent`)
				tab.Do(chromedp.KeyEvent(kb.Tab))
				tab.Until("the link", `document.activeElement.id === "skip"`)
				tab.Do(chromedp.KeyEvent(kb.Enter))
				tab.Until("the focus in the content", `document.activeElement.id === "main"`)
				if now := Eval[string](tab, `location.hash + document.querySelector("h1").textContent`); now != hash+heading {
					t.Errorf("the page is now %q", now)
				}
				tab.Do(chromedp.KeyEvent(kb.Tab))
				if !Eval[bool](tab, `document.activeElement.closest("main") !== null && document.activeElement.id !== "main"`) {
					t.Error("the next stop isn't in the content")
				}
				tab.Clean(base)
			})
		}
	}
	tab := browser.Tab(t, 360, 600, chromedp.Navigate(base+"#main"))
	tab.Wait("Calls in the last hour")
}

// What an action gives, and what goes wrong, is seen wherever the page is scrolled to.
// It used to be at the page's top, and out of sight.
func TestFeedbackIsSeen(t *testing.T) {
	_, base := start(t, oddAPIs(t))
	browser := Open(t)
	for _, width := range widths {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			tab := browser.Tab(t, width, 500, chromedp.Navigate(base+"#/apis"))
			tab.Wait("Calls in the last hour")
			tab.toTheEnd()
			tab.Click("Hold line")
			tab.Click("Hold")
			tab.Told("status", "line is on hold.")
			tab.Check()
			tab.toTheEnd()
			tab.Click("Release line")
			tab.Told("status", "line is being called again.")
			tab.Click("Dismiss")
			tab.Until("no note", `document.querySelector(".notes").offsetHeight === 0`)

			tab.Click("Tokens")
			tab.Wait("Fingerprint")
			tab.toTheEnd()
			tab.Click("Renew wrong now")
			tab.Told("alert", "Failed")
			tab.Check()
			tab.toTheEnd()
			tab.Click("Renew crm now")
			tab.Told("status", "crm has a new token.")

			tab.Click("Cache")
			tab.Wait("Hit rate")
			tab.Do(chromedp.SendKeys(chromedp.CSS("#purge-params"), "nonsense"))
			tab.toTheEnd()
			tab.Click("Purge")
			tab.Told("alert", "must be a JSON object")
			tab.Until("the focus where the fault is", `document.activeElement.id === "purge-params" && document.activeElement.getAttribute("aria-invalid") === "true"`)
			tab.Seen("the field", "#purge-params")
			tab.Check()
			Eval[string](tab, `document.getElementById("purge-params").value = ""`)
			tab.toTheEnd()
			tab.Click("Purge")
			tab.Do(chromedp.Click(chromedp.CSS("dialog button.main")))
			tab.Told("status", "Purged: all APIs and lookups.")

			tab.Click("Customers")
			tab.Wait("Directory: sqlite")
			tab.Do(chromedp.SendKeys(chromedp.CSS("#find-tel"), "13800138000"), chromedp.KeyEvent(kb.Enter))
			tab.Told("status", "Customers found: 1.")
			tab.Until("the focus", `document.activeElement.id === "results"`)
			tab.Seen("the results", "#results")

			Eval[bool](tab, `(location.hash = "#/apis/order", true)`)
			tab.Wait("One per line")
			Eval[string](tab, `document.getElementById("test-params").value = "nonsense"`)
			tab.toTheEnd()
			tab.Click("Test")
			tab.Told("alert", "Enter one name=value per line")
			tab.Until("the focus where the fault is", `document.activeElement.id === "test-params"`)
			Eval[string](tab, `document.getElementById("test-params").value = "tel=13800138000"`)
			Eval[bool](tab, `(document.getElementById("test-no_cache").checked = true)`)
			tab.Click("Test")
			tab.Told("status", "order: answered after")
			tab.Until("the focus", `document.activeElement.id === "result"`)
			tab.Seen("the result", "#result")

			Eval[bool](tab, `(location.hash = "#/apis/an-api-with-quite-a-long-name-for-a-telephone-screen", true)`)
			tab.Wait("Show recent failures")
			tab.Click("Show recent failures")
			tab.Until("the focus", `document.activeElement.id === "failures"`)
			tab.Seen("the failures", "#failures")
			tab.Check()
		})
	}
}

// A server that is gone is said to be, whatever it does instead of an answer; what was
// there stays, and the page finds back by itself or by the button. Navigation used to
// say "Loading…" for ever.
func TestServerIsGone(t *testing.T) {
	caddy, _ := start(t)
	front := newFront(t, caddy.URL(""))
	base := front.URL + "/console/"
	browser := Open(t)
	for i, mode := range []string{"gone", "proxy", "hangs"} {
		t.Run(mode, func(t *testing.T) {
			front.set("on")
			tab := browser.Tab(t, widths[i%2], 600, chromedp.Navigate(base+"#/tokens"))
			tab.Wait("Fingerprint")
			tab.Click("APIs")
			tab.Wait("an-api-with-quite-a-long-name")

			front.set(mode)
			tab.Click("Cache") // which was never shown
			tab.Until("no waiting", `!document.body.innerText.includes("Loading")`)
			tab.Seen("the note", "#offline [role=alert]")
			tab.Wait("Switchboard can’t be reached.")
			tab.Wait("The data shown is from")
			tab.Wait("This page could not be loaded.")
			tab.Check()
			tab.Click("Tokens") // which was
			tab.Wait("Fingerprint")
			tab.Wait("Switchboard can’t be reached.")
			tab.Check()
			tab.Click("Cache")
			tab.Wait("This page could not be loaded.")
			tab.Until("the button", `document.querySelector("#offline button").textContent === "Try again"`)

			front.set("on")
			if mode == "gone" {
				tab.Click("Try again")
			}
			tab.Wait("Hit rate")
			tab.Told("status", "Switchboard is back online.")
			if Eval[bool](tab, `document.querySelector("#offline").offsetHeight > 0`) {
				t.Error("the note is still there")
			}
			tab.Check()
		})
	}
}

// An action whose answer is lost says that it may have been done.
func TestServerIsGoneWhenActing(t *testing.T) {
	caddy, _ := start(t)
	front := newFront(t, caddy.URL(""))
	tab := Open(t).Tab(t, 360, 600, chromedp.Navigate(front.URL+"/console/#/tokens"))
	tab.Wait("Fingerprint")
	front.set("gone")
	tab.Click("Renew crm now")
	tab.Told("alert", "is unknown")
	tab.Wait("Fingerprint")
	front.set("on")
	tab.Wait("Switchboard is back online.")
}

// An API that fails over says since when, and a token when it is tried again.
func TestSince(t *testing.T) {
	caddy, base := start(t)
	tab := Open(t).Tab(t, 360, 900, chromedp.Navigate(base+"#/apis/an-api-with-quite-a-long-name-for-a-telephone-screen"))
	tab.Wait("One per line")
	// The page itself, with an answer that says since when.
	tab.Until("the badge", `(() => {
		window.since ??= import("./apis.js").then(({ badges }) => {
			const api = { degraded: true, degraded_since: new Date(Date.now() - 1000).toISOString(), hour: { calls: 1 } };
			window.now = badges(api).textContent;
			window.long = badges({ ...api, degraded_since: "2026-01-02T03:04:05Z" }).textContent;
			window.silent = badges({ hour: { calls: 3, outcomes: { rejected: 2, incomplete: 1 } } }).textContent;
			window.none = badges({ ...api, degraded_since: undefined }).textContent;
		});
		return window.none !== undefined;
	})()`)
	for name, want := range map[string]string{"now": `^failing over to defaults since \d\d:\d\d$`, "long": `^failing over to defaults since .*2026.* \d\d:\d\d$`, "none": `^failing over to defaults$`, "silent": `^no real answers$`} {
		if !Eval[bool](tab, fmt.Sprintf(`/%s/.test(window.%s)`, want, name)) {
			t.Errorf("%s: %s", name, Eval[string](tab, "window."+name))
		}
	}
	if got, err := harness.Try(harness.Request(t, http.MethodPost, "http://"+caddy.Admin+"/switchboard/tokens/wrong/renew", "", "")); err != nil || got.Status == http.StatusOK {
		t.Fatalf("%+v, %v", got, err)
	}
	tab.Click("Tokens")
	tab.Wait("Next attempt")
	tab.Wait("(in ")
	tab.Wait("does not expire") // the static one
	tab.Check()
}
