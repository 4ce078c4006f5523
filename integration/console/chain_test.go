package console

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// A test of a chain shows the steps of each part below it, and opens in the playground
// with the answers of the parts.
func TestAChain(t *testing.T) {
	_, base := start(t, "api /both both {\nauth none\nwith caller order `{tel: .tel}`\nwith echo plain `{}`\nwith down an-api-with-quite-a-long-name-for-a-telephone-screen `{}` optional\n"+
		"output `{name: $caller.name}`\ndefault `{name: \"\"}`\n}")
	browser := Open(t)
	for _, width := range widths {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			tab := browser.Tab(t, width, 900, chromedp.Navigate(base+"#/apis/both"))
			tab.Wait("One per line")
			Eval[string](tab, `document.getElementById("test-params").value = "tel=13800138000"`)
			tab.Click("Test")
			tab.Wait("Test result")
			tab.Until("the focus", `document.activeElement.id === "result"`)
			tab.Wait("a part is missing")
			Eval[bool](tab, `([...document.querySelectorAll(".steps details")].forEach((d) => { d.open = true; }), true)`)
			nested := Eval[string](tab, `[...document.querySelectorAll(".steps .steps")].map((s) => s.innerText).join("\n")`)
			for _, step := range []string{"Request", "Call", "no connection to the API"} {
				if !strings.Contains(nested, step) {
					t.Errorf("no %s in\n%s", step, nested)
				}
			}
			tab.Wait("$echo is the answer of api plain")
			tab.Check()
			tab.Click("Open this answer in the playground")
			tab.Wait("What the phone system gets")
			tab.Wait(`{"_status":"ok","name":"张三"}`)
			tab.Check()
			tab.Clean(base)
		})
	}
}
