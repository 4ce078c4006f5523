package integration

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/provider"
)

// healthy is an API that does what most web servers do: it reads what it gets,
// answers at once, repeats a TRACE, and knows no strange methods.
func healthy(t *testing.T) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			return
		}
		switch r.Method {
		case http.MethodTrace, "TRACK":
			_ = r.Write(w)
		case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
			w.Header().Set("Content-Type", "application/json")
			if r.URL.Path == "/slow" {
				<-r.Context().Done()
				return
			}
			_, _ = fmt.Fprintf(w, `{"bytes":%d,"authorization":%q,"uri":%q,"key":%q}`, n, r.Header.Get("Authorization"), r.RequestURI, r.Header.Get("X-Ivr"))
		default:
			w.WriteHeader(http.StatusNotImplemented)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// raw sends bytes on a connection of its own, then does what end says, and
// returns the first line of the answer; "" for none.
func raw(t *testing.T, caddy *harness.Caddy, text string, end func(*net.TCPConn)) string {
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", caddy.Port))
	if err != nil {
		t.Error(err)
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.WriteString(conn, text)
	if end != nil {
		end(conn.(*net.TCPConn))
	}
	line, _ := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line)
}

func hangsUp(conn *net.TCPConn) { _ = conn.CloseWrite() }

func resets(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}

const hostileSite = `
	api /ivr/call call {
		to {URL}/call
		method GET
		token crm
		auth none
		query ` + "`{tel: .tel}`" + `
		headers X-Name {query.name}
		output ` + "`{bytes: .bytes}`" + `
		default ` + "`{bytes: 0}`" + `
		breaker 50% 10 10s
		budget 1s
	}
	api /ivr/program program {
		to {URL}/call
		method GET
		token crm
		auth none
		headers ` + "`{\"X-Name\": .name}`" + `
		output ` + "`{bytes: .bytes}`" + `
		default ` + "`{bytes: 0}`" + `
		breaker 50% 10 10s
		budget 1s
	}
	api /ivr/nested nested {
		to {URL}/call
		method GET
		token crm
		auth none
		output ` + "`{bytes: .bytes}`" + `
		default ` + "`{bytes: 0}`" + `
		breaker 50% 10 10s
		budget 1s
		reverse_proxy {
			header_up X-Name {query.name}
		}
	}
	api side {
		to {URL}
		token crm
		auth none
		breaker 50% 10 10s
		budget 1s
	}`

// Whatever a caller does, 25 times over, a healthy API is not blamed for it: its
// breaker stays closed, it isn't degraded, and no answer counts as unhealthy.
func TestHostileCallers(t *testing.T) {
	api := startProvider(t, provider.Options{})
	site := strings.ReplaceAll(hostileSite, "{URL}", healthy(t))
	caddy := start(t, api, setup{global: "metrics", site: site})
	metrics := func() string { return harness.Get(t, "http://"+caddy.Admin+"/metrics").Body }
	for _, tc := range []struct {
		name, api string
		send      string // to the site, as it stands
		end       func(*net.TCPConn)
		want      string // in the first line of the answer; "" for whatever it is
	}{
		{"TRACE to a sidecar", "side", "TRACE /x HTTP/1.1\r\nHost: H\r\n\r\n", nil, " 405 "},
		{"TRACK to a sidecar", "side", "TRACK /x HTTP/1.1\r\nHost: H\r\n\r\n", nil, " 405 "},
		{"CONNECT to a sidecar", "side", "CONNECT H HTTP/1.1\r\nHost: H\r\n\r\n", nil, " 405 "},
		{"OPTIONS to a sidecar", "side", "OPTIONS /x HTTP/1.1\r\nHost: H\r\n\r\n", nil, " 501 "},
		{"a strange method", "side", "BREW /x HTTP/1.1\r\nHost: H\r\n\r\n", nil, " 501 "},
		{"TRACE to a call", "call", "TRACE /ivr/call HTTP/1.1\r\nHost: H\r\n\r\n", nil, " 405 "},
		{"OPTIONS to a call", "call", "OPTIONS /ivr/call HTTP/1.1\r\nHost: H\r\n\r\n", nil, " 405 "},
		{"a strange method to a call", "call", "BREW /ivr/call HTTP/1.1\r\nHost: H\r\n\r\n", nil, " 405 "},
		{"half an upload, then a hang-up", "side", "POST /x HTTP/1.1\r\nHost: H\r\nContent-Length: 1000\r\n\r\nhalf", hangsUp, " 4"},
		{"half an upload, then a reset", "side", "POST /x HTTP/1.1\r\nHost: H\r\nContent-Length: 1000\r\n\r\nhalf", resets, ""},
		{"half a chunked upload", "side", "POST /x HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", hangsUp, " 4"},
		{"broken chunks", "side", "POST /x HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n", nil, " 400 "},
		{"an upload that stalls", "side", "POST /x HTTP/1.1\r\nHost: H\r\nContent-Length: 1000\r\n\r\nhalf", nil, " 408 "},
		{"an upload that never begins", "side", "POST /x HTTP/1.1\r\nHost: H\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n", nil, ""},
		{"a hang-up while the API works", "side", "GET /slow HTTP/1.1\r\nHost: H\r\n\r\n", resets, ""},
		{"a stalled body to a call", "call", "POST /ivr/call HTTP/1.1\r\nHost: H\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", nil, " 408 "},
		{"half a body to a call", "call", "POST /ivr/call HTTP/1.1\r\nHost: H\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", hangsUp, " 4"},
		{"a control character in a placeholder", "call", "GET /ivr/call?tel=1&name=%01 HTTP/1.1\r\nHost: H\r\n\r\n", nil, " 200 "},
		{"a line break in a placeholder", "call", "GET /ivr/call?tel=1&name=a%0d%0aX:%20b HTTP/1.1\r\nHost: H\r\n\r\n", nil, " 200 "},
		{"a control character in a program", "program", "GET /ivr/program?name=%01 HTTP/1.1\r\nHost: H\r\n\r\n", nil, ""},
		{"a control character in header_up", "nested", "GET /ivr/nested?name=%01 HTTP/1.1\r\nHost: H\r\n\r\n", nil, " 400 "},
		{"an upgrade to nothing", "side", "GET /x HTTP/1.1\r\nHost: H\r\nConnection: Upgrade\r\nUpgrade: nothing\r\n\r\n", nil, " 200 "},
		{"a huge header", "side", "GET /x HTTP/1.1\r\nHost: H\r\nX-Huge: " + strings.Repeat("x", 500<<10) + "\r\n\r\n", nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var all sync.WaitGroup
			for range 25 {
				all.Go(func() {
					text := strings.NewReplacer(": H\r\n", fmt.Sprintf(": localhost:%d\r\n", caddy.Port), " H HTTP", fmt.Sprintf(" localhost:%d HTTP", caddy.Port)).Replace(tc.send)
					if got := raw(t, caddy, text, tc.end); !strings.Contains(got, tc.want) {
						t.Errorf("got %q, want %q", got, tc.want)
					}
				})
			}
			all.Wait()
			if tc.end != nil { // the calls may still be under way
				harness.Eventually(t, 10*time.Second, "the calls to end", func() bool {
					return !strings.Contains(harness.Get(t, "http://"+caddy.Admin+"/debug/pprof/goroutine?debug=2").Body, "handlers/api.(*API).ServeHTTP")
				})
			}
			text := metrics()
			if !strings.Contains(text, fmt.Sprintf("switchboard_breaker_state{api=%q} 0", tc.api)) || !strings.Contains(text, fmt.Sprintf("switchboard_api_degraded{api=%q} 0", tc.api)) {
				t.Errorf("the API is blamed:\n%s", ours(text))
			}
			for line := range strings.Lines(text) {
				if strings.HasPrefix(line, "switchboard_unhealthy_total{") && !strings.HasSuffix(line, " 0\n") {
					t.Error(line)
				}
			}
		})
	}
	for path, want := range map[string]string{
		"/x": `"bytes":0`, "/ivr/call?tel=1&name=a": `"ok"`, "/ivr/program?name=a": `"ok"`, "/ivr/nested?name=a": `"ok"`,
	} {
		if got := harness.Get(t, caddy.URL(path)); got.Status != 200 || !strings.Contains(got.Body, want) {
			t.Errorf("%s: %d %s", path, got.Status, got.Body)
		}
	}
}

