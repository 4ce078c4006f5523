package integration

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

const sidecar = `
	api crm {
		to {API}
		token crm
		auth none
	}`

// A sidecar hands on any method, path, query and header as they are, with the
// token in place of whatever the caller sends.
func TestASidecarHandsOnEverything(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: sidecar})
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
		t.Run(method, func(t *testing.T) {
			req := harness.Request(t, method, caddy.URL("/echo/a%2Fb?x=1&y=%20z&x=2"), "text/plain", "hello")
			req.Header.Set("Authorization", "Bearer stolen")
			req.Header.Set("X-Custom", "kept")
			got := harness.Do(t, req)
			if got.Status != 200 {
				t.Fatalf("got %d %s", got.Status, got.Body)
			}
			for _, want := range []string{`"` + method + `"`, "x=1", "%20z", "hello", "kept", "a%2Fb"} {
				if !strings.Contains(got.Body, want) {
					t.Errorf("the API didn't see %s: %s", want, got.Body)
				}
			}
			if strings.Contains(got.Body, "stolen") {
				t.Error("the caller's token went on")
			}
		})
	}
}

// Uploads and downloads of any size stream through, unchanged.
func TestASidecarStreamsUploads(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: sidecar})
	const size = 20 << 20
	sum := sha256.New()
	body := io.TeeReader(io.LimitReader(rand.Reader, size), sum)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, caddy.URL("/upload"), body)
	if err != nil {
		t.Fatal(err)
	}
	got := harness.Do(t, req)
	if want := hex.EncodeToString(sum.Sum(nil)); !strings.Contains(got.Body, want) {
		t.Errorf("got %d %s, want the checksum %s", got.Status, got.Body, want)
	}
	big := harness.Get(t, caddy.URL("/big?bytes=5000000"))
	if len(big.Body) < 5000000 {
		t.Errorf("got %d bytes", len(big.Body))
	}
	_, peak, err := caddy.RSS()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("peak memory %d MiB", peak>>20)
}

func TestASidecarStreamsEvents(t *testing.T) {
	api := startProvider(t, provider.Options{StreamInterval: 100 * time.Millisecond})
	caddy := start(t, api, setup{site: strings.Replace(sidecar, "auth none", "auth none\n\t\tbudget 1s", 1)})
	harness.Get(t, caddy.URL("/echo"))
	begin := time.Now()
	res, err := http.Get(caddy.URL("/stream"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	events := 0
	for lines.Scan() && time.Since(begin) < 2500*time.Millisecond {
		if strings.HasPrefix(lines.Text(), "data:") {
			if events == 0 && time.Since(begin) > 700*time.Millisecond {
				t.Errorf("the first event came after %v", time.Since(begin))
			}
			events++
		}
	}
	// the budget of one second ends with the first byte
	if events < 15 {
		t.Errorf("%d events in 2.5 s, want the stream to outlive its budget", events)
	}
}

func TestASidecarSwitchesProtocols(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: sidecar})
	conn, res, err := websocket.DefaultDialer.Dial(fmt.Sprintf("ws://localhost:%d/ws", caddy.Port), nil)
	if err != nil {
		t.Fatalf("%v %v", err, res)
	}
	defer conn.Close()
	for i := range 3 {
		text := fmt.Sprint("hello ", i)
		if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
		_, got, err := conn.ReadMessage()
		if err != nil || string(got) != text {
			t.Fatalf("got %q %v, want %q", got, err, text)
		}
	}
}

