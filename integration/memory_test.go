package integration

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
)

const (
	crowd     = 160       // hostile requests, or answers, at once
	maxMemory = 300 << 20 // of the process, whatever is sent
	// slack is what an answer may come later than its budget on a busy machine.
	slack = 1500 * time.Millisecond
)

// hostile are objects of a little less than n bytes that take much more once they
// are decoded. Each has a member name.
func hostile(n int) map[string]string {
	list := func(element string) string {
		room := n - len(`{"name":"x","z":[]}`)
		return `{"name":"x","z":[` + strings.TrimSuffix(strings.Repeat(element+",", room/(len(element)+1)), ",") + `]}`
	}
	nested := func(depth int) string {
		return list(strings.Repeat(`{"":`, depth) + "0" + strings.Repeat("}", depth))
	}
	return map[string]string{
		"objects in objects":    list(`{"a":{"b":{"c":0}}}`),
		"objects without names": nested(40),
		"empty arrays":          list(`[]`),
		"empty objects":         list(`{}`),
		"objects of one":        list(`{"a":0}`),
		"numbers":               list(`0`),
		"empty strings":         list(`""`),
		"a long string":         list(`"` + strings.Repeat("a", n-30) + `"`),
		"a long escaped string": list(`"` + strings.Repeat(`\n`, n/2-20) + `"`),
		"rows":                  list(`{"id":12345,"name":"Zhang Wei","tel":"+8613800138000","tags":["a","b"],"balance":1234.50}`),
	}
}

// atOnce sends n requests at once, and returns the answers and what the slowest took.
func atOnce(t *testing.T, n int, request func() *http.Request) (answers []harness.Answer, slowest time.Duration) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			req := request()
			got, err := harness.Try(req)
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
				return // refused before it was sent: the client was still writing when the connection closed
			}
			if err != nil {
				t.Errorf("no answer: %v", err)
				return
			}
			// what it took, as this process and its API have to share the machine
			_, total, _ := strings.Cut(got.Header.Get("Server-Timing"), "total;dur=")
			took, err := strconv.ParseFloat(total, 64)
			if err != nil {
				t.Errorf("no time in %v", got.Header)
			}
			slowest = max(slowest, time.Duration(took*float64(time.Millisecond)))
			answers = append(answers, got)
		})
	}
	wg.Wait()
	harness.CloseIdle()
	if len(answers) < n/2 {
		t.Errorf("only %d of %d requests were answered", len(answers), n)
	}
	return answers, slowest
}

// counted is how many answers there were of each status and outcome.
func counted(answers []harness.Answer) map[string]int {
	found := make(map[string]int)
	for _, a := range answers {
		_, details, _ := strings.Cut(a.Header.Get("Proxy-Status"), "details=")
		found[strconv.Itoa(a.Status)+" "+strings.Trim(details, `"`)]++
	}
	return found
}

func checkMemory(t *testing.T, caddy *harness.Caddy) {
	t.Helper()
	now, peak, err := caddy.RSS()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("memory: %d MiB, at most %d MiB", now>>20, peak>>20)
	if peak > maxMemory {
		t.Errorf("it took %d MiB of memory, want at most %d", peak>>20, maxMemory>>20)
	}
}

const memorySite = `{
	admin {ADMIN}
	grace_period 5s
}
http://localhost:{PORT} {
	bind 127.0.0.1
	api /ivr/order order {
		to {API}/order
		method GET
		query ` + "`{tel: .tel}`" + `
		output ` + "`{name: .name, size: (.z | length)}`" + `
		default ` + "`{name: \"\", size: 0}`" + `
		budget {BUDGET}
		breaker 50% 10 10s
		{MORE}
	}
	api /ivr/whole whole {
		to {API}/order
		method GET
		default ` + "`{name: \"\"}`" + `
		budget {BUDGET}
		breaker 50% 10 10s
		{MORE}
	}
	customer_lookup /customer {
		auth none
		budget 1s
	}
}
`

// startMemory runs a Caddy before an API that answers with what answer gives.
func startMemory(t *testing.T, more, budget string, answer http.HandlerFunc) *harness.Caddy {
	t.Helper()
	api := httptest.NewServer(answer)
	t.Cleanup(api.Close)
	return harness.Start(t, harness.Config{Caddyfile: strings.NewReplacer("{API}", api.URL, "{MORE}", more, "{BUDGET}", budget).Replace(memorySite)})
}

