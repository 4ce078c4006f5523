package model

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/integration/harness"
)

// A call whose budget ended while its body was decoded left its connection
// behind in a state in which every later call was taken for one whose caller
// had hung up: status 499, and nothing in it. The budgets here are so short that
// some of them end just then.
func TestAConnectionAfterALateBody(t *testing.T) {
	api := NewServer()
	t.Cleanup(api.Close)
	block := func(name, budget string) string {
		return fmt.Sprintf("api /%s %s {\nto {API}/ask\nmethod GET\n%s%s%sbudget %s\n}\n", name, name, jqQuery, jqThreeParts, jqThreeKeys, budget)
	}
	site := block("patient", "5s")
	for i := range 40 {
		site += block(fmt.Sprintf("hasty%d", i), fmt.Sprintf("%dms", i+1))
	}
	caddy := harness.Start(t, harness.Config{
		Caddyfile: "{\nadmin {ADMIN}\n}\nhttp://localhost:{PORT} {\nbind 127.0.0.1\n" + strings.ReplaceAll(site, "{API}", api.URL()) + "}\n",
	})
	body := `{"z":[` + strings.Repeat(`{"a":{}},`, 40<<10) + `0]}`
	for i := range 40 {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", caddy.Port))
		if err != nil {
			t.Fatal(err)
		}
		answers := bufio.NewReader(conn)
		ask := func(method, path, body string) (*http.Response, string, error) {
			fmt.Fprintf(conn, "%s /%s HTTP/1.1\r\nHost: localhost:%d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", method, path, caddy.Port, len(body), body)
			res, err := http.ReadResponse(answers, nil)
			if err != nil {
				return nil, "", err
			}
			defer res.Body.Close()
			text, err := io.ReadAll(res.Body)
			return res, string(text), err
		}
		hasty, text, err := ask(http.MethodPost, fmt.Sprintf("hasty%d?tel=1", i), body)
		switch {
		case err != nil:
			t.Errorf("with a budget of %dms: %v", i+1, err)
		case hasty.Close: // nobody asks again here
		default:
			got, later, err := ask(http.MethodGet, "patient?tel=1", "")
			if err != nil || got.StatusCode != http.StatusOK || !strings.Contains(later, `"_status":"ok"`) {
				t.Errorf("after a call with a budget of %dms that got %d %s: %v %v %q", i+1, hasty.StatusCode, text, err, got, later)
			}
		}
		_ = conn.Close()
	}
}
