package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// ticketBlock is a write that happens once.
const ticketBlock = `
	api /ticket ticket {
		to {API}/open/ticket/create
		method POST
		token crm
		once {ONCE}
		body ` + "`{tel: .tel, subject: .subject}`" + `
		success ` + "`.code == \"000000\"`" + `
		output ` + "`{ticket: .data.number}`" + `
		default ` + "`{ticket: \"\"}`" + `
		budget 1s
		{MORE}
	}`

func ticketSite(once, more string) string {
	return strings.NewReplacer("{ONCE}", once, "{MORE}", more).Replace(ticketBlock)
}

// ticketOf asks for a ticket and returns its number, the outcome, and whether the answer
// is that of an earlier request.
func ticketOf(t *testing.T, url string) (number, outcome string, replayed bool) {
	t.Helper()
	got := harness.Get(t, url)
	var answer struct {
		Ticket string `json:"ticket"`
		Status string `json:"_status"`
	}
	if got.Status != 200 || json.Unmarshal([]byte(got.Body), &answer) != nil {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	return answer.Ticket, answer.Status, got.Header.Get("Idempotency-Replayed") == "true"
}

func written(api *provider.Server) (n int) {
	for _, entry := range api.Ledger().Kind(provider.API) {
		if entry.Path == "/open/ticket/create" {
			n++
		}
	}
	return n
}

func TestAWriteHappensOnce(t *testing.T) {
	api := startProvider(t, provider.Options{})
	s := setup{global: "metrics", site: ticketSite("1h {\n finish 10s\n }", "")}
	caddy := start(t, api, s)
	ask := func(query string) (string, string, bool) {
		t.Helper()
		return ticketOf(t, caddy.URL("/ticket?tel=13800138000&subject=parcel&"+query))
	}
	expect := func(what, query, wantOutcome string, wantReplayed bool, wantWritten int) (number string) {
		t.Helper()
		number, outcome, replayed := ask(query)
		if outcome != wantOutcome || replayed != wantReplayed || written(api) != wantWritten {
			t.Errorf("%s: %s, replayed %v, written %d; want %s, %v, %d", what, outcome, replayed, written(api), wantOutcome, wantReplayed, wantWritten)
		}
		return number
	}

	first := expect("the first request", "call_id=a", "ok", false, 1)
	if again := expect("a repeat", "call_id=a", "ok", true, 1); again != first || first == "" {
		t.Errorf("the repeat has ticket %q, not %q", again, first)
	}
	expect("a param that the API isn't told of may differ", "call_id=a&attempt=2", "ok", true, 1)
	expect("another call", "call_id=b", "ok", false, 2)
	expect("without a key", "", "incomplete", false, 2)
	expect("with a blank key", "call_id=", "incomplete", false, 2)
	expect("with a long key", "call_id="+strings.Repeat("k", 300), "incomplete", false, 2)
	expect("the same key for another write", "call_id=a&subject=letter", "incomplete", false, 2)

	// an API that is slow: the write goes on, and a repeat gets its answer
	inject(t, api, provider.Fault{Target: provider.API, Path: "/open/ticket", Fault: "late", Delay: 2 * time.Second, Times: 1})
	expect("a slow API", "call_id=slow", "unknown", false, 3)
	harness.Eventually(t, 10*time.Second, "the answer", func() bool {
		_, outcome, replayed := ask("call_id=slow")
		return outcome == "ok" && replayed
	})
	expect("after that", "call_id=slow", "ok", true, 3)

	// an API that may have acted is not asked again
	for _, fault := range []string{"status", "truncate", "reset"} {
		inject(t, api, provider.Fault{Target: provider.API, Path: "/open/ticket", Fault: fault, Times: 1})
		before := written(api)
		expect(fault, "call_id="+fault, "unknown", false, before+1)
		expect(fault+" again", "call_id="+fault, "unknown", false, before+1)
	}
	// an API that says no is asked again
	inject(t, api, provider.Fault{Target: provider.API, Path: "/open/ticket", Fault: "error-code", Times: 1})
	before := written(api)
	expect("rejected", "call_id=no", "rejected", false, before+1)
	expect("asked again", "call_id=no", "ok", false, before+2)

	// records survive a restart
	caddy.Stop()
	s.dir = caddy.Dir
	caddy = start(t, api, s)
	before = written(api)
	if again := expect("after a restart", "call_id=a", "ok", true, before); again != first {
		t.Errorf("after a restart there is ticket %q, not %q", again, first)
	}
	expect("unknown after a restart", "call_id=reset", "unknown", false, before)
	metrics := scrape(t, caddy)
	for _, want := range []string{`switchboard_once_repeats_total{api="ticket",result="answered"} 1`, `switchboard_once_repeats_total{api="ticket",result="unknown"} 1`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no metric %s", want)
		}
	}
	for _, text := range []string{"13800138000", first} {
		if found := files(t, caddy.Dir); strings.Contains(found, text) {
			t.Errorf("%s is in the storage in clear", text)
		}
	}
}

