package integration

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// killSite is a write to an API at any address. A write may run for a second, so a
// process that was killed is known to be gone after six.
const killSite = `{
	admin {ADMIN}
	{GLOBAL}
}
http://localhost:{PORT} {
	bind 127.0.0.1
	api /ticket ticket {
		to {TO}/create
		method POST
		auth none
		body ` + "`{k: .k}`" + `
		once 1h .k {
			finish 1s
		}
		output ` + "`{ticket: .number}`" + `
		default ` + "`{ticket: \"\"}`" + `
		budget 1s
	}
}
`

func killConfig(to, global string) harness.Config {
	return harness.Config{Caddyfile: strings.NewReplacer("{TO}", to, "{GLOBAL}", global).Replace(killSite)}
}

// startAgain starts a Caddy that was killed.
func startAgain(t *testing.T, caddy *harness.Caddy, config harness.Config) *harness.Caddy {
	t.Helper()
	config.Dir = caddy.Dir
	return harness.Start(t, config)
}

// A process that is killed between the record and the request has sent nothing, but
// nobody can tell: the write has an unknown result.
func TestKilledBetweenRecordAndSend(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	connected := make(chan struct{}, 16) // TLS is never agreed on
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			connected <- struct{}{}
		}
	}()
	config := killConfig("https://"+listener.Addr().String(), "")
	caddy := harness.Start(t, config)
	go func() { _, _ = harness.Try(harness.Request(t, "GET", caddy.URL("/ticket?k=a"), "", "")) }()
	<-connected
	caddy.Kill()
	wantUnknown(t, startAgain(t, caddy, config), "a")
	if n := len(connected); n != 0 {
		t.Errorf("%d more connections", n)
	}
}

// wantUnknown checks that a write has an unknown result: at first because it may be under
// way, and then because its process was stopped.
func wantUnknown(t *testing.T, caddy *harness.Caddy, key string) {
	t.Helper()
	url := caddy.URL("/ticket?k=" + key)
	if number, outcome, _ := ticketOf(t, url); outcome != "unknown" || number != "" {
		t.Errorf("the first repeat: %s %q", outcome, number)
	}
	harness.Eventually(t, 15*time.Second, "the write to be given up", func() bool {
		if number, outcome, _ := ticketOf(t, url); outcome != "unknown" || number != "" {
			t.Errorf("a repeat: %s %q", outcome, number)
		}
		out, err := caddy.Command("switchboard", "once", "ticket", key, "--address", caddy.Admin)
		return err == nil && strings.Contains(out, "the process that sent it was stopped")
	})
}

// One that is killed between the request and the answer has sent it, once.
func TestKilledBetweenSendAndAnswer(t *testing.T) {
	var sent atomic.Int32
	received := make(chan struct{}, 16)
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		sent.Add(1)
		_, _ = io.Copy(io.Discard, r.Body) // or else nobody notices that the connection breaks
		received <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(api.Close)
	config := killConfig(api.URL, "")
	caddy := harness.Start(t, config)
	go func() { _, _ = harness.Try(harness.Request(t, "GET", caddy.URL("/ticket?k=a"), "", "")) }()
	<-received
	caddy.Kill()
	wantUnknown(t, startAgain(t, caddy, config), "a")
	if sent.Load() != 1 {
		t.Errorf("sent %d times", sent.Load())
	}
}

// One that is killed between the answer and its record has told its caller the truth,
// and doesn't send again.
func TestKilledBetweenAnswerAndRecord(t *testing.T) {
	network := startNetwork(t, fmt.Sprintf("127.0.0.1:%d", startRedis(t)))
	_, port, _ := net.SplitHostPort(network.Listen)
	var sent atomic.Int32
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		sent.Add(1)
		drop := strings.NewReader(`{"name":"drop","type":"timeout","stream":"upstream","attributes":{"timeout":0}}`)
		if _, err := network.Toxics.AddToxicJson(drop); err != nil { // the storage hears nothing any more
			t.Error(err)
		}
		_, _ = w.Write([]byte(`{"number":"T-1"}`))
	}))
	t.Cleanup(api.Close)
	config := killConfig(api.URL, "storage redis {\n host 127.0.0.1\n port "+port+"\n }")
	caddy := harness.Start(t, config)
	if number, outcome, _ := ticketOf(t, caddy.URL("/ticket?k=a")); outcome != "ok" || number != "T-1" {
		t.Errorf("the caller hears %s %q", outcome, number)
	}
	caddy.Kill()
	if err := network.Toxics.RemoveToxic(context.Background(), "drop"); err != nil {
		t.Fatal(err)
	}
	wantUnknown(t, startAgain(t, caddy, config), "a")
	if sent.Load() != 1 {
		t.Errorf("sent %d times", sent.Load())
	}
}

