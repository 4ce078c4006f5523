package console

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
)

// A long answer is folded at 40 lines, whether it has many lines or a long one; it can be
// unfolded, copied and downloaded. One of 100 KB used to make a page of 85,000 pixels.
func TestLongAnswers(t *testing.T) {
	_, base := start(t, oddAPIs(t))
	b := Open(t)
	for _, width := range widths {
		for api, end := range map[string]string{"long": "entry 3999 of a list", "line": "one line one line"} {
			t.Run(fmt.Sprint(api, " ", width), func(t *testing.T) {
				tab := b.Tab(t, width, 900, chromedp.Navigate(base+"#/apis/"+api))
				tab.Wait("One per line")
				before := Eval[int](tab, `document.documentElement.scrollHeight`)
				tab.Click("Test")
				tab.Wait("Test result")
				Eval[bool](tab, `([...document.querySelectorAll(".steps details")].forEach((d) => { d.open = true; }), true)`)
				if grown := Eval[int](tab, `document.documentElement.scrollHeight`) - before; grown > 7000 {
					t.Errorf("the page is %d pixels longer", grown)
				}
				if lines := Eval[float64](tab, `Math.max(...[...document.querySelectorAll("pre")].map((e) => e.clientHeight / parseFloat(getComputedStyle(e).lineHeight)))`); lines > 43 {
					t.Errorf("a text of %.1f lines", lines)
				}
				tab.Check()

				const first = `document.querySelector("[data-key=result] .fold pre")`
				folded := Eval[int](tab, first+`.clientHeight`)
				Eval[bool](tab, `(document.querySelector("[data-key=result] .fold button").click(), true)`)
				tab.Until("all of it", fmt.Sprintf(`%s.textContent.length > 100_000 && %s.textContent.includes(%q)`, first, first, end))
				if open := Eval[int](tab, first+`.clientHeight`); open < 2*folded {
					t.Errorf("%d pixels, then %d", folded, open)
				}
				// it stays so when the page is drawn anew
				Eval[bool](tab, `(document.dispatchEvent(new Event("visibilitychange")), window.old = document.querySelector(".numbers").textContent, true)`)
				tab.Until("the button", `document.querySelector("[data-key=result] .fold button[aria-expanded=true]")?.textContent === "Show less"`)
				tab.Click("Copy: Answer")
				tab.Until("a word about it", `/Copied|selected/.test(document.getElementById("status").textContent)`)

				dir := t.TempDir()
				tab.Do(Call(browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{Behavior: "allow", DownloadPath: dir}))
				tab.Click("Download: Answer")
				tab.Wait("Saved as " + api + "-answer")
				name := Eval[string](tab, `document.getElementById("status").textContent.match(/as (.*)\.$/)[1]`)
				file := ""
				tab.Eventually("the file", func() bool {
					text, err := os.ReadFile(filepath.Join(dir, name))
					file = string(text)
					return err == nil && len(file) > 100_000
				})
				if !strings.Contains(file, end) {
					t.Errorf("the file ends with %s", file[len(file)-100:])
				}
				Eval[bool](tab, `(document.querySelector("[data-key=result] .fold button").click(), true)`)
				tab.Until("it folded", fmt.Sprintf(`%s.textContent.length < 5000`, first))
			})
		}
	}
}

// A short answer has no buttons.
func TestShortAnswers(t *testing.T) {
	_, base := start(t)
	tab := Open(t).Tab(t, 360, 900, chromedp.Navigate(base+"#/apis/order"))
	tab.Wait("One per line")
	tab.Click("Test")
	tab.Wait("Test result")
	if Eval[bool](tab, `document.querySelector(".fold") !== null`) {
		t.Error("a short answer is folded")
	}
}

// Only an answer of the API's is offered to work on. Our own error, that there is no
// token, used to be.
func TestOnlyAnswersOfTheAPI(t *testing.T) {
	_, base := start(t, oddAPIs(t))
	tab := Open(t).Tab(t, 1440, 900, chromedp.Navigate(base))
	for _, test := range []struct {
		api, outcome string
		offered      bool
	}{
		{"order", "ok", true},
		{"refused", "rejected", true},
		{"tokenless", "no_token", false},
		{"an-api-with-quite-a-long-name-for-a-telephone-screen", "unreachable", false},
	} {
		t.Run(test.api, func(t *testing.T) {
			tab := tab.In(t)
			Eval[bool](tab, fmt.Sprintf(`(location.hash = "#/apis/%s", true)`, test.api))
			tab.Until("its page", fmt.Sprintf(`document.querySelector("h1")?.textContent === %q && document.getElementById("test-params") !== null`, test.api))
			tab.Do(chromedp.Click(chromedp.CSS("#test-no_cache")))
			Eval[string](tab, `document.getElementById("test-params").value = "tel=13800138000"`)
			tab.Click("Test")
			tab.Wait("Test result")
			tab.Until(test.outcome, fmt.Sprintf(`document.querySelector("[data-key=result] > p").textContent.includes(%q)`, test.outcome))
			if offered := strings.Contains(tab.Text(), "Open this answer in the playground"); offered != test.offered {
				t.Errorf("offered: %v", offered)
			}
		})
	}
}