// A client can't make the token disappear, double it or send its own: six raw
// requests.
func TestSmuggling(t *testing.T) {
	api := startProvider(t, provider.Options{})
	for name, inject := range map[string]string{"X-Access-Token": "X-Access-Token {token}", "Authorization": "Authorization"} {
		t.Run(name, func(t *testing.T) {
			s := setup{site: sidecar}
			text := strings.Replace(s.caddyfile(api), "lifetime 2m", "lifetime 2m\n\t\tinject header "+inject, 1)
			caddy := harness.Start(t, harness.Config{Caddyfile: text, Env: credentials})
			for _, header := range []string{
				"Connection: NAME, X-Other",
				"NAME: mine\r\nNAME: mine too",
				"UNDERSCORED: mine",
				"NAME: Bearer mine",
				"Connection: close, NAME\r\nNAME: mine",
				"Trailer: NAME\r\nTE: trailers",
			} {
				header = strings.NewReplacer("NAME", name, "UNDERSCORED", strings.ReplaceAll(name, "-", "_")).Replace(header)
				before := api.Ledger().Last()
				conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", caddy.Port))
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(conn, "GET /open/customer/C1001 HTTP/1.1\r\nHost: localhost:%d\r\n%s\r\n\r\n", caddy.Port, header)
				status, err := bufio.NewReader(conn).ReadString('\n')
				conn.Close()
				if err != nil || !strings.Contains(status, "200") {
					t.Errorf("%q: got %q %v", header, status, err)
				}
				calls := api.Ledger().Since(before).Kind(provider.API)
				if len(calls) != 1 || len(calls[0].Header.Values(name)) != 1 || strings.Contains(fmt.Sprint(calls[0].Header), "mine") {
					t.Errorf("%q: the API saw %v", header, calls)
				}
			}
		})
	}
}

// What a sidecar hands on anyway may be named, and still streams.
func TestASidecarToldToPass(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: strings.Replace(sidecar, "auth none", "auth none\n\t\tpass query body headers X-Custom", 1)})
	got := harness.Do(t, harness.Request(t, "POST", caddy.URL("/echo?x=1"), "text/plain", "hello"))
	if got.Status != 200 || !strings.Contains(got.Body, "hello") || !strings.Contains(got.Body, "x=1") {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
}

// A dead token is renewed below the sidecar, too, and a small upload is sent
// again with the new one.
func TestASidecarReplays(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: sidecar})
	harness.Get(t, caddy.URL("/echo"))
	api.Expire()
	got := harness.Do(t, harness.Request(t, "POST", caddy.URL("/echo"), "text/plain", "once more"))
	if got.Status != 200 || !strings.Contains(got.Body, "once more") {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
	if got.Header.Get("Set-Cookie") != "" || got.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("headers of the first try leaked: %v", got.Header)
	}
}

func TestASidecarWithoutAnswer(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: sidecar})
	harness.Get(t, caddy.URL("/echo"))
	inject(t, api, provider.Fault{Target: provider.API, Fault: "hang"})
	begin := time.Now()
	got := harness.Get(t, caddy.URL("/echo"))
	if want := `{"error":{"message":"the API did not answer in time","outcome":"timeout"}}`; got.Status != 504 || got.Body != want {
		t.Errorf("got %d %s, want 504 %s", got.Status, got.Body, want)
	}
	if took := time.Since(begin); took > 2500*time.Millisecond {
		t.Errorf("it took %v", took)
	}
}

// An answer that breaks off while it passes through is no success, and the caller sees
// the break.
func TestASidecarsAnswerBreaksOff(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{global: "metrics", site: strings.Replace(sidecar, "token crm", "", 1)})
	inject(t, api, provider.Fault{Target: provider.API, Fault: "truncate", Times: 1})
	if got, err := harness.Try(harness.Request(t, "GET", caddy.URL("/free/open/order/query?tel=13800138000"), "", "")); err == nil {
		t.Errorf("the caller got a complete answer: %d %s", got.Status, got.Body)
	}
	harness.Eventually(t, 5*time.Second, "the metric", func() bool {
		return strings.Contains(scrape(t, caddy), `switchboard_calls_total{api="crm",outcome="bad_answer"} 1`)
	})
	if got := harness.Get(t, caddy.URL("/free/open/order/query?tel=13800138000")); got.Status != 200 {
		t.Errorf("a complete answer: %d", got.Status)
	}
	metrics := scrape(t, caddy)
	if !strings.Contains(metrics, `switchboard_calls_total{api="crm",outcome="ok"} 1`) || !strings.Contains(metrics, `switchboard_unhealthy_total{api="crm"} 1`) {
		t.Error("the metrics count the broken answer as good")
	}
}
