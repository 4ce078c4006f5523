package console

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/switchboard-ivr/switchboard/integration/harness"
)

// An operator sees writes whose result is unknown, and settles one after a question.
func TestWrites(t *testing.T) {
	var sent atomic.Int32
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sent.Add(1) == 1 {
			http.Error(w, "failed after acting", http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, `{"number":"T-2"}`)
	}))
	t.Cleanup(api.Close)
	caddy, base := start(t, "api /ticket ticket {\n	to "+api.URL+"/create\n	method POST\n	auth none\n	once 1h\n	body `{tel: .tel}`\n	output `{ticket: .number}`\n	default `{ticket: \"\"}`\n}\n")
	ask := func(id string) string { return harness.Get(t, caddy.URL("/ticket?tel=13800138000&call_id="+id)).Body }
	ask("c-1")
	ask("c-2")
	browser := Open(t)
	for i, width := range widths {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			tab := browser.Tab(t, width, 900, chromedp.Navigate(base+"#/apis/ticket"))
			tab.Wait("Writes that happen once")
			if i > 0 {
				tab.Click("Show writes")
				tab.Wait("c-1")
				tab.Check()
				tab.Clean(base)
				return
			}
			tab.Check()
			tab.Click("Show writes")
			tab.Wait("c-2")
			tab.Wait("it ended as failed")
			tab.Check()
			tab.Click("Look up")
			tab.Told("alert", "Write a key.")
			tab.Do(chromedp.SendKeys(chromedp.CSS("#write-key"), "c-1"), chromedp.KeyEvent(kb.Enter))
			tab.Until("the write", `document.querySelector("[data-key=chosen-write]") !== null`)
			tab.Check()
			tab.Click("Forget")
			tab.Do(chromedp.Click(chromedp.CSS("dialog button.main")))
			tab.Told("status", "Forgotten. A repeat is sent again.")
			if got := ask("c-1"); got != `{"_status":"ok","ticket":"T-2"}` || sent.Load() != 3 {
				t.Errorf("%s, sent %d times", got, sent.Load())
			}
			tab.Clean(base)
		})
	}
	tab := browser.in(t, 1440, "dark", "zh", base+"#/apis/ticket")
	tab.Click("显示写入")
	tab.Wait("c-2")
	tab.Check()
}