// A write that is under way goes on while the configuration is reloaded, and when Caddy
// is stopped: its record is complete before the storage is closed.
func TestAWriteDuringReloadAndStop(t *testing.T) {
	redis := startRedis(t)
	api := startProvider(t, provider.Options{})
	s := setup{global: fmt.Sprintf("storage redis {\n host 127.0.0.1\n port %d\n }", redis), site: ticketSite("1h", "")}
	caddy := start(t, api, s)
	slow := provider.Fault{Target: provider.API, Path: "/open/ticket", Fault: "late", Delay: 2 * time.Second, Times: 1}
	ask := func(id string) (string, string, bool) {
		return ticketOf(t, caddy.URL("/ticket?tel=13800138000&subject=parcel&call_id="+id))
	}
	inject(t, api, slow)
	if _, outcome, _ := ask("a"); outcome != "unknown" {
		t.Fatal(outcome)
	}
	if err := caddy.Reload(s.caddyfile(api) + "\n# changed\n"); err != nil {
		t.Fatal(err)
	}
	if number, outcome, replayed := ask("a"); outcome != "ok" || !replayed || number == "" {
		t.Errorf("after a reload: %s %q, replayed %v", outcome, number, replayed)
	}

	inject(t, api, slow)
	if _, outcome, _ := ask("b"); outcome != "unknown" {
		t.Fatal(outcome)
	}
	caddy.Stop()
	s.dir = caddy.Dir
	caddy = start(t, api, s)
	if number, outcome, replayed := ask("b"); outcome != "ok" || !replayed || number == "" {
		t.Errorf("after a restart: %s %q, replayed %v", outcome, number, replayed)
	}
	if n := written(api); n != 2 {
		t.Errorf("written %d times", n)
	}
}

// Records of other credentials can't be read, and nothing is sent for them.
func TestWritesOfOtherCredentials(t *testing.T) {
	api := startProvider(t, provider.Options{})
	s := setup{site: ticketSite("1h", "")}
	caddy := start(t, api, s)
	const query = "/ticket?tel=13800138000&subject=parcel&call_id=c-1"
	if _, outcome, _ := ticketOf(t, caddy.URL(query)); outcome != "ok" {
		t.Fatal(outcome)
	}
	caddy.Stop()
	s.dir, s.env = caddy.Dir, []string{"CRM_APP_SECRET=another"}
	caddy = start(t, api, s)
	if number, outcome, _ := ticketOf(t, caddy.URL(query)); outcome != "unknown" || number != "" || written(api) != 1 {
		t.Errorf("%s %q, written %d times", outcome, number, written(api))
	}
	out, err := caddy.Command("switchboard", "once", "ticket", "--address", caddy.Admin)
	if err != nil || !strings.Contains(out, "1 more can't be read: they are damaged, or sealed with other credentials") {
		t.Errorf("%v\n%s", err, out)
	}
}

// A dry run shows the key, masked, and touches no record. A live test is a write.
func TestTestsOfAWrite(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: ticketSite("1h", "")})
	test := func(more ...string) string {
		t.Helper()
		args := []string{"switchboard", "test", "ticket", "tel=13800138000", "subject=parcel", "call_id=13900139000", "--address", caddy.Admin}
		out, err := caddy.Command(append(args, more...)...)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return out
	}
	dry := test()
	if !strings.Contains(dry, `{"key":"***00"}`) || !strings.Contains(dry, "the api writes once; write --live") {
		t.Errorf("a dry run:\n%s", dry)
	}
	if written(api) != 0 || len(recordFiles(caddy)) != 0 {
		t.Errorf("a dry run wrote %d times, and %d records", written(api), len(recordFiles(caddy)))
	}
	if live := test("--live"); written(api) != 1 || !strings.Contains(live, `{"repeat":false}`) {
		t.Errorf("a live test wrote %d times:\n%s", written(api), live)
	}
	if number, outcome, replayed := ticketOf(t, caddy.URL("/ticket?tel=13800138000&subject=parcel&call_id=13900139000")); outcome != "ok" || !replayed || number == "" || written(api) != 1 {
		t.Errorf("after it: %s %q, replayed %v, written %d times", outcome, number, replayed, written(api))
	}
}

// recordFiles are the records in a Caddy's own storage.
func recordFiles(caddy *harness.Caddy) (found []string) {
	_ = filepath.WalkDir(caddy.Dir, func(path string, d os.DirEntry, _ error) error {
		if d != nil && !d.IsDir() && strings.Contains(path, "switchboard-once/") {
			found = append(found, path)
		}
		return nil
	})
	return found
}

