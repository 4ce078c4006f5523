package source

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// answered is an endpoint that gives one answer.
func answered(status int, header http.Header, body string) trip {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

func typed(contentType string) http.Header { return http.Header{"Content-Type": {contentType}} }

// An endpoint that answers with a form, bare text or a header gave no token for
// good: only JSON was read.
func TestAnswersOfOtherKinds(t *testing.T) {
	const (
		member = "dialect none\naccess_token `.access_token`\nrefresh_token `.refresh_token`\nexpires_in `.expires_in`\nobtain https://a.example/token"
		whole  = "dialect none\naccess_token .\nobtain https://a.example/token"
		header = "dialect none\naccess_token `$headers[\"x-subject-token\"]`\nobtain https://a.example/token"
	)
	for name, test := range map[string]struct {
		source string
		status int
		header http.Header
		body   string
		want   token.Grant
		kind   token.FailureKind // 0: a grant
		reason string
	}{
		"a form":                        {member, 200, typed("application/x-www-form-urlencoded"), "access_token=a%2Fb&expires_in=7200&refresh_token=r", token.Grant{Access: "a/b", Refresh: "r", Lifetime: 2 * time.Hour}, 0, ""},
		"a form called text":            {member, 200, typed("text/plain; charset=utf-8"), "access_token=a&expires_in=7200\n", token.Grant{Access: "a", Lifetime: 2 * time.Hour}, 0, ""},
		"a form of one member":          {member, 200, typed("text/html"), "access_token=a", token.Grant{Access: "a"}, 0, ""},
		"a form that repeats":           {strings.Replace(member, ".access_token", ".access_token[1]", 1), 200, typed("application/x-www-form-urlencoded"), "access_token=a&access_token=b", token.Grant{Access: "b"}, 0, ""},
		"a form's error":                {member, 200, typed("application/x-www-form-urlencoded"), "error=bad_verification_code&error_description=The+code+is+wrong", token.Grant{}, token.Refused, `code bad_verification_code): the answer holds no token; the endpoint says "The code is wrong"`},
		"a broken form":                 {member, 200, typed("application/x-www-form-urlencoded"), "access_token=%zz", token.Grant{}, token.Ambiguous, "a form that is broken"},
		"bare text":                     {whole, 200, typed("text/plain"), "eyJhbGciOiJub25lIn0\n", token.Grant{Access: "eyJhbGciOiJub25lIn0"}, 0, ""},
		"bare text with padding":        {whole, 200, typed("text/plain"), "YWJjZA==", token.Grant{Access: "YWJjZA=="}, 0, ""},
		"bare text called JSON":         {whole, 200, typed("application/json"), "abc.def", token.Grant{Access: "abc.def"}, 0, ""},
		"a JSON string":                 {whole, 200, typed("application/json"), `"abc"`, token.Grant{Access: "abc"}, 0, ""},
		"a JSON number":                 {whole, 200, typed("application/json"), `123456789012345678`, token.Grant{Access: "123456789012345678"}, 0, ""},
		"a sentence":                    {whole, 200, typed("text/plain"), "no healthy upstream", token.Grant{}, token.Ambiguous, "answered with text where a token was expected"},
		"only a header":                 {header, 201, http.Header{"X-Subject-Token": {"gAAAA"}}, "", token.Grant{Access: "gAAAA"}, 0, ""},
		"a header beside a body":        {header, 201, http.Header{"X-Subject-Token": {"gAAAA"}, "Content-Type": {"application/json"}}, `{"token":{}}`, token.Grant{Access: "gAAAA"}, 0, ""},
		"nothing at all":                {member, 200, typed("application/json"), "", token.Grant{}, token.Ambiguous, "an empty body where a token was expected"},
		"a byte order mark":             {member, 200, typed("application/json"), "\xEF\xBB\xBF{\"access_token\":\"a\"}", token.Grant{Access: "a"}, 0, ""},
		"UTF-16":                        {member, 200, typed("application/json"), "\xFF\xFE{\x00}\x00", token.Grant{}, token.Refused, "the answer holds no token"},
		"GBK":                           {member, 200, typed("application/json;charset=GBK"), "{\"access_token\":\"a\",\"msg\":\"\xB3\xC9\xB9\xA6\"}", token.Grant{Access: "a"}, 0, ""},
		"GBK that nobody declares":      {member, 200, typed("application/json"), "{\"access_token\":\"a\",\"msg\":\"\xB3\xC9\"}", token.Grant{}, token.Ambiguous, "not UTF-8"},
		"an unknown charset":            {member, 200, typed("application/json; charset=klingon"), "{}", token.Grant{}, token.Ambiguous, `charset "klingon"`},
		"HTML":                          {member, 200, typed("application/json"), "<html>sign in</html>", token.Grant{}, token.Ambiguous, "HTML instead of JSON"},
		"HTML with 502":                 {member, 502, typed("text/html"), "<html>Bad Gateway</html>", token.Grant{}, token.Ambiguous, "(status 502): the endpoint failed and answered with HTML"},
		"text with 503":                 {member, 503, typed("text/plain"), "no healthy upstream\n", token.Grant{}, token.Busy, "come again later"},
		"XML":                           {strings.Replace(member, ".access_token", ".r.access_token", 1), 200, typed("text/xml"), "<?xml version=\"1.0\"?><r><access_token>a&amp;b</access_token></r>", token.Grant{Access: "a&b"}, 0, ""},
		"XML in GBK":                    {strings.Replace(member, ".access_token", ".r.access_token", 1), 200, typed("text/xml"), "<?xml version=\"1.0\" encoding=\"GBK\"?><r><access_token>a</access_token><msg>\xB3\xC9\xB9\xA6</msg></r>", token.Grant{Access: "a"}, 0, ""},
		"XML without a token":           {member, 200, typed("application/xml"), "<error>no</error>", token.Grant{}, token.Refused, "the answer holds no token"},
		"XML that nobody announces":     {member, 200, typed("text/plain"), "<?xml version=\"1.0\"?><token>a</token>", token.Grant{}, token.Ambiguous, "XML instead of JSON"},
		"XML with a document type":      {member, 200, typed("text/xml"), `<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`, token.Grant{}, token.Ambiguous, "the answer is unreadable: XML with a document type declaration, which is not accepted"},
		"a message of another language": {whole, 200, typed("text/plain"), "系统繁忙", token.Grant{}, token.Ambiguous, "text instead of JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := endpointOf(t, test.source, answered(test.status, test.header, test.body)).Obtain(t.Context(), token.Params{})
			if test.kind == 0 {
				got.Warnings, got.Exchange = nil, nil
				if err != nil || fmt.Sprint(got) != fmt.Sprint(test.want) {
					t.Errorf("got %+v, %v; want %+v", got, err, test.want)
				}
				return
			}
			failure, ok := errors.AsType[*token.Failure](err)
			if !ok || failure.Kind != test.kind || !strings.Contains(failure.Error(), test.reason) {
				t.Errorf("got %v; want %s with %q", err, test.kind, test.reason)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	for _, test := range []struct {
		header, date string
		want         time.Duration
	}{
		{"", "", 0},
		{"1", "", time.Second},
		{" 30 ", "", 30 * time.Second},
		{"0", "", 0},
		{"-1", "", 0},
		{"soon", "", 0},
		{"86400", "", token.MaxWait},
		{"99999999999999999999", "", 0},
		{"Sun, 01 Mar 2026 12:00:30 GMT", "Sun, 01 Mar 2026 12:00:00 GMT", 30 * time.Second},
		{"Sun, 01 Mar 2026 11:00:00 GMT", "Sun, 01 Mar 2026 12:00:00 GMT", 0},
		{"Sun, 01 Mar 2026 12:00:30 GMT", "", 30 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)))
			header := http.Header{"Retry-After": {test.header}}
			if test.date != "" {
				header.Set("Date", test.date)
			}
			_, err := endpointOf(t, signedSource, answered(429, header, "")).Obtain(t.Context(), token.Params{})
			if failure, ok := errors.AsType[*token.Failure](err); !ok || failure.Kind != token.Busy || failure.RetryAfter != test.want {
				t.Errorf("%q: got %+v, want %v", test.header, failure, test.want)
			}
		})
	}
}