// 160 bodies of 1 MiB took 8.5 GB and 32 s.
func TestHostileBodies(t *testing.T) {
	for _, tc := range []struct {
		name, path string
		budget     time.Duration
	}{
		{"an api", "/ivr/order", 2 * time.Second},
		{"a lookup", "/customer", time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			caddy := startMemory(t, "", "2s", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"name":"x","z":[]}`)) })
			for shape, body := range hostile(1 << 20) {
				answers, slowest := atOnce(t, crowd, func() *http.Request {
					return harness.Request(t, http.MethodPost, caddy.URL(tc.path), "application/json", body)
				})
				t.Logf("%s: %v after at most %v", shape, counted(answers), slowest)
				for outcome, n := range counted(answers) {
					switch outcome {
					case "413 bad_request", "503 bad_request", "408 bad_request":
					case "200 timeout": // the body was taken, when the budget was nearly over
						if tc.path == "/customer" || n > crowd/10 {
							t.Errorf("%s: %d calls took too long", shape, n)
						}
					case "200 ok":
						if tc.path == "/customer" {
							t.Errorf("%s: a lookup has taken %d bodies of 1 MiB", shape, n)
						}
					default:
						t.Errorf("%s: %d answers are %s", shape, n, outcome)
					}
				}
				if slowest > tc.budget+slack {
					t.Errorf("%s: an answer took %v of a budget of %v", shape, slowest, tc.budget)
				}
			}
			checkMemory(t, caddy)
			// whoever asks for something sensible is answered as before
			if got := harness.Get(t, caddy.URL("/ivr/order?tel=138")); got.Body != `{"_status":"ok","name":"x","size":0}` {
				t.Errorf("later: %d %s", got.Status, got.Body)
			}
		})
	}
}

// Of many answers that take much memory, each is used, or its call ends in time;
// and whatever becomes of them, the API is well.
func TestHostileAnswers(t *testing.T) {
	for _, path := range []string{"/ivr/order", "/ivr/whole"} {
		t.Run(path, func(t *testing.T) {
			var mu sync.Mutex
			var body string
			caddy := startMemory(t, "", "2s", func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				text := body
				mu.Unlock()
				w.Header().Set("Content-Type", "application/json")
				if r.URL.Query().Get("tel") == "1" {
					w.Header().Set("Content-Length", strconv.Itoa(len(text)))
				}
				_, _ = w.Write([]byte(text))
			})
			for shape, text := range hostile(1 << 20) {
				mu.Lock()
				body = text
				mu.Unlock()
				i := 0
				answers, slowest := atOnce(t, crowd, func() *http.Request {
					mu.Lock()
					defer mu.Unlock()
					i++
					return harness.Request(t, http.MethodGet, caddy.URL(fmt.Sprintf("%s?tel=%d", path, i%2)), "", "")
				})
				t.Logf("%s: %v after at most %v", shape, counted(answers), slowest)
				for outcome, n := range counted(answers) {
					switch outcome {
					case "200 ok", "200 timeout", "200 too_large":
					default: // breaker_open, above all
						t.Errorf("%s: %d answers are %s", shape, n, outcome)
					}
				}
				if slowest > 2*time.Second+slack {
					t.Errorf("%s: an answer took %v of a budget of 2s", shape, slowest)
				}
			}
			checkMemory(t, caddy)
		})
	}
}

// `max_size 32MiB` was documented, and an answer of 11 MiB was too_large.
func TestLargeAnswers(t *testing.T) {
	row := `{"id":12345,"name":"Zhang Wei","email":"zhang.wei@example.com","tel":"+8613800138000","vip":true,"note":null,"city":"Shanghai","street":"Nanjing Road 1, building 7, room 1201"}`
	text := `{"name":"x","z":[` + strings.TrimSuffix(strings.Repeat(row+",", 11<<20/len(row)), ",") + `]}`
	caddy := startMemory(t, "max_size 32MiB", "20s", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Query().Get("tel") == "announced" {
			w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		}
		_, _ = w.Write([]byte(text))
	})
	want := fmt.Sprintf(`{"_status":"ok","name":"x","size":%d}`, strings.Count(text, "id"))
	for _, tel := range []string{"announced", "in parts"} {
		got := harness.Get(t, caddy.URL("/ivr/order?tel="+strings.ReplaceAll(tel, " ", "+")))
		if got.Body != want {
			t.Errorf("%s: %d %s, want %s", tel, got.Status, got.Body, want)
		}
	}
	checkMemory(t, caddy)
}

// Caddy takes 16 KiB of a request's headers, unless max_header_size says otherwise. All
// that is beyond is refused before a handler, or $request, sees it.
func TestHostileHeaders(t *testing.T) {
	caddy := startMemory(t, "headers `{\"X-Seen\": ($request.headers | length | tostring)}`", "2s", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"name":"x","z":[]}`))
	})
	for name, header := range map[string]http.Header{
		"one, many times": {"X-A": slices.Repeat([]string{"a"}, 80_000)},
		"no UTF-8":        {"X-A": {strings.Repeat("\xffa", 400<<10)}},
	} {
		var wg sync.WaitGroup
		for range crowd {
			wg.Go(func() {
				req := harness.Request(t, http.MethodGet, caddy.URL("/ivr/order?tel=1"), "", "")
				req.Header = header
				// an error is a connection that was closed while it was still sent
				if got, err := harness.Try(req); err == nil && got.Status != http.StatusRequestHeaderFieldsTooLarge {
					t.Errorf("%s: %d %s", name, got.Status, got.Body)
				}
			})
		}
		wg.Wait()
	}
	harness.CloseIdle()
	checkMemory(t, caddy)
	if got := harness.Get(t, caddy.URL("/ivr/order?tel=138")); got.Body != `{"_status":"ok","name":"x","size":0}` {
		t.Errorf("later: %d %s", got.Status, got.Body)
	}
}
