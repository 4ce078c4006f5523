package provider_test

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/switchboard-ivr/switchboard/integration/provider"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
)

// start is a listening server that ends with the test.
func start(t *testing.T, o provider.Options) *provider.Server {
	t.Helper()
	s := provider.New(o)
	if err := s.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// client has its own connections, closed with the test.
func client(t *testing.T) *http.Client {
	t.Helper()
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{
		Transport:     tr,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// send makes a request over the network.
func send(t *testing.T, method, url, contentType, body string) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return client(t).Do(r)
}

// get makes a request over the network and reads the answer to its end.
func get(t *testing.T, url string) reply {
	t.Helper()
	resp, err := send(t, http.MethodGet, url, "", "")
	if err != nil {
		t.Fatal(err)
	}
	body, err := read(t, resp)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, body, resp.Trailer}
}

// reply is an answer, read to its end.
type reply struct {
	status  int
	header  http.Header
	body    string
	trailer http.Header
}

// at is the value at a dotted path of the JSON body, "" if there is none.
func (r reply) at(t *testing.T, path string) string {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(r.body))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("answer %q: %v", r.body, err)
	}
	for name := range strings.SplitSeq(path, ".") {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// serve answers a request without a network, as an http.Handler would.
func serve(t *testing.T, s http.Handler, r *http.Request) reply {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return reply{w.Code, w.Header(), w.Body.String(), nil}
}

func post(t *testing.T, target, contentType, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

// bare is a request without a body.
func bare(t *testing.T, method, target string) *http.Request {
	t.Helper()
	return httptest.NewRequestWithContext(t.Context(), method, target, http.NoBody)
}

// withToken is a GET with the token where it belongs.
func withToken(t *testing.T, target, token string) *http.Request {
	t.Helper()
	r := bare(t, http.MethodGet, target)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

func sign(key, timestamp, secret string) string {
	sum := md5.Sum([]byte(key + timestamp + secret))
	return hex.EncodeToString(sum[:])
}

// signed are the parameters of a good sign-in.
func signed(at time.Time) url.Values {
	ts := millis(at)
	return url.Values{"app_key": {"demo-app"}, "timestamp": {ts}, "sign": {sign("demo-app", ts, "demo-secret")}}
}

func asJSON(v url.Values) string {
	return fmt.Sprintf(`{"app_key":%q,"timestamp":%s,"sign":%q}`, v.Get("app_key"), v.Get("timestamp"), v.Get("sign"))
}

// signIn gives an access token and a refresh token.
func signIn(t *testing.T, s http.Handler) (access, refresh string) {
	t.Helper()
	r := serve(t, s, post(t, "/token/get", jsonType, asJSON(signed(time.Now()))))
	access, refresh = r.at(t, "data.access_token"), r.at(t, "data.refresh_token")
	if access == "" || refresh == "" {
		t.Fatalf("signing in: %s", r.body)
	}
	return access, refresh
}

func renew(t *testing.T, s http.Handler, refresh string) reply {
	t.Helper()
	return serve(t, s, post(t, "/token/refresh", jsonType, fmt.Sprintf(`{"refresh_token":%q}`, refresh)))
}

// query asks for an order and says how that ended.
func query(t *testing.T, s *provider.Server, token string) string {
	t.Helper()
	serve(t, s, withToken(t, "/open/order/query?tel=13800138000", token))
	entries := s.Ledger()
	return entries[len(entries)-1].Outcome
}

func last(s *provider.Server) provider.Entry {
	entries := s.Ledger()
	return entries[len(entries)-1]
}

func inject(t *testing.T, s *provider.Server, faults ...provider.Fault) {
	t.Helper()
	if err := s.Inject(faults...); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, resp *http.Response) (string, error) {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}
