// Package console looks at the web console with a real browser: Chromium, without a
// window.
package console

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/switchboard-ivr/switchboard/integration/harness"
)

// patience is how long a page may take for anything.
const patience = 20 * time.Second

// Browser is a running Chromium.
type Browser struct{ ctx context.Context }

// Open starts one until the test ends.
func Open(t testing.TB) *Browser {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-dev-shm-usage", true), // small in containers
	)
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium's sandbox refuses root
	}
	allocated, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, end := chromedp.NewContext(allocated)
	t.Cleanup(end)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("chromium does not start: %v; integration/tools/install.sh installs it", err)
	}
	return &Browser{ctx}
}

// Tab is one of its tabs, which notes what goes wrong.
type Tab struct {
	t   testing.TB
	ctx context.Context

	mu       sync.Mutex
	errors   []string
	requests []string
}

// Action is something to do in a tab.
type Action = chromedp.Action[chromedp.Void]

// Tab opens a tab of a size until the test ends.
func (b *Browser) Tab(t testing.TB, width, height int64, do ...Action) *Tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	t.Cleanup(cancel)
	tab := &Tab{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, tab.heard); err != nil {
		t.Fatal(err)
	}
	tab.Do(append([]Action{
		chromedp.EmulateViewport(width, height),
	}, do...)...)
	return tab
}

// Call is a command of the browser's protocol whose answer doesn't matter.
func Call[P, R any](command cdp.Command[P, R], params P) Action {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

// In is the tab in a part of its test.
func (tab *Tab) In(t testing.TB) *Tab {
	t.Helper()
	part := &Tab{t: t, ctx: tab.ctx, requests: tab.asked()}
	if err := chromedp.Listen(tab.ctx, part.heard); err != nil {
		t.Fatal(err)
	}
	return part
}

func (tab *Tab) heard(event any) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" || e.Type == "assert" {
			tab.errors = append(tab.errors, fmt.Sprint("console: ", e.Args))
		}
	case *runtime.EventExceptionThrown:
		tab.errors = append(tab.errors, fmt.Sprintf("%s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			tab.errors = append(tab.errors, e.Entry.Text+" "+e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		tab.requests = append(tab.requests, e.Request.URL)
	}
}

// Do does things in the page, or fails the test.
func (tab *Tab) Do(actions ...Action) {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		tab.t.Fatalf("%v\nthe page says:\n%s", err, tab.Text())
	}
}

// Eval is what a JavaScript expression gives in the page.
func Eval[T any](tab *Tab, expression string) T {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		tab.t.Fatalf("%v", err)
	}
	return v
}

// Until waits until an expression is true, over navigations too.
func (tab *Tab) Until(what, expression string) {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		if so, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression)); err == nil && so {
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			tab.t.Fatalf("%s did not come; the page says:\n%s", what, tab.Text())
		}
	}
}

// Eventually waits until something outside the page is so.
func (tab *Tab) Eventually(what string, so func() bool) {
	tab.t.Helper()
	harness.Eventually(tab.t, patience, what, so)
}

// Text is what a person reads on the page.
func (tab *Tab) Text() string {
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body?.innerText ?? ''`))
	return text
}

// Wait waits until the page says something.
func (tab *Tab) Wait(text string) {
	tab.t.Helper()
	tab.Until(text, fmt.Sprintf(`document.body.innerText.includes(%q)`, text))
}

// Click clicks what is called so: a link, a button, an option.
func (tab *Tab) Click(name string) {
	tab.t.Helper()
	tab.Until("something called "+name, fmt.Sprintf(`(() => {
		const all = [...document.querySelectorAll('dialog[open] button, a, button, summary')];
		const el = all.find((e) => (e.getAttribute('aria-label') ?? e.innerText.trim()) === %q);
		el?.focus(); el?.click();
		return el !== undefined;
	})()`, name))
}

// Clean fails the test when the page had an error, or asked for anything that is not
// below a URL.
func (tab *Tab) Clean(base string) {
	tab.t.Helper()
	tab.mu.Lock()
	defer tab.mu.Unlock()
	if len(tab.errors) > 0 {
		tab.t.Errorf("the browser's console says:\n%s", strings.Join(tab.errors, "\n"))
	}
	if len(tab.requests) == 0 {
		tab.t.Error("the page asked for nothing")
	}
	for _, url := range tab.requests {
		if !strings.HasPrefix(url, base) {
			tab.t.Errorf("the page asks for %s", url)
		}
	}
}

func (tab *Tab) asked() []string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return slices.Clone(tab.requests)
}