// An API answers TRACE with the request that it got; the caller once read our
// token in it. What is refused has the headers that HTTP wants, and the API isn't
// asked.
func TestNoMethodShowsTheToken(t *testing.T) {
	api := startProvider(t, provider.Options{})
	url := healthy(t)
	caddy := start(t, api, setup{site: strings.ReplaceAll(`
	api /ivr/call call {
		to {URL}/call
		token crm
		auth key {env.IVR_KEY}
	}
	handle /proxy {
		reverse_proxy {URL} {
			transport switchboard {
				token crm
			}
		}
	}
	api side {
		to {URL}
		token crm
		auth key {env.IVR_KEY}
	}`, "{URL}", url), env: []string{"IVR_KEY=open"}})
	for _, tc := range []struct {
		method, path, key string
		status            int
		allow             string
	}{
		{"TRACE", "/x", "open", 405, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"},
		{"TRACE", "/x", "wrong", 401, ""},
		{"TRACE", "/proxy", "", 405, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"},
		{"TRACK", "/proxy", "", 405, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"},
		{"OPTIONS", "/ivr/call", "open", 405, "GET, HEAD, POST, PUT, PATCH, DELETE"},
		{"OPTIONS", "/ivr/call", "wrong", 401, ""},
		{"OPTIONS", "/x", "open", 501, ""},
		{"GET", "/proxy", "", 200, ""},
	} {
		t.Run(tc.method+tc.path+tc.key, func(t *testing.T) {
			req := harness.Request(t, tc.method, caddy.URL(tc.path), "", "")
			req.Header.Set("X-Api-Key", tc.key)
			got := harness.Do(t, req)
			if got.Status != tc.status || got.Header.Get("Allow") != tc.allow {
				t.Errorf("got %d %v %s", got.Status, got.Header, got.Body)
			}
			if tc.status == 405 && (!strings.Contains(got.Body, `"outcome":"bad_request"`) || strings.Contains(got.Body, "Bearer")) {
				t.Errorf("got %s", got.Body)
			}
		})
	}
}

// An upload takes the time that its caller needs; the budget is the API's.
func TestASlowUpload(t *testing.T) {
	api := startProvider(t, provider.Options{})
	caddy := start(t, api, setup{site: strings.Replace(sidecar, "auth none", "auth none\n\t\tbudget 500ms", 1)})
	harness.Get(t, caddy.URL("/echo"))
	from, to := io.Pipe()
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for range 20 {
			<-tick.C
			_, _ = to.Write(make([]byte, 25_000))
		}
		_ = to.Close()
	}()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, caddy.URL("/upload"), from)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if got := harness.Do(t, req); got.Status != 200 || !strings.Contains(got.Body, "500000") {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
	if took := time.Since(begin); took < 2*time.Second {
		t.Errorf("it took %v, which shows nothing", took)
	}
	// the API's own time has the budget as before
	inject(t, api, provider.Fault{Target: provider.API, Fault: "hang"})
	begin = time.Now()
	if got := harness.Do(t, harness.Request(t, "POST", caddy.URL("/upload"), "text/plain", "hello")); got.Status != 504 {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
	if took := time.Since(begin); took > 1500*time.Millisecond {
		t.Errorf("it took %v", took)
	}
}

// Why an API can't be reached is in the log, in the words of an operator.
func TestCausesOfUnreachable(t *testing.T) {
	api := startProvider(t, provider.Options{})
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	plain := healthy(t)
	closed := fmt.Sprintf("http://127.0.0.1:%d", harness.FreePort(t))
	fat := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 300 {
			w.Header().Add("X-Filler", strings.Repeat("x", 1<<10))
		}
	}))
	defer fat.Close()
	for _, tc := range []struct{ name, to, outcome, reason string }{
		{"nobody listens", closed, "unreachable", "can't connect: connection refused"},
		{"no such host", "http://nobody.invalid", "unreachable", "the host's name can't be resolved"},
		{"an unknown authority", secure.URL, "unreachable", "the certificate is not trusted: it is signed by an unknown authority"},
		{"https to a plain port", strings.Replace(plain, "http:", "https:", 1), "unreachable", "this port does not speak TLS"},
		{"http to a TLS port", strings.Replace(secure.URL, "https:", "http:", 1), "unreachable", "this port speaks TLS; write https"},
		{"too many headers", fat.URL, "too_large", "max_header"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			caddy := start(t, api, setup{site: strings.ReplaceAll(`
	api /ivr/call call {
		to {URL}/call
		default `+"`{bytes: 0}`"+`
	}
	api side {
		to {URL}
	}`, "{URL}", tc.to)})
			if got := harness.Get(t, caddy.URL("/ivr/call?call_id=c1")); got.Status != 200 || got.Body != `{"_status":"`+tc.outcome+`","bytes":0}` {
				t.Errorf("got %d %s", got.Status, got.Body)
			}
			if got := harness.Get(t, caddy.URL("/other")); got.Status != 502 || !strings.Contains(got.Body, tc.outcome) {
				t.Errorf("a sidecar: got %d %s", got.Status, got.Body)
			}
			harness.Eventually(t, 5*time.Second, "the cause in the log", func() bool {
				for line := range strings.Lines(caddy.Logs.String()) {
					if strings.Contains(line, `"call_id":"c1"`) || strings.Contains(line, `"call_id": "c1"`) {
						return strings.Contains(line, tc.reason) && !strings.Contains(line, "127.0.0.1") && !strings.Contains(line, "invalid")
					}
				}
				return false
			})
		})
	}
}

