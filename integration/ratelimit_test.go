package integration

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// from is a client with an address of its own, one of the loopback's.
func from(t *testing.T, address string) *http.Client {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{DialContext: dialer.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

// status of an answer to a request with header fields as name, value …
func status(t *testing.T, c *http.Client, url string, header ...string) int {
	t.Helper()
	req := harness.Request(t, http.MethodGet, url, "", "")
	for n := 0; n+1 < len(header); n += 2 {
		req.Header.Set(header[n], header[n+1])
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusTooManyRequests && res.Header.Get("Retry-After") == "" {
		t.Error("429 without Retry-After")
	}
	return res.StatusCode
}

// startIssuer runs the example of an issuer, with more global options.
func startIssuer(t *testing.T, api *provider.Server, global string) *harness.Caddy {
	t.Helper()
	example, err := os.ReadFile(filepath.Join(harness.Root(t), "caddyfile-examples", "issuer.Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("\n{\n", "\n{\n\tadmin {ADMIN}\n"+global, "http://localhost:8084", "http://localhost:{PORT}",
		"https://crm.example.com", api.URL()).Replace(string(example))
	if !strings.Contains(text, "{ADMIN}") || !strings.Contains(text, "{PORT}") {
		t.Fatalf("the example has changed:\n%s", text)
	}
	return harness.Start(t, harness.Config{
		Caddyfile: text,
		Env:       append([]string{"PARTNER_KEY=" + partnerKey, "PARTNER_SECRET=" + partnerSecret}, credentials...),
	})
}

const partnerKey, partnerSecret = "pk", "partner-secret-0123456789"

// Somebody guesses, and is stopped. An honest client, who comes from elsewhere,
// doesn't notice.
func TestTheLimitOfSignIns(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := startIssuer(t, api, "")
	guesser, honest := from(t, "127.0.0.2"), from(t, "127.0.0.1")
	obtain := func(n int) string {
		return caddy.URL("/token/obtain?" + signIn(partnerSecret, time.Now().Add(time.Duration(n)*time.Second)))
	}
	wrong := caddy.URL(fmt.Sprintf("/token/obtain?app_key=pk&timestamp=%d&sign=0", time.Now().UnixMilli()))
	for n := range 30 {
		want := http.StatusUnauthorized
		if n >= 10 {
			want = http.StatusTooManyRequests
		}
		if got := status(t, guesser, wrong); got != want {
			t.Fatalf("guess %d: %d, want %d", n+1, got, want)
		}
	}
	if got := status(t, guesser, obtain(0)); got != http.StatusTooManyRequests {
		t.Errorf("a guess that is right comes too late: %d", got)
	}
	if got := status(t, guesser, obtain(1), "X-Forwarded-For", "198.51.100.7"); got != http.StatusTooManyRequests {
		t.Errorf("a guesser who makes up an address: %d", got)
	}
	if got := status(t, honest, obtain(2)); got != http.StatusOK {
		t.Errorf("an honest client: %d", got)
	}
	if got := status(t, guesser, caddy.URL("/ivr/order?tel=13800138000")); got != http.StatusUnauthorized {
		t.Errorf("the limit is that of sign-ins alone: %d", got)
	}
}

// Behind a load balancer that is trusted all come from one address; each still
// has a limit of its own.
func TestTheLimitBehindALoadBalancer(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := startIssuer(t, api, "\tservers {\n\t\ttrusted_proxies static 127.0.0.3\n\t\ttrusted_proxies_strict\n\t}\n")
	balancer := from(t, "127.0.0.3")
	wrong := caddy.URL(fmt.Sprintf("/token/obtain?app_key=pk&timestamp=%d&sign=0", time.Now().UnixMilli()))
	for n := range 12 {
		want := http.StatusUnauthorized
		if n >= 10 {
			want = http.StatusTooManyRequests
		}
		made := fmt.Sprintf("203.0.113.%d, 198.51.100.7", n) // the balancer adds the second
		if got := status(t, balancer, wrong, "X-Forwarded-For", made); got != want {
			t.Fatalf("guess %d: %d, want %d", n+1, got, want)
		}
	}
	right := caddy.URL("/token/obtain?" + signIn(partnerSecret, time.Now()))
	if got := status(t, balancer, right, "X-Forwarded-For", "198.51.100.8"); got != http.StatusOK {
		t.Errorf("an honest client: %d", got)
	}
}