// What surely did not reach the API may be sent again.
func TestAWriteThatWasNotSent(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: ticketSite("1h", "")})
	url := caddy.URL("/ticket?tel=13800138000&subject=parcel&call_id=")
	expect := func(what, id, want string) {
		t.Helper()
		if _, outcome, _ := ticketOf(t, url+id); outcome != want {
			t.Errorf("%s: %s, want %s", what, outcome, want)
		}
	}
	hold := func(action string) {
		t.Helper()
		if out, err := caddy.Command("switchboard", action, "ticket"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	hold("hold")
	expect("held", "a", "held")
	hold("release")
	expect("released", "a", "ok")

	api.Stop()
	expect("no connection", "b", "unreachable")
	if err := api.Restart(); err != nil {
		t.Fatal(err)
	}
	expect("connected", "b", "ok")
}

// Without its record a write isn't sent.
func TestAWriteWithoutAStorage(t *testing.T) {
	api := startProvider(t, provider.Options{})
	network := startNetwork(t, fmt.Sprintf("127.0.0.1:%d", startRedis(t)))
	_, port, _ := net.SplitHostPort(network.Listen)
	caddy := start(t, api, setup{global: "storage redis {\n host 127.0.0.1\n port " + port + "\n }", site: ticketSite("1h", "")})
	url := caddy.URL("/ticket?tel=13800138000&subject=parcel&call_id=")
	first, outcome, _ := ticketOf(t, url+"a")
	if outcome != "ok" {
		t.Fatalf("with the storage: %s", outcome)
	}
	hang := strings.NewReader(`{"name":"hang","type":"timeout","stream":"downstream","attributes":{"timeout":0}}`)
	if _, err := network.Toxics.AddToxicJson(hang); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b", "c"} {
		if _, outcome, _ := ticketOf(t, url+id); outcome != "not_sent" || written(api) != 1 {
			t.Errorf("call %s while the storage hangs: %s, written %d", id, outcome, written(api))
		}
	}
	if err := network.Toxics.RemoveToxic(context.Background(), "hang"); err != nil {
		t.Fatal(err)
	}
	for i, id := range []string{"b", "c"} {
		harness.Eventually(t, 30*time.Second, "the storage", func() bool {
			_, outcome, _ := ticketOf(t, url+id)
			return outcome == "ok"
		})
		if written(api) != 2+i {
			t.Errorf("call %s was written %d times in all", id, written(api))
		}
	}
	if again, outcome, replayed := ticketOf(t, url+"a"); again != first || outcome != "ok" || !replayed {
		t.Errorf("afterwards: %s %s, replayed %v", again, outcome, replayed)
	}
}

