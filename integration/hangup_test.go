package integration

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// A phone system that hangs up ends the work: it is no failure of the API, and
// harms nobody else.
func TestAPhoneSystemHangsUp(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{global: "metrics"})
	url := caddy.URL("/ivr/order?tel=13800138000")
	harness.Get(t, url)
	inject(t, api, provider.Fault{Target: provider.API, Fault: "hang"})
	ctx, hangUp := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	before := api.Ledger().Last()
	ended := make(chan error, 1)
	go func() {
		_, err := harness.Try(req)
		ended <- err
	}()
	harness.Eventually(t, 5*time.Second, "the API to be asked", func() bool { return len(api.Ledger().Since(before)) == 1 })
	hangUp()
	if err := <-ended; err == nil {
		t.Error("an answer came to somebody who had hung up")
	}
	harness.Eventually(t, 5*time.Second, "the call to end", func() bool {
		return strings.Contains(harness.Get(t, "http://"+caddy.Admin+"/metrics").Body, `switchboard_calls_total{api="order",outcome="canceled"} 1`)
	})
	api.ClearFaults()
	if got := harness.Get(t, url); got.Body != known {
		t.Errorf("the next call got %s", got.Body)
	}
}

// A caller whose body stalls half-way is answered within the budget.
func TestABodyThatStalls(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{})
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", caddy.Port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	begin := time.Now()
	fmt.Fprintf(conn, "POST /ivr/order HTTP/1.1\r\nHost: localhost:%d\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"tel\":", caddy.Port)
	answer := make([]byte, 64)
	n, err := io.ReadAtLeast(conn, answer, 16)
	if err != nil || !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 408 ") {
		t.Errorf("got %q, %v, want 408", answer[:n], err)
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("the answer took %v, with a budget of 2s", took)
	}
}

// A stream that breaks off is seen to break off: nothing makes it look whole.
func TestABrokenStream(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: sidecar})
	harness.Get(t, caddy.URL("/echo"))
	inject(t, api, provider.Fault{Target: provider.API, Fault: "truncate", Path: "/open", Times: 1})
	if got, err := harness.Try(harness.Request(t, http.MethodGet, caddy.URL("/open/customer/C1001"), "", "")); err == nil && got.Status == 200 {
		t.Errorf("a broken answer looks whole: %s", got.Body)
	}
	if got := harness.Get(t, caddy.URL("/open/customer/C1001")); got.Status != 200 {
		t.Errorf("the next call got %d", got.Status)
	}
}