// Without a stated lifetime two hours were assumed, whatever the token says of
// itself.
func TestJWTEndsAtItsExp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		jwt := func(claims string) string {
			return "eyJhbGciOiJSUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
		}
		in := func(d time.Duration) string { return jwt(fmt.Sprintf(`{"exp":%d}`, now.Add(d).Unix())) }
		for name, test := range map[string]struct {
			more, token, rest string
			want              time.Duration // 0: not stated
		}{
			"an hour":                {"", in(time.Hour), "", time.Hour},
			"with a fraction":        {"", jwt(fmt.Sprintf(`{"exp":%d.5}`, now.Add(time.Hour).Unix())), "", time.Hour + time.Second},
			"beside a dialect's":     {"dialect oauth2", in(2 * time.Hour), "", 2 * time.Hour},
			"beside lifetime":        {"lifetime 5m", in(time.Hour), "", 0},
			"beside expires_in 0":    {"", in(time.Hour), `,"expires_in":0`, time.Hour},
			"past":                   {"", in(-time.Hour), "", 0},
			"for ever":               {"", jwt(`{"exp":99999999999}`), "", maxLifetime},
			"no exp":                 {"", jwt(`{"sub":"1"}`), "", 0},
			"exp of another kind":    {"", jwt(`{"exp":"soon"}`), "", 0},
			"no claims":              {"", jwt(`[]`), "", 0},
			"no JSON":                {"", jwt(`x`), "", 0},
			"no base64":              {"", "a.%.c", "", 0},
			"a token with two parts": {"", "a.b", "", 0},
			"an encrypted one":       {"", "a.b.c.d.e", "", 0},
		} {
			body := "dialect none\naccess_token .access_token\nexpires_in .expires_in\n" + test.more
			if strings.HasPrefix(test.more, "dialect") {
				body = test.more + "\ncredential client_id i\ncredential client_secret s"
			}
			e := endpointOf(t, body+"\nobtain https://a.example/token {\njson `{}`\n}",
				answered(200, typed("application/json"), `{"access_token":"`+test.token+`"`+test.rest+`}`))
			got, err := e.Obtain(t.Context(), token.Params{})
			var left time.Duration
			if !got.Expires.IsZero() {
				left = got.Expires.Sub(now)
			}
			if err != nil || left != test.want || got.Lifetime != 0 {
				t.Errorf("%s: got %v, %v; want %v", name, left, err, test.want)
			}
		}
	})
}

