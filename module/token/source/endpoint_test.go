package source

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// trip is a token endpoint in memory.
type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// says is an endpoint that always gives the same answer.
func says(status int, body string) trip {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: status,
			Header:     http.Header{"Content-Type": {"application/json"}, "Date": {"Sun, 01 Mar 2026 12:00:00 GMT"}},
			Body:       io.NopCloser(strings.NewReader(body)),
		}, nil
	}
}

// provision loads a source from the body of a `token` block.
func provision(t *testing.T, body string) *Source {
	t.Helper()
	s := mustParse(t, body)
	if err := load(t, s); err != nil {
		t.Fatal(err)
	}
	return s
}

func contextOf(t *testing.T) caddy.Context {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	return ctx
}

func load(t *testing.T, s *Source) error {
	t.Helper()
	return s.Provision(contextOf(t), "crm")
}

// endpointOf loads a source whose endpoint is rt.
func endpointOf(t *testing.T, body string, rt http.RoundTripper) *Endpoint {
	t.Helper()
	s := provision(t, body)
	s.roundTripper = rt
	return s.Endpoint()
}

// sent is a request as the endpoint saw it.
type sent struct {
	method, url, host, body string
	header                  http.Header
}

// recorder notes requests and gives an answer.
type recorder struct {
	requests []sent
	answer   string
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	s := sent{method: req.Method, url: req.URL.String(), host: req.Host, header: req.Header}
	if req.Body != nil {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		s.body = string(body)
	}
	r.requests = append(r.requests, s)
	return says(200, r.answer)(req)
}

func (r *recorder) last(t *testing.T) sent {
	t.Helper()
	if len(r.requests) == 0 {
		t.Fatal("nothing was sent")
	}
	return r.requests[len(r.requests)-1]
}

const signedSource = `credential app_key ak
	credential app_secret sk
	obtain https://crm.example.com/token/get
	refresh https://crm.example.com/token/refresh`

// skewTo is the skew with which $timestamp is the given time.
func skewTo(ms int64) time.Duration { return time.Until(time.UnixMilli(ms)) }

func TestSigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{answer: `{"code":"000000","data":{"access_token":"a1","refresh_token":"r1"}}`}
		e := endpointOf(t, signedSource, r)
		if !e.CanObtain() || !e.CanRefresh() {
			t.Fatal("it can both sign in and renew")
		}
		grant, err := e.Obtain(t.Context(), token.Params{Skew: skewTo(1700000000000)})
		if err != nil {
			t.Fatal(err)
		}
		if grant.Access != "a1" || grant.Refresh != "r1" || grant.Lifetime != 0 || !grant.Expires.IsZero() || grant.Keep != nil {
			t.Errorf("got %+v", grant)
		}
		got := r.last(t)
		// printf ak1700000000000sk | openssl md5
		const sign = "0e7c879e39019626cd0790d98814a28c"
		sum := md5.Sum([]byte("ak" + "1700000000000" + "sk"))
		if hex.EncodeToString(sum[:]) != sign {
			t.Fatalf("the constant is wrong: %x", sum)
		}
		if want := `{"app_key":"ak","sign":"` + sign + `","timestamp":1700000000000}`; got.body != want {
			t.Errorf("sent %s, want %s", got.body, want)
		}
		if got.method != "POST" || got.url != "https://crm.example.com/token/get" || got.host != "crm.example.com" {
			t.Errorf("sent %s %s to %s", got.method, got.url, got.host)
		}
		for name, want := range map[string]string{
			"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "switchboard",
			"Accept-Encoding": "identity", "Referer": "", "Authorization": "",
		} {
			if have := got.header.Get(name); have != want {
				t.Errorf("%s is %q, want %q", name, have, want)
			}
		}

		r.answer = `{"code":"000000","data":{"access_token":"a2","refresh_token":"r2","expires_in":"7200"}}`
		grant, err = e.Refresh(t.Context(), token.Params{Access: "a1", Refresh: "r1"})
		if err != nil {
			t.Fatal(err)
		}
		if grant.Access != "a2" || grant.Refresh != "r2" || grant.Lifetime != 2*time.Hour {
			t.Errorf("got %+v", grant)
		}
		if got := r.last(t); got.body != `{"refresh_token":"r1"}` || got.url != "https://crm.example.com/token/refresh" {
			t.Errorf("sent %s to %s", got.body, got.url)
		}
	})
}

