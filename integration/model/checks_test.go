package model

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
)

var callsTotal = regexp.MustCompile(`(?m)^switchboard_calls_total\{api="([^"]+)",outcome="([^"]+)"\} (\d+)$`)

// checkMetrics compares the counts with what was seen. A call whose caller hung
// up ends in one way or another.
func (w *world) checkMetrics() {
	w.t.Helper()
	text := harness.Get(w.t, "http://"+w.caddy.Admin+"/metrics").Body
	counted := map[[2]string]int{}
	for _, m := range callsTotal.FindAllStringSubmatch(text, -1) {
		counted[[2]string{m[1], m[2]}], _ = strconv.Atoi(m[3])
	}
	if len(counted) == 0 {
		w.t.Fatal("no calls in the metrics")
	}
	keys := slices.Concat(slices.Collect(maps.Keys(counted)), slices.Collect(maps.Keys(w.seen)))
	slices.SortFunc(keys, func(a, b [2]string) int { return strings.Compare(a[0]+" "+a[1], b[0]+" "+b[1]) })
	for _, key := range slices.Compact(keys) {
		if n, seen := counted[key], w.seen[key]; n < seen || n > seen+w.left[key[0]] {
			w.t.Errorf("metrics: %d calls of %s ended with %s, seen were %d, and %d callers hung up", n, key[0], key[1], seen, w.left[key[0]])
		}
	}
	w.absent("the metrics", text)
}

// checkProcess checks that the process lives and has let go of what it used.
func (w *world) checkProcess(before int) {
	w.t.Helper()
	w.client.CloseIdleConnections()
	w.api.CloseConnections() // which the process keeps for the next calls
	harness.Eventually(w.t, 30*time.Second, "the goroutines to end", func() bool { return w.caddy.Goroutines() < before+100 })
	if _, peak, err := w.caddy.RSS(); err != nil || peak > 600<<20 {
		w.t.Errorf("the process took %d MiB at its peak, %v", peak>>20, err)
	}
	for _, r := range routes {
		if r.dead {
			continue
		}
		c := &call{route: r, tel: "13800000000", method: http.MethodGet, query: "f=good&n=0"}
		callers[callerPlain](c)
		c.tel = ""
		want := expect(c)
		harness.Eventually(w.t, 20*time.Second, "a good answer of "+r.name, func() bool {
			status, header, body, err := w.do(mustRequest(c.request(fmt.Sprintf("http://localhost:%d", w.caddy.Port))))
			if err != nil {
				return false
			}
			a, err := c.takeApart(status, header, body)
			return err == nil && a.outcome == "ok" && slices.ContainsFunc(want, func(e expected) bool { return e.matches(c, a) })
		})
	}
	if w.api.TrapSprung > 0 {
		w.t.Errorf("a redirect was followed %d times", w.api.TrapSprung)
	}
}

func mustRequest(req *http.Request, err error) *http.Request {
	if err != nil {
		panic(err)
	}
	return req
}

// checkSecrets checks that the log has nothing that it must not have.
func (w *world) checkSecrets() {
	w.t.Helper()
	text := w.caddy.Logs.String()
	w.absent("the log", text)
	for _, word := range []string{"panic", "goroutine ", "DATA RACE"} {
		if i := strings.Index(text, word); i >= 0 {
			w.t.Errorf("the log has %q: …%.1000s", word, text[max(0, i-200):])
		}
	}
}

var digits = regexp.MustCompile(`\d{11,}`)

// absent checks that a text has no token, no credential and no number.
func (w *world) absent(where, text string) {
	w.t.Helper()
	secrets := []string{"demo-secret-9f41c7", "SOMEBODY"}
	for _, e := range w.tokens.Ledger() {
		for _, s := range []string{e.Issued, e.RefreshToken} {
			if s != "" {
				secrets = append(secrets, s)
			}
		}
	}
	for _, s := range secrets {
		if i := strings.Index(text, s); i >= 0 {
			w.t.Errorf("%s has a secret: …%.300s", where, text[max(0, i-150):])
		}
	}
	for _, at := range digits.FindAllStringIndex(text, -1) {
		for i := at[0]; i+11 <= at[1]; i++ {
			if w.numbers[text[i:i+11]] {
				w.t.Errorf("%s has a telephone number: …%.300s", where, text[max(0, i-150):])
				return
			}
		}
	}
}
