package model

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

const (
	callsMade = 10_000
	lanes     = 32
)

// The environment sets another seed, or "random" for a new one each time, and
// repeats one call, with those of its lane before it.
const (
	seedVariable = "SWITCHBOARD_MODEL_SEED"
	callVariable = "SWITCHBOARD_MODEL_CALL"
)

var credentials = []string{"CRM_APP_KEY=demo-app", "CRM_APP_SECRET=demo-secret-9f41c7"}

// Ten thousand generated calls of an API that misbehaves: each answer is one
// that the model of its route allows.
func TestTheModelHolds(t *testing.T) {
	seed := number(t, seedVariable, 1)
	if os.Getenv(seedVariable) == "random" {
		seed = rand.Uint64N(1 << 32)
	}
	only := int(number(t, callVariable, 0))
	t.Logf("%s=%d", seedVariable, seed)
	w := newWorld(t, seed)
	before := w.caddy.Goroutines()
	begin := time.Now()
	var all sync.WaitGroup
	for id := range lanes {
		if only == 0 || only%lanes == id {
			all.Go(func() { w.run(id, cmp.Or(only, callsMade)) })
		}
	}
	all.Wait()
	t.Logf("%d calls in %v, %d of them took the whole budget", w.made, time.Since(begin).Round(time.Second), w.late)
	w.report()
	if only != 0 {
		return
	}
	w.checkMetrics()
	w.checkProcess(before)
	w.checkSecrets()
}

func number(t *testing.T, variable string, def uint64) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" || text == "random" {
		return def
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// world is all that a run needs, and what it has seen.
type world struct {
	t      *testing.T
	seed   uint64
	api    *Server
	tokens *provider.Server
	caddy  *harness.Caddy
	client *http.Client
	known  *history

	mu       sync.Mutex
	made     int
	late     int // of them took the whole budget, without a slow fault
	byFault  map[string]*struct{ made, late int }
	seen     map[[2]string]int // answers by route and outcome
	left     map[string]int    // callers who hung up, by route
	numbers  map[string]bool   // telephone numbers that were sent
	mistakes map[string][]mistake
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{
		t: t, seed: seed, api: NewServer(), known: newHistory(), tokens: provider.New(provider.Options{AppSecret: "demo-secret-9f41c7"}),
		seen: map[[2]string]int{}, left: map[string]int{}, numbers: map[string]bool{}, mistakes: map[string][]mistake{},
		byFault: map[string]*struct{ made, late int }{},
	}
	for _, name := range faultNames {
		w.byFault[name] = new(struct{ made, late int })
	}
	t.Cleanup(w.api.Close)
	if err := w.tokens.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.tokens.Close)
	w.caddy = harness.Start(t, harness.Config{Caddyfile: w.caddyfile(), Env: credentials})
	w.client = &http.Client{
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{MaxIdleConnsPerHost: lanes, DisableCompression: true},
	}
	t.Cleanup(w.client.CloseIdleConnections)
	return w
}

func (w *world) caddyfile() string {
	var site strings.Builder
	for _, r := range routes {
		site.WriteString(r.caddyfile())
	}
	return strings.NewReplacer("{API}", w.api.URL(), "{HOST}", strings.TrimPrefix(w.api.URL(), "http://"), "{TOKENS}", w.tokens.URL(),
		"{CLOSED}", fmt.Sprint(harness.FreePort(w.t))).Replace(`{
	admin {ADMIN}
	grace_period 5s
	metrics
	log {
		format switchboard
	}
	switchboard {
		token crm {
			credential app_key {env.CRM_APP_KEY}
			credential app_secret {env.CRM_APP_SECRET}
			obtain {TOKENS}/token/get
			refresh {TOKENS}/token/refresh
			lifetime 2m
			refresh_before 30s
		}
	}
}
http://localhost:{PORT} {
	bind 127.0.0.1
	log {
		format switchboard
	}
` + site.String() + "}\n")
}

// run makes the calls of a lane, up to call last.
func (w *world) run(id, last int) {
	l := &lane{id: id, epoch: map[string]int{}}
	for n := cmp.Or(id, lanes); n <= last; n += lanes {
		c := l.make(w.seed, n)
		a, took := w.call(c)
		if a.outcome == "timeout" && !slow[c.fault] {
			l.epoch[c.route.name]++ // it may go on behind
		}
		w.mu.Lock()
		w.byFault[c.fault].made++
		if late(took) && !slow[c.fault] {
			w.late++
			w.byFault[c.fault].late++
		}
		w.mu.Unlock()
	}
}