func TestOAuth2(t *testing.T) {
	r := &recorder{answer: `{"access_token":"a","token_type":"Bearer","expires_in":3600.0}`}
	const clients = "credential client_id \"my client\"\ncredential client_secret \"s&cret/\"\nobtain https://auth.example.com/token\nrefresh https://auth.example.com/token\n"

	t.Run("in the body", func(t *testing.T) {
		e := endpointOf(t, "dialect oauth2\n"+clients, r)
		grant, err := e.Obtain(t.Context(), token.Params{})
		if err != nil {
			t.Fatal(err)
		}
		if grant.Access != "a" || grant.Refresh != "" || grant.Lifetime != time.Hour {
			t.Errorf("got %+v", grant)
		}
		got := r.last(t)
		if want := "client_id=my+client&client_secret=s%26cret%2F&grant_type=client_credentials"; got.body != want {
			t.Errorf("sent %s, want %s", got.body, want)
		}
		if got.header.Get("Content-Type") != "application/x-www-form-urlencoded" || got.header.Get("Authorization") != "" {
			t.Errorf("headers %v", got.header)
		}
	})
	t.Run("scope and audience", func(t *testing.T) {
		e := endpointOf(t, "dialect oauth2\ncredential scope \"a b\"\ncredential audience https://api.example.com\n"+clients, r)
		if _, err := e.Obtain(t.Context(), token.Params{}); err != nil {
			t.Fatal(err)
		}
		if want := "audience=https%3A%2F%2Fapi.example.com&client_id=my+client&client_secret=s%26cret%2F&grant_type=client_credentials&scope=a+b"; r.last(t).body != want {
			t.Errorf("sent %s", r.last(t).body)
		}
	})
	t.Run("refresh", func(t *testing.T) {
		e := endpointOf(t, "dialect oauth2\n"+clients, r)
		grant, err := e.Refresh(t.Context(), token.Params{Access: "old", Refresh: "r1"})
		if err != nil {
			t.Fatal(err)
		}
		if want := "client_id=my+client&client_secret=s%26cret%2F&grant_type=refresh_token&refresh_token=r1"; r.last(t).body != want {
			t.Errorf("sent %s", r.last(t).body)
		}
		if grant.Refresh != "r1" {
			t.Errorf("an answer without a refresh token leaves the old one, not %q", grant.Refresh)
		}
	})
	t.Run("basic", func(t *testing.T) {
		e := endpointOf(t, "dialect oauth2_basic\n"+clients, r)
		if _, err := e.Obtain(t.Context(), token.Params{}); err != nil {
			t.Fatal(err)
		}
		got := r.last(t)
		// RFC 6749, section 2.3.1: each is encoded as in a form before it is joined
		want := "Basic " + base64.StdEncoding.EncodeToString([]byte("my+client:s%26cret%2F"))
		if got.header.Get("Authorization") != want || got.body != "grant_type=client_credentials" {
			t.Errorf("sent %q with %s", got.body, got.header.Get("Authorization"))
		}
	})
}