// Writes of two instances on one storage, while both are killed again and again: no key
// is sent twice, and every repeat gets the same answer or unknown.
func TestWritesOfAFleet(t *testing.T) {
	const once = "once 1h .k"
	for name, test := range map[string]struct{ storage, once string }{
		"on Redis":                      {fmt.Sprintf("redis {\n host 127.0.0.1\n port %d\n }", startRedis(t)), once},
		"on files":                      {"file_system " + t.TempDir(), once},
		"on files, the key in a header": {"file_system " + t.TempDir(), once + " {\n header Idempotency-Key\n }"},
	} {
		t.Run(name, func(t *testing.T) { fleetOfWriters(t, test.storage, test.once) })
	}
}

// writeAPI acts on each request, and then answers late, fails, or drops its answer. It
// recognizes a repeat by its Idempotency-Key.
type writeAPI struct {
	mu    sync.Mutex
	acted map[string][]string // the tickets by key
	other int                 // requests with another Idempotency-Key than theirs
}

func (a *writeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := r.URL.Query().Get("k")
	sent := r.Header.Get("Idempotency-Key")
	a.mu.Lock()
	if sent != "" && sent != key {
		a.other++
	}
	if sent == "" || len(a.acted[key]) == 0 {
		a.acted[key] = append(a.acted[key], fmt.Sprintf("T-%s-%d", key, len(a.acted[key])+1))
	}
	ticket := a.acted[key][len(a.acted[key])-1]
	a.mu.Unlock()
	switch rand.IntN(8) {
	case 0:
		pause(r, 1500*time.Millisecond)
	case 1:
		http.Error(w, "failed after acting", http.StatusInternalServerError)
		return
	case 2:
		panic(http.ErrAbortHandler)
	default:
		pause(r, time.Duration(rand.IntN(30))*time.Millisecond)
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"number": ticket})
}

// pause takes some time to answer, unless the client has gone.
func pause(r *http.Request, d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.Context().Done():
	}
}

const fleetOfWritersSite = `{
	admin {ADMIN}
	storage %s
}
http://localhost:{PORT} {
	bind 127.0.0.1
	api /ticket ticket {
		to %s/create
		method POST
		auth none
		query ` + "`{k: .k}`" + `
		%s
		output ` + "`{ticket: .number}`" + `
		default ` + "`{ticket: \"\"}`" + `
		budget 1s
	}
}
`

func fleetOfWriters(t *testing.T, storage, once string) {
	t.Helper()
	api := &writeAPI{acted: map[string][]string{}}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	config := harness.Config{Caddyfile: fmt.Sprintf(fleetOfWritersSite, storage, server.URL, once)}
	instances := make([]*harness.Caddy, 2)
	for i := range instances {
		config.Dir, config.Port = "", 0
		instances[i] = harness.Start(t, config)
	}
	ports := [2]int{instances[0].Port, instances[1].Port}

	const keys, repeats = 500, 4
	type heard struct{ key, ticket, outcome string }
	var mu sync.Mutex
	var all []heard
	var callers sync.WaitGroup
	free, done := make(chan struct{}, 24), make(chan struct{})
	ask := func(n int) {
		key := fmt.Sprint("k", (n/(4*repeats))*4+n%4) // the repeats of a key come soon after another
		<-time.After(time.Duration(rand.IntN(120)) * time.Millisecond)
		url := fmt.Sprintf("http://localhost:%d/ticket?k=%s", ports[rand.IntN(2)], key)
		got, err := harness.Try(harness.Request(t, "GET", url, "", ""))
		if err != nil {
			return // killed
		}
		var answer struct {
			Ticket string `json:"ticket"`
			Status string `json:"_status"`
		}
		_ = json.Unmarshal([]byte(got.Body), &answer)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, heard{key, answer.Ticket, answer.Status})
	}
	go func() {
		defer close(done)
		for n := range keys * repeats {
			free <- struct{}{}
			callers.Go(func() {
				defer func() { <-free }()
				ask(n)
			})
		}
		callers.Wait()
	}()
	for i, running := 0, true; running; i = 1 - i {
		select {
		case <-done:
			running = false
		case <-time.After(2 * time.Second):
			instances[i].Kill()
			again := config
			again.Dir, again.Port = instances[i].Dir, instances[i].Port
			instances[i] = harness.Start(t, again)
		}
	}

	api.mu.Lock()
	defer api.mu.Unlock()
	twice := 0
	for _, tickets := range api.acted {
		if len(tickets) > 1 {
			twice++
		}
	}
	if api.other > 0 {
		t.Errorf("%d requests had the key of another write", api.other)
	}
	if twice > 0 {
		t.Errorf("%d keys were sent twice", twice)
	}
	outcomes := map[string]int{}
	for _, h := range all {
		outcomes[h.outcome]++
		switch h.outcome {
		case "ok":
			if len(api.acted[h.key]) == 0 || h.ticket != api.acted[h.key][0] {
				t.Errorf("%s: ok with ticket %q; the API made %v", h.key, h.ticket, api.acted[h.key])
			}
		case "unknown", "not_sent", "unreachable":
			if h.ticket != "" {
				t.Errorf("%s: %s with ticket %q", h.key, h.outcome, h.ticket)
			}
		default:
			t.Errorf("%s: outcome %q", h.key, h.outcome)
		}
	}
	t.Logf("%v of %d requests; %d keys reached the API", outcomes, len(all), len(api.acted))
	if outcomes["ok"] < keys {
		t.Errorf("only %d requests were answered", outcomes["ok"])
	}
}