// call makes a call and judges its answer.
func (w *world) call(c *call) (a answered, took time.Duration) {
	wants := w.known.begin(c)
	w.mu.Lock()
	w.made++
	w.numbers[c.tel] = true
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	req, err := c.request(fmt.Sprintf("http://localhost:%d", w.caddy.Port))
	if err != nil {
		w.t.Errorf("call %d: %v", c.n, err)
		return a, 0
	}
	if c.hangUp > 0 {
		timer := time.AfterFunc(c.hangUp, cancel)
		defer timer.Stop()
	}
	begin := time.Now()
	status, header, body, err := w.do(req.WithContext(ctx))
	took = time.Since(begin)
	if err != nil {
		if c.hangUp > 0 || c.large() { // it may be refused while it is being sent
			w.mu.Lock()
			w.left[c.route.name]++
			w.mu.Unlock()
		} else {
			w.wrong(c, "no answer", err.Error(), wants)
		}
		return a, took
	}
	if c.byCaddy && status == http.StatusRequestHeaderFieldsTooLarge {
		return a, took
	}
	if a, err = c.takeApart(status, header, body); a.outcome != "" {
		w.mu.Lock()
		w.seen[[2]string{c.route.name, a.outcome}]++
		w.mu.Unlock()
	}
	w.judge(c, a, took, wants, err, body)
	w.known.end(c, a)
	return a, took
}

func (w *world) do(req *http.Request) (status int, header http.Header, body string, err error) {
	res, err := w.client.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Header, string(b), err
}

func (w *world) judge(c *call, a answered, took time.Duration, wants []expected, err error, body string) {
	if wants == nil {
		wants = w.known.of(c)
	}
	if late(took) { // whoever took this long may be told so
		if a.outcome == "timeout" {
			wants = append(wants, c.route.failure("timeout"))
		}
		if c.route.cache != uncached {
			for _, e := range wants {
				if e.outcome == "ok" {
					wants = append(wants, older(e)...)
				}
			}
		}
	}
	switch {
	case err != nil:
		w.wrong(c, "malformed: "+err.Error(), fmt.Sprintf("%d %.500s after %v", a.status, body, took), wants)
	case took > budget+slack:
		w.wrong(c, "late", fmt.Sprintf("%v after %v", a, took), wants)
	case !slices.ContainsFunc(wants, func(e expected) bool { return e.matches(c, a) }):
		w.wrong(c, a.outcome, a.String(), wants)
	case a.outcome == "ok" && strings.Contains(body, "SOMEBODY"):
		w.wrong(c, "somebody else's data", a.String(), wants)
	}
}

// mistake is an answer that the model doesn't allow.
type mistake struct {
	where string // route, fault and caller
	text  string
}

// wrong writes down an answer that the model doesn't allow. Those of one kind
// are told together.
func (w *world) wrong(c *call, what, got string, wants []expected) {
	outcomes := map[string]bool{}
	var want []string
	for _, e := range wants {
		if s := e.String(); !slices.Contains(want, s) && len(want) < 4 {
			want = append(want, s)
		}
		outcomes[e.outcome] = true
	}
	kind := fmt.Sprintf("%s instead of %s", what, strings.Join(slices.Sorted(maps.Keys(outcomes)), "|"))
	where := fmt.Sprintf("route %s, fault %q, caller %q", c.route.name, c.fault, c.caller)
	text := fmt.Sprintf("call %d: %s\n  %v\n  got  %s\n  want %s\n  again: %s=%d %s=%d go test -count=1 -run TestTheModelHolds ./integration/model",
		c.n, where, c, got, strings.Join(want, "\n    or "), seedVariable, w.seed, callVariable, c.n)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mistakes[kind] = append(w.mistakes[kind], mistake{where, text})
}

// report fails the test with some of each kind.
func (w *world) report() {
	w.t.Helper()
	for _, kind := range slices.Sorted(maps.Keys(w.mistakes)) {
		all := w.mistakes[kind]
		var b strings.Builder
		fmt.Fprintf(&b, "%d times %s:\n", len(all), kind)
		for i, m := range all[:min(len(all), 40)] {
			if i < 2 {
				fmt.Fprintln(&b, m.text)
			} else {
				fmt.Fprintln(&b, "and:", m.where)
			}
		}
		w.t.Error(b.String())
	}
	// A busy machine is late now and then, but not with most calls of a kind.
	if w.late > w.made/10 {
		w.t.Errorf("%d of %d calls took the whole budget without a reason", w.late, w.made)
	}
	for _, r := range routes {
		if n := w.seen[[2]string{r.name, "no_token"}]; n > w.made/len(routes)/20 {
			w.t.Errorf("%d calls of %s had no token", n, r.name)
		}
	}
	for _, name := range faultNames {
		if n := w.byFault[name]; n.late > 4 && n.late > n.made/2 {
			w.t.Errorf("fault %s: %d of %d calls took the whole budget without a reason", name, n.late, n.made)
		}
	}
}