func TestRequestParts(t *testing.T) {
	r := &recorder{answer: `{"t":"a"}`}
	run := func(t *testing.T, request string) (sent, error) {
		t.Helper()
		e := endpointOf(t, "dialect none\naccess_token .t\ncredential id {env.TEST_ID}\noptional scope\n"+request, r)
		_, err := e.Obtain(t.Context(), token.Params{})
		if err != nil {
			return sent{}, err
		}
		return r.last(t), nil
	}
	t.Setenv("TEST_ID", "wx 1")

	t.Run("a query beside the URL's", func(t *testing.T) {
		got, err := run(t, "obtain GET https://a.example/cgi-bin/token?grant_type=client%20credential {\nquery `{appid: $id, scope: $scope, n: 12345678901234567890, list: [1, true], last: 1.5}`\n}")
		if err != nil {
			t.Fatal(err)
		}
		if want := "https://a.example/cgi-bin/token?grant_type=client%20credential&appid=wx%201&last=1.5&list=1&list=true&n=12345678901234567890"; got.url != want {
			t.Errorf("got %s, want %s", got.url, want)
		}
		if got.method != "GET" || got.body != "" || got.header.Get("Content-Type") != "" {
			t.Errorf("a GET with a body: %+v", got)
		}
	})
	t.Run("query and an empty body of a POST", func(t *testing.T) {
		got, err := run(t, "obtain https://a.example/token {\nquery `{id: $id}`\n}")
		if err != nil {
			t.Fatal(err)
		}
		if got.method != "POST" || got.url != "https://a.example/token?id=wx%201" || got.body != "" {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("the same timestamp and nonce in all parts", func(t *testing.T) {
		got, err := run(t, "obtain https://a.example/token {\nquery `{t: $timestamp, n: $nonce}`\nheaders `{\"X-T\": $timestamp, \"X-N\": $nonce, \"X-S\": (\"\\($timestamp)\\($nonce)\" | md5)}`\njson `{t: $timestamp, n: $nonce}`\n}")
		if err != nil {
			t.Fatal(err)
		}
		stamp, nonce := got.header.Get("X-T"), got.header.Get("X-N")
		if want := fmt.Sprintf(`{"n":"%s","t":%s}`, nonce, stamp); got.body != want {
			t.Errorf("body %s, want %s", got.body, want)
		}
		if want := "https://a.example/token?n=" + nonce + "&t=" + stamp; got.url != want {
			t.Errorf("URL %s, want %s", got.url, want)
		}
		if sum := md5.Sum([]byte(stamp + nonce)); got.header.Get("X-S") != hex.EncodeToString(sum[:]) {
			t.Error("the signature is over something else")
		}
		again, err := run(t, "obtain https://a.example/token {\njson `{n: $nonce}`\n}")
		if err != nil || again.body == `{"n":"`+nonce+`"}` {
			t.Errorf("the nonce of another request: %s, %v", again.body, err)
		}
	})
	t.Run("headers of one's own", func(t *testing.T) {
		got, err := run(t, "obtain https://a.example/token {\nheaders `{\"user-agent\": null, accept: \"text/json\", Host: \"b.example\", \"content-type\": \"application/vnd.x+json\", \"Accept-Encoding\": null}`\njson `{}`\n}")
		if err != nil {
			t.Fatal(err)
		}
		if got.host != "b.example" || got.header.Get("Accept") != "text/json" || got.header.Get("Content-Type") != "application/vnd.x+json" || got.header.Get("User-Agent") != "" {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("no tokens when signing in", func(t *testing.T) {
		got, err := run(t, "obtain https://a.example/token {\njson `{a: $access_token, r: $refresh_token}`\n}")
		if err != nil || got.body != `{"a":null,"r":null}` {
			t.Errorf("sent %s, %v", got.body, err)
		}
	})
	for name, request := range map[string]string{
		"a program that fails":      "json `{a: ($id | tonumber)}`",
		"a form that fails":         "form `{a: ($id | tonumber)}`",
		"a query that fails":        "query `{a: ($id | tonumber)}`",
		"headers that fail":         "headers `{a: ($id | tonumber)}`",
		"no object":                 "json `$id`",
		"an object in a form":       "form `{a: {b: $id}}`",
		"an object in a query":      "query `{a: [{b: $id}]}`",
		"no number":                 "query `{a: nan}`",
		"a name from a credential":  "form `{(\"x\" + $id): {}}`",
		"nested arrays in a form":   "form `{a: [[$id]]}`",
		"no number in JSON":         "json `{a: [nan]}`",
		"infinity":                  "form `{a: [infinite]}`",
		"no host":                   "headers `{host: \"a b\"}`",
		"a header's name":           "headers `{($id): 1}`",
		"a header's value":          "headers `{a: \"\\($id)\\n\"}`",
		"a header of several":       "headers `{a: [$id]}`",
		"a header of the framing":   "headers `{\"transfer-encoding\": $id}`",
		"a header of more framing":  "headers `{\"content-length\": 1}`",
		"a header of a third party": "headers `{connection: $id}`",
	} {
		t.Run(name, func(t *testing.T) {
			before := len(r.requests)
			_, err := run(t, "obtain https://a.example/token {\n"+request+"\n}")
			failure, ok := errors.AsType[*token.Failure](err)
			if !ok || failure.Kind != token.Invalid || !strings.HasPrefix(failure.Reason, "obtain "+strings.Fields(request)[0]) {
				t.Errorf("got %v", err)
			}
			if len(r.requests) != before {
				t.Error("something was sent")
			}
			if err != nil && strings.Contains(err.Error(), "wx") {
				t.Errorf("the error shows a value: %v", err)
			}
		})
	}
}

func TestRefreshTokenToBeginWith(t *testing.T) {
	r := &recorder{answer: `{"access_token":"a","api_domain":"https://www.zohoapis.eu"}`}
	s := provision(t, `dialect none
		credential id i
		credential refresh_token first
		refresh https://accounts.example.com/oauth/v2/token {
			query `+"`{refresh_token: $refresh_token, client_id: $id, old: $access_token}`"+`
		}
		access_token .access_token
		keep `+"`{base: .api_domain}`"+` hosts *.zohoapis.eu`)
	s.roundTripper = r
	e := s.Endpoint()
	if e.CanObtain() || !e.CanRefresh() {
		t.Error("it can only renew")
	}
	if got := s.Policy().Seed; got != "first" {
		t.Errorf("the keeper is told %q", got)
	}
	if names, _ := s.Credentials(); len(names) != 1 {
		t.Errorf("the refresh token is among %q", names)
	}
	grant, err := e.Refresh(t.Context(), token.Params{})
	if err != nil {
		t.Fatal(err)
	}
	if grant.Refresh != "first" || grant.Keep["base"] != "https://www.zohoapis.eu" {
		t.Errorf("got %+v", grant)
	}
	if want := "https://accounts.example.com/oauth/v2/token?client_id=i&refresh_token=first"; r.last(t).url != want {
		t.Errorf("sent %s", r.last(t).url)
	}
	if _, err := e.Refresh(t.Context(), token.Params{Access: "a", Refresh: "second"}); err != nil {
		t.Fatal(err)
	}
	if want := "https://accounts.example.com/oauth/v2/token?client_id=i&old=a&refresh_token=second"; r.last(t).url != want {
		t.Errorf("sent %s", r.last(t).url)
	}
}

func TestNothingToRefreshWith(t *testing.T) {
	r := new(recorder)
	e := endpointOf(t, signedSource, r)
	for _, access := range []string{"", "a"} {
		_, err := e.Refresh(t.Context(), token.Params{Access: access})
		if failure, ok := errors.AsType[*token.Failure](err); !ok || failure.Kind != token.Refused {
			t.Errorf("got %v", err)
		}
	}
	if len(r.requests) > 0 {
		t.Error("something was sent")
	}
	// a program that needs none
	r.answer = `{"code":"000000","data":{"access_token":"a2"}}`
	e = endpointOf(t, signedSource+" {\njson `{old: $access_token}`\n}", r)
	if _, err := e.Refresh(t.Context(), token.Params{Access: "a"}); err != nil || r.last(t).body != `{"old":"a"}` {
		t.Errorf("sent %q, %v", r.last(t).body, err)
	}
}

func TestTimestampOfASource(t *testing.T) {
	s := provision(t, "credential k v\ntimestamp \"2006-01-02 15:04:05\" +08:00")
	if got := s.Stamp(time.UnixMilli(1700000000000)); got != "2023-11-15 06:13:20" {
		t.Errorf("got %v", got)
	}
}

func TestJSONKeepsBigNumbers(t *testing.T) {
	r := &recorder{answer: `{"t":"a","id":9007199254740993}`}
	e := endpointOf(t, "dialect none\naccess_token .t\nkeep `{id}` hosts a.example.com\nobtain https://a.example", r)
	grant, err := e.Obtain(t.Context(), token.Params{})
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := grant.Keep["id"].(json.Number); !ok || got != "9007199254740993" {
		t.Errorf("got %v", grant.Keep)
	}
}

func TestConcurrentEndpoint(t *testing.T) {
	e := endpointOf(t, signedSource, says(200, `{"code":"000000","data":{"access_token":"a"}}`))
	errs := make(chan error)
	for range 8 {
		go func() {
			_, err := e.Obtain(context.Background(), token.Params{})
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