// 60 answers with 10 MB of headers at once cost a moderate amount of memory:
// net/http's own limit let them take 2.5 GB.
func TestHugeHeadersAtOnce(t *testing.T) {
	api := startProvider(t, provider.Options{})
	answer := "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Filler: "+strings.Repeat("x", 1000)+"\r\n", 10_000) + "Content-Length: 2\r\n\r\n{}"
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
					return
				}
				_, _ = io.WriteString(conn, answer)
			}()
		}
	}()
	caddy := start(t, api, setup{site: fmt.Sprintf(`
	api /ivr/call call {
		to http://%s/call
		default `+"`{bytes: 0}`"+`
		budget 10s
	}`, ln.Addr())})
	harness.Get(t, caddy.URL("/ivr/call"))
	before, _, err := caddy.RSS()
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 60 {
		all.Go(func() {
			got, err := harness.Try(harness.Request(t, "GET", caddy.URL("/ivr/call"), "", ""))
			if err != nil || got.Body != `{"_status":"too_large","bytes":0}` {
				t.Errorf("got %d %s, %v", got.Status, got.Body, err)
			}
		})
	}
	all.Wait()
	_, peak, err := caddy.RSS()
	if err != nil {
		t.Fatal(err)
	}
	if grown := peak - before; grown > 60<<20 {
		t.Errorf("60 answers added %d MiB, want at most 1 MiB each", grown>>20)
	}
}