// A key that is in a header is sent again when the result of its write is unknown: the API
// recognizes it.
func TestAWriteWithItsKeyInAHeader(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: ticketSite("1h {\n header Idempotency-Key\n finish 3s\n }", "")})
	url := caddy.URL("/ticket?tel=13800138000&subject=parcel&call_id=c-77")
	inject(t, api, provider.Fault{Target: provider.API, Path: "/open/ticket", Fault: "status", Times: 1})
	if _, outcome, _ := ticketOf(t, url); outcome != "unknown" {
		t.Errorf("a failure: %s", outcome)
	}
	number, outcome, replayed := ticketOf(t, url)
	if outcome != "ok" || replayed {
		t.Errorf("sent again: %s, replayed %v", outcome, replayed)
	}
	if again, outcome, replayed := ticketOf(t, url); outcome != "ok" || !replayed || again != number {
		t.Errorf("a repeat: %s %s, replayed %v", again, outcome, replayed)
	}
	for _, entry := range api.Ledger().Kind(provider.API) {
		if got := entry.Header.Get("Idempotency-Key"); got != "c-77" {
			t.Errorf("Idempotency-Key: %q", got)
		}
	}
}

// A damaged record, and one of other credentials, doesn't say what became of its write.
func TestRecordsThatCannotBeRead(t *testing.T) {
	api := startProvider(t, provider.Options{})
	s := setup{site: ticketSite("1h", "")}
	caddy := start(t, api, s)
	url := "/ticket?tel=13800138000&subject=parcel&call_id=c-1"
	if _, outcome, _ := ticketOf(t, caddy.URL(url)); outcome != "ok" {
		t.Fatal(outcome)
	}
	var record string
	_ = filepath.WalkDir(caddy.Dir, func(path string, d os.DirEntry, _ error) error {
		if d != nil && !d.IsDir() && strings.Contains(path, "switchboard-once") {
			record = path
		}
		return nil
	})
	text, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(record, text[:len(text)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, outcome, _ := ticketOf(t, caddy.URL(url)); outcome != "unknown" || written(api) != 1 {
		t.Errorf("a damaged record: %s, written %d", outcome, written(api))
	}
	out, err := caddy.Command("switchboard", "once", "ticket", "c-1", "--forget")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, outcome, _ := ticketOf(t, caddy.URL(url)); outcome != "ok" || written(api) != 2 {
		t.Errorf("after --forget: %s, written %d", outcome, written(api))
	}
}
