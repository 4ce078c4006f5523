package integration

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// What a caller sends wrong is answered with a 4xx in one line of JSON, and the
// API isn't called.
func TestBadInput(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{})
	url := caddy.URL("/ivr/order")
	harness.Get(t, url+"?tel=13800138000")
	before := api.Ledger().Last()
	for _, tc := range []struct {
		name, url, contentType, body string
		want                         int
	}{
		{"malformed JSON", url, "application/json", `{"tel":`, 400},
		{"two documents", url, "application/json", `{"tel":"1"}{"tel":"2"}`, 400},
		{"a JSON array", url, "application/json", `["tel"]`, 400},
		{"invalid UTF-8 in JSON", url, "application/json", "{\"tel\":\"\xff\"}", 400},
		{"deep JSON", url, "application/json", `{"a":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, 400},
		{"invalid UTF-8 in a form", url, "application/x-www-form-urlencoded", "tel=%ff", 400},
		{"a broken escape in a form", url, "application/x-www-form-urlencoded", "tel=%zz", 400},
		{"a wrong content type", url, "text/xml", "<tel>1</tel>", 415},
		{"no content type", url, "", "tel=1", 415},
		{"an oversized body", url, "application/json", `{"tel":"` + strings.Repeat("1", 2<<20) + `"}`, 413},
		{"a broken escape in the query", url + "?tel=%zz", "", "", 400},
		{"invalid UTF-8 in the query", url + "?tel=%ff%fe", "", "", 400},
		{"too many parameters", url + "?" + manyParameters(1500), "", "", 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req := harness.Request(t, http.MethodPost, url, tc.contentType, tc.body)
			if i := strings.IndexByte(tc.url, '?'); i >= 0 {
				req.URL.RawQuery = tc.url[i+1:] // as it is, broken or not
			}
			got := harness.Do(t, req)
			if got.Status != tc.want {
				t.Errorf("got %d %.200s, want %d", got.Status, got.Body, tc.want)
			}
			var answer struct {
				Error struct{ Outcome, Message string }
			}
			if err := json.Unmarshal([]byte(got.Body), &answer); err != nil || answer.Error.Outcome != "bad_request" || answer.Error.Message == "" {
				t.Errorf("got %.200q, want one line of JSON with the outcome bad_request and a message", got.Body)
			}
		})
	}
	t.Run("an absurd query", func(t *testing.T) { // Caddy's own limit on a request's head comes first
		if got := harness.Get(t, url+"?"+strings.Repeat("a=b&", 30000)); got.Status != 431 {
			t.Errorf("got %d, want 431", got.Status)
		}
	})
	if calls := api.Ledger().Since(before); len(calls) != 0 {
		t.Errorf("the provider was called %d times", len(calls))
	}
}

func manyParameters(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "p%d&", i)
	}
	return b.String()
}

// A path segment that leads elsewhere is refused before the API is called.
// `a/../b` and `../admin/users` once went out as one encoded segment, which a
// proxy that decodes %2F turns into another path.
func TestPathSegments(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: `
	api /ivr/customer customer {
		to {API}/open/customer
		method GET
		token crm
		path ` + "`[.id]`" + `
		output ` + "`{nick: .data.nick}`" + `
		default ` + "`{nick: \"\"}`" + `
	}`})
	asked := func(query string) bool {
		before := len(api.Ledger().Kind(provider.API))
		harness.Get(t, caddy.URL("/ivr/customer?"+query))
		return len(api.Ledger().Kind(provider.API)) > before
	}
	for _, query := range []string{
		"", "id=%20", "id=.", "id=..", "id=a/../b", "id=../admin/users", `id=..%5Cadmin`, "id=..%00/admin", "id=..;/admin",
		"id=%252e%252e", "id=..%252fadmin", "id=..%25252fadmin", "id=%25u002e%25u002e",
	} {
		if asked(query) {
			t.Errorf("?%s reached the API", query)
		}
	}
	for _, query := range []string{"id=C1001", "id=a/b", "id=v1.2", "id=100%25"} {
		if !asked(query) {
			t.Errorf("?%s didn't reach the API", query)
		}
	}
}

// The filter can't be bypassed: what the API answers compressed, or in part, is
// never passed on as it is.
func TestTheFilterHolds(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{})
	for _, header := range []http.Header{
		{"Accept-Encoding": {"gzip"}},
		{"Accept-Encoding": {"br"}},
		{"Accept-Encoding": {"zstd"}},
		{"Range": {"bytes=0-9"}},
		{"If-None-Match": {"*"}},
		{"If-Range": {`"x"`}, "Range": {"bytes=0-1"}},
		{"Connection": {"Authorization"}},
		{"Te": {"trailers"}},
	} {
		req := harness.Request(t, http.MethodGet, caddy.URL("/ivr/order?tel=13800138000"), "", "")
		req.Header = header
		if got := harness.Do(t, req); got.Status != 200 || got.Body != known {
			t.Errorf("%v: got %d %q, want the shaped answer", header, got.Status, got.Body)
		}
	}
}

// On the wire, an answer has one Content-Length and nothing of the API's headers.
func TestAnswersOnTheWire(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{})
	harness.Get(t, caddy.URL("/ivr/order?tel=13800138000"))
	api.Expire() // so that there is a first try with cookies and a challenge to forget
	for _, method := range []string{"GET", "HEAD", "POST"} {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", caddy.Port))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "%s /ivr/order?tel=13800138000 HTTP/1.1\r\nHost: localhost:%d\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", method, caddy.Port)
		seen := map[string]int{}
		lines := bufio.NewScanner(conn)
		for lines.Scan() && lines.Text() != "" {
			name, _, _ := strings.Cut(lines.Text(), ":")
			seen[strings.ToLower(name)]++
		}
		conn.Close()
		if seen["content-length"] != 1 || seen["http/1.1 200 ok"] != 1 {
			t.Errorf("%s: headers %v, want 200 with one Content-Length", method, seen)
		}
		for _, name := range []string{"set-cookie", "www-authenticate", "etag", "last-modified", "accept-ranges", "via", "transfer-encoding", "content-encoding"} {
			if seen[name] != 0 {
				t.Errorf("%s: the answer has %s", method, name)
			}
		}
	}
}
