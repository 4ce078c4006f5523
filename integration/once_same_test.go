package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/switchboard-ivr/switchboard/integration/harness"
)

// sameSite has writes whose answers depend on more than params.
const sameSite = `{
	admin {ADMIN}
}
http://localhost:{PORT} {
	bind 127.0.0.1
	api /user user {
		to %[1]s/user
		method POST
		auth key first header X-API-Key
		body ` + "`{t: .t}`" + `
		once 1h .k
		output ` + "`{n: .n}`" + `
		default ` + "`{n: 0}`" + `
	}
	api /header header {
		to %[1]s/header
		method POST
		pass headers X-Tenant
		body ` + "`{t: .t}`" + `
		once 1h .k
		output ` + "`{n: .n}`" + `
		default ` + "`{n: 0}`" + `
	}
	api /request request {
		to %[1]s/request
		method POST
		body ` + "`{t: $request.headers[\"x-what\"]}`" + `
		once 1h .k
		output ` + "`{n: .n}`" + `
		default ` + "`{n: 0}`" + `
	}
	api /output output {
		to %[1]s/output
		method POST
		body ` + "`{t: .t}`" + `
		once 1h .k
		output ` + "`{n: .n, lang: $params.lang}`" + `
		default ` + "`{n: 0, lang: \"\"}`" + `
	}
	api /status status {
		to %[1]s/status
		method POST
		query ` + "`{s: .s}`" + `
		once 1h .k
		output ` + "`{n: .n}`" + `
		default ` + "`{n: 0}`" + `
	}
	api /judged judged {
		to %[1]s/judged
		method POST
		body ` + "`{t: .t}`" + `
		once 1h .k
		success ` + "`.code == 0`" + `
		output ` + "`{n: .n}`" + `
		default ` + "`{n: 0}`" + `
	}
}
`

// counting counts its requests by path.
type counting struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *counting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	c.mu.Lock()
	c.n[r.URL.Path]++
	n := c.n[r.URL.Path]
	c.mu.Unlock()
	switch {
	case r.URL.Path == "/judged":
		_, _ = io.WriteString(w, "[1]")
	case r.URL.Path != "/status":
		_ = json.NewEncoder(w).Encode(map[string]int{"n": n})
	case r.URL.Query().Get("s") == "303":
		w.Header().Set("Location", "/done")
		w.WriteHeader(http.StatusSeeOther)
	case r.URL.Query().Get("s") == "204":
		w.WriteHeader(http.StatusNoContent)
	case r.URL.Query().Get("s") == "404":
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"message":"no such path"}`)
	}
}

func (c *counting) of(path string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[path]
}

// A repeat gets the answer of the first request only if it asks for the same: the answer
// to another one would not be true.
func TestARepeatAsksForTheSame(t *testing.T) {
	api := &counting{n: map[string]int{}}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	caddy := harness.Start(t, harness.Config{Caddyfile: fmt.Sprintf(sameSite, server.URL)})
	ask := func(path string, headers ...string) (outcome string, replayed bool) {
		t.Helper()
		req := harness.Request(t, "GET", caddy.URL(path), "", "")
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		got := harness.Do(t, req)
		var answer struct {
			Status string `json:"_status"`
		}
		if err := json.Unmarshal([]byte(got.Body), &answer); err != nil {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		return answer.Status, got.Header.Get("Idempotency-Replayed") == "true"
	}
	for _, step := range []struct {
		what, path string
		headers    []string
		outcome    string
		replayed   bool
		calls      int // of the API so far
	}{
		{"a caller", "/user?k=1&t=1", []string{"X-API-Key", "first"}, "ok", false, 1},
		{"the same caller", "/user?k=1&t=1", []string{"X-API-Key", "first"}, "ok", true, 1},
		{"a header that is passed on", "/header?k=1&t=1", []string{"X-Tenant", "A"}, "ok", false, 1},
		{"another value of it", "/header?k=1&t=1", []string{"X-Tenant", "B"}, "incomplete", false, 1},
		{"a header that a program reads", "/request?k=1", []string{"X-What", "A", "X-Request-Id", "1"}, "ok", false, 1},
		{"again, through a proxy", "/request?k=1", []string{"X-What", "A", "X-Request-Id", "2", "X-Forwarded-For", "10.0.0.1"}, "ok", true, 1},
		{"another value of it", "/request?k=1", []string{"X-What", "B"}, "incomplete", false, 1},
		{"a param that output reads", "/output?k=1&t=1&lang=zh", nil, "ok", false, 1},
		{"another value of it", "/output?k=1&t=1&lang=en", nil, "incomplete", false, 1},
		{"a write without an answer", "/status?k=1&s=204", nil, "ok", false, 1},
		{"again", "/status?k=1&s=204", nil, "ok", true, 1},
		{"a path that doesn't exist", "/status?k=2&s=404", nil, "rejected", false, 2},
		{"again", "/status?k=2&s=404", nil, "rejected", false, 3},
		{"a redirect after the write", "/status?k=3&s=303", nil, "unknown", false, 4},
		{"again", "/status?k=3&s=303", nil, "unknown", false, 4},
		{"an answer that success can't judge", "/judged?k=1&t=1", nil, "unknown", false, 1},
		{"again", "/judged?k=1&t=1", nil, "unknown", false, 1},
	} {
		outcome, replayed := ask(step.path, step.headers...)
		path, _, _ := strings.Cut(step.path, "?")
		if calls := api.of(path); outcome != step.outcome || replayed != step.replayed || calls != step.calls {
			t.Errorf("%s: %s, replayed %v, %d calls; want %s, %v, %d", step.what, outcome, replayed, calls, step.outcome, step.replayed, step.calls)
		}
	}
}