// A URL that breaks a rule was kept, and then each call failed; a restart didn't
// help.
func TestKeptURLs(t *testing.T) {
	for value, want := range map[any]string{
		"https://eu.example.com":            "",
		"https://eu.example.com:8443/base/": "",
		"http://eu.example.com":             "base is not an https URL",
		"HTTP://eu.example.com":             "base is not an https URL",
		"ftp://eu.example.com":              "base is not an https URL",
		"//eu.example.com":                  "base is not an https URL",
		"localhost":                         "base is not an https URL",
		"localhost:8080/x":                  "base is not an https URL",
		"eu.example.com:443":                "base is not",
		"https://localhost":                 "base is on a host that `keep … hosts` does not list",
		"https://eu.example.com.evil.org":   "base is on a host that `keep … hosts` does not list",
		"https://example.com":               "base is on a host that `keep … hosts` does not list",
		"https://u:p@eu.example.com":        "base is a URL with a user name or password",
		"https://eu.example.com/?a=b":       "base is a URL with a query or a fragment",
		"https://%zz":                       "base is not a URL",
		"000000":                            "",
		"eu":                                "",
		nil:                                 "",
		7:                                   "",
	} {
		text, _ := json.Marshal(map[string]any{"t": "a", "base": value})
		e := endpointOf(t, "dialect none\naccess_token .t\nkeep `{base, other: 1}` hosts *.example.com\nobtain https://a.example/token {\njson `{}`\n}",
			answered(200, typed("application/json"), string(text)))
		_, err := e.Obtain(t.Context(), token.Params{})
		if want == "" {
			if err != nil {
				t.Errorf("%v: %v", value, err)
			}
			continue
		}
		failure, ok := errors.AsType[*token.Failure](err)
		if !ok || failure.Kind != token.Invalid || !strings.HasPrefix(failure.Reason, "keep: "+want) {
			t.Errorf("%v: got %v, want %q", value, err, want)
		}
	}
}

// Every sign-in was refused, and nobody was told that the secret ends with a
// line break.
func TestInvisibleEndsOfCredentials(t *testing.T) {
	for name, test := range map[string]struct {
		value string
		warns bool
	}{
		"plain":                {"canary", false},
		"a blank inside":       {"can ary", false},
		"one newline":          {"canary\n", false}, // Caddy takes it off
		"two newlines":         {"canary\n\n", true},
		"a trailing blank":     {"canary ", true},
		"a leading blank":      {" canary", true},
		"a tab":                {"canary\t", true},
		"CR LF":                {"canary\r\n\r\n", true},
		"a byte order mark":    {"\uFEFFcanary", true},
		"a no-break space":     {"canary\u00A0", true},
		"a zero-width space":   {"canary\u200B", true},
		"a NUL":                {"canary\x00", true},
		"a key with its lines": {edKey + "\n\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(file, []byte(test.value), 0o600); err != nil {
				t.Fatal(err)
			}
			s := provision(t, "credential app_key ak\ncredential app_secret {file."+file+"}\nlifetime 2h\nobtain https://a.example/token")
			all := strings.Join(s.Warnings(), "\n")
			if got := strings.Contains(all, "credential app_secret begins or ends with a blank"); got != test.warns {
				t.Errorf("warnings %q", all)
			}
			if strings.Contains(all, "canary") {
				t.Error("a warning shows the secret")
			}
		})
	}
}

// Whatever a body is, it is read as one of the four kinds or refused by name.
func FuzzTokenDocument(f *testing.F) {
	for _, contentType := range []string{"", "application/json", "application/json;charset=gbk", "text/plain", "text/html", "application/x-www-form-urlencoded"} {
		for _, body := range []string{`{"a":1}`, "a=b&c=d&a=e", "a=%zz", "abc", "YQ==", "", " ", "\xEF\xBB\xBF{}", "\xFF\xFE{\x00}\x00", "<html>", "\xD5\xC5", "{", "a b\nc"} {
			f.Add(contentType, body)
		}
	}
	f.Fuzz(func(t *testing.T, contentType, body string) {
		r := response{status: 200, header: http.Header{"Content-Type": {contentType}}, body: []byte(body)}
		doc, other, broken := r.document()
		switch {
		case broken != "" && (doc != nil || other != "" || len(broken) > 200):
			t.Errorf("broken %q, and %v, %q", broken, doc, other)
		case other == "text":
			if text, ok := doc.(string); !ok || text == "" || strings.TrimSpace(text) != text {
				t.Errorf("text %q", doc)
			}
		case other != "" && doc != nil:
			t.Errorf("%s with %v", other, doc)
		}
	})
}