// What a breaker keeps from the API isn't remembered.
func TestAWriteAndTheBreaker(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: ticketSite("1h", "breaker 50% 2 1s")})
	url := caddy.URL("/ticket?tel=13800138000&subject=parcel&call_id=")
	inject(t, api, provider.Fault{Target: provider.API, Path: "/open/ticket", Fault: "status", Times: 2})
	for _, id := range []string{"a", "b"} {
		if _, outcome, _ := ticketOf(t, url+id); outcome != "unknown" {
			t.Errorf("%s: %s", id, outcome)
		}
	}
	if _, outcome, _ := ticketOf(t, url+"c"); outcome != "breaker_open" || written(api) != 2 {
		t.Errorf("%s, written %d times", outcome, written(api))
	}
	harness.Eventually(t, 10*time.Second, "the breaker", func() bool {
		_, outcome, replayed := ticketOf(t, url+"c")
		return outcome == "ok" && !replayed
	})
	for _, id := range []string{"a", "b"} {
		if _, outcome, _ := ticketOf(t, url+id); outcome != "unknown" || written(api) != 3 {
			t.Errorf("%s afterwards: %s, written %d times", id, outcome, written(api))
		}
	}
}

// When a record has expired, its key is that of a new write.
func TestRecordsOfWritesExpire(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: ticketSite("2s", "")})
	url := caddy.URL("/ticket?tel=13800138000&subject=parcel&call_id=a")
	first, outcome, _ := ticketOf(t, url)
	if _, again, replayed := ticketOf(t, url); outcome != "ok" || again != "ok" || !replayed {
		t.Errorf("%s, %s, replayed %v", outcome, again, replayed)
	}
	harness.Eventually(t, 10*time.Second, "a new write", func() bool {
		number, _, replayed := ticketOf(t, url)
		return !replayed && number != first
	})
	if written(api) != 2 {
		t.Errorf("written %d times", written(api))
	}
}

// An API that is in two places of a configuration is one: a repeat at the other place
// waits for the same write.
func TestAWriteInTwoPlaces(t *testing.T) {
	api := startProvider(t, provider.Options{})
	site := ticketSite("1h", "")
	caddy := start(t, api, setup{global: "metrics", site: site + strings.Replace(site, "api /ticket ", "api /other ", 1)})
	inject(t, api, provider.Fault{Target: provider.API, Path: "/open/ticket", Fault: "late", Delay: 500 * time.Millisecond, Times: 1})
	var numbers [2]string
	var both sync.WaitGroup
	for i, path := range []string{"/ticket", "/other"} {
		both.Go(func() {
			var outcome string
			if numbers[i], outcome, _ = ticketOf(t, caddy.URL(path+"?tel=13800138000&subject=parcel&call_id=a")); outcome != "ok" {
				t.Errorf("%s: %s", path, outcome)
			}
		})
	}
	both.Wait()
	if numbers[0] != numbers[1] || numbers[0] == "" || written(api) != 1 {
		t.Errorf("%q, written %d times", numbers, written(api))
	}
	if metrics := scrape(t, caddy); !strings.Contains(metrics, `switchboard_once_repeats_total{api="ticket",result="waited"} 1`) {
		t.Error("the repeat isn't counted as one that waited")
	}
}

// A GET that writes is not sent by a test, and once by repeats.
func TestAWriteByGet(t *testing.T) {
	var sent atomic.Int32
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.ContentLength != 0 {
			t.Errorf("%s with %d bytes", r.Method, r.ContentLength)
		}
		_, _ = fmt.Fprintf(w, `{"number":"T-%d"}`, sent.Add(1))
	}))
	t.Cleanup(api.Close)
	config := killConfig(api.URL, "")
	config.Caddyfile = strings.NewReplacer("method POST", "method GET", "body `", "query `").Replace(config.Caddyfile)
	caddy := harness.Start(t, config)
	out, err := caddy.Command("switchboard", "test", "ticket", "k=a", "--address", caddy.Admin)
	if err != nil || !strings.Contains(out, "dry_run") || sent.Load() != 0 {
		t.Errorf("a test wrote %d times: %v\n%s", sent.Load(), err, out)
	}
	for i := range 3 {
		if number, outcome, replayed := ticketOf(t, caddy.URL("/ticket?k=a")); number != "T-1" || outcome != "ok" || replayed != (i > 0) {
			t.Errorf("request %d: %s %q, replayed %v", i+1, outcome, number, replayed)
		}
	}
}