// A caller who takes most of the budget to send a request leaves the API too
// little time. That once opened its breaker for everybody.
func TestASlowCaller(t *testing.T) {
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(600 * time.Millisecond):
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"name":"Ann"}`)
		}
	}))
	t.Cleanup(slow.Close)
	caddy := harness.Start(t, harness.Config{Caddyfile: "{\n admin {ADMIN}\n}\nhttp://localhost:{PORT} {\n bind 127.0.0.1\n" +
		"api /slow slow {\n to " + slow.URL + "/x\n method GET\n output `{name: .name}`\n default `{name: \"\"}`\n budget 1s\n breaker 50% 3 10s\n}\n}\n"})
	for range 4 {
		body, send := io.Pipe()
		go func() {
			_, _ = io.WriteString(send, "a=")
			<-time.After(700 * time.Millisecond) // most of the budget
			_, _ = io.WriteString(send, "b")
			_ = send.Close()
		}()
		req := harness.Request(t, "POST", caddy.URL("/slow"), "application/x-www-form-urlencoded", "")
		req.Body, req.ContentLength = body, 3
		if got := harness.Do(t, req); !strings.Contains(got.Body, `"timeout"`) {
			t.Errorf("a slow caller gets %d %s", got.Status, got.Body)
		}
	}
	if got := harness.Get(t, caddy.URL("/slow")); got.Body != `{"_status":"ok","name":"Ann"}` {
		t.Errorf("another caller gets %d %s", got.Status, got.Body)
	}
	if got := harness.Get(t, "http://"+caddy.Admin+"/switchboard/apis/slow").Body; !strings.Contains(got, `"breaker":"closed"`) || !strings.Contains(got, `"degraded":false`) {
		t.Errorf("the api stands so: %s", got)
	}
}
