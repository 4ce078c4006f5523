package source

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/module/token"
)

func TestAnswers(t *testing.T) {
	const (
		signed = signedSource
		plain  = "dialect none\naccess_token .access_token\nexpires_in .expires_in\nobtain https://a.example/token"
		at     = "dialect none\naccess_token .t\nexpires_in .e at\nobtain https://a.example/token"
		ms     = "dialect none\naccess_token .t\nexpires_in .e ms\nobtain https://a.example/token"
		kept   = "dialect none\naccess_token .t\nkeep `{url: .url}` hosts *.example.com\nobtain https://a.example/token"
		header = "dialect none\nsuccess `$status == 200 and $headers[\"content-type\"] == \"application/json\"`\naccess_token `$headers[\"x-token\"] // .t`\nobtain https://a.example/token"
		ok     = `"code":"000000","data":`
	)
	long := strings.Repeat("x", maxToken)
	for name, test := range map[string]struct {
		source string
		status int
		body   string
		kind   token.FailureKind // 0: a grant
		code   string
		want   token.Grant
	}{
		"the document's":            {signed, 200, `{` + ok + `{"access_token":"a","refresh_token":"r"}}`, 0, "", token.Grant{Access: "a", Refresh: "r"}},
		"with a lifetime":           {signed, 200, `{` + ok + `{"access_token":"a","refresh_token":"r","expires_in":7200}}`, 0, "", token.Grant{Access: "a", Refresh: "r", Lifetime: 2 * time.Hour}},
		"lifetime null":             {signed, 200, `{` + ok + `{"access_token":"a","expires_in":null}}`, 0, "", token.Grant{Access: "a"}},
		"lifetime a string":         {signed, 200, `{` + ok + `{"access_token":"a","expires_in":"7200"}}`, 0, "", token.Grant{Access: "a", Lifetime: 2 * time.Hour}},
		"lifetime with an exponent": {signed, 200, `{` + ok + `{"access_token":"a","expires_in":7.2e3}}`, 0, "", token.Grant{Access: "a", Lifetime: 2 * time.Hour}},
		"lifetime too short":        {signed, 200, `{` + ok + `{"access_token":"a","expires_in":29}}`, 0, "", token.Grant{Access: "a", Lifetime: 29 * time.Second}},
		"lifetime too long":         {signed, 200, `{` + ok + `{"access_token":"a","expires_in":1e11}}`, 0, "", token.Grant{Access: "a", Lifetime: maxLifetime}},
		"lifetime negative":         {signed, 200, `{` + ok + `{"access_token":"a","expires_in":-1}}`, 0, "", token.Grant{Access: "a", Ended: true}},
		"lifetime a word":           {signed, 200, `{` + ok + `{"access_token":"a","expires_in":"soon"}}`, token.Invalid, "000000", token.Grant{}},
		"created":                   {signed, 201, `{` + ok + `{"access_token":"a"}}`, 0, "", token.Grant{Access: "a"}},
		"token empty":               {signed, 200, `{` + ok + `{"access_token":""}}`, token.Invalid, "000000", token.Grant{}},
		"token null":                {signed, 200, `{` + ok + `{"access_token":null}}`, token.Invalid, "000000", token.Grant{}},
		"token a number":            {signed, 200, `{` + ok + `{"access_token":17}}`, 0, "", token.Grant{Access: "17"}},
		"token with a line break":   {signed, 200, `{` + ok + `{"access_token":"a\r\nX-Evil: 1"}}`, token.Invalid, "000000", token.Grant{}},
		"token with a blank end":    {signed, 200, `{` + ok + `{"access_token":"a "}}`, token.Invalid, "000000", token.Grant{}},
		"token beyond ASCII":        {signed, 200, `{` + ok + `{"access_token":"é"}}`, token.Invalid, "000000", token.Grant{}},
		"token of the limit":        {signed, 200, `{` + ok + `{"access_token":"` + long + `"}}`, 0, "", token.Grant{Access: long}},
		"token over the limit":      {signed, 200, `{` + ok + `{"access_token":"` + long + `x"}}`, token.Invalid, "000000", token.Grant{}},
		"refresh token a number":    {signed, 200, `{` + ok + `{"access_token":"a","refresh_token":5}}`, 0, "", token.Grant{Access: "a", Refresh: "5"}},
		"refresh token an object":   {signed, 200, `{` + ok + `{"access_token":"a","refresh_token":{"t":"r"}}}`, 0, "", token.Grant{Access: "a"}},
		"refresh token with a tab":  {signed, 200, `{` + ok + `{"access_token":"a","refresh_token":"r\tr"}}`, 0, "", token.Grant{Access: "a"}},
		"data of another kind":      {signed, 200, `{` + ok + `"a"}`, token.Invalid, "000000", token.Grant{}},
		"another code":              {signed, 200, `{"code":"100001","data":{"access_token":"a"}}`, token.Refused, "100001", token.Grant{}},
		"a code as a number":        {signed, 200, `{"code":0,"data":{"access_token":"a"}}`, token.Refused, "0", token.Grant{}},
		"no code":                   {signed, 200, `{"data":{"access_token":"a"}}`, token.Refused, "", token.Grant{}},
		"an array":                  {signed, 200, `[1]`, token.Refused, "", token.Grant{}},
		"null":                      {signed, 200, `null`, token.Refused, "", token.Grant{}},
		"HTML":                      {signed, 200, `<html>sign in</html>`, token.Ambiguous, "", token.Grant{}},
		"nothing":                   {signed, 200, ``, token.Ambiguous, "", token.Grant{}},
		"no content":                {signed, 204, ``, token.Ambiguous, "", token.Grant{}},
		"half a document":           {signed, 200, `{"code":"000000","da`, token.Ambiguous, "", token.Grant{}},
		"two documents":             {signed, 200, `{}{}`, token.Ambiguous, "", token.Grant{}},
		"a refusal":                 {signed, 401, `{"code":"401000"}`, token.Refused, "401000", token.Grant{}},
		"a refusal that looks good": {signed, 400, `{` + ok + `{"access_token":"a"}}`, token.Refused, "000000", token.Grant{}},
		"a refusal in HTML":         {signed, 404, `<html>`, token.Refused, "", token.Grant{}},
		"too many":                  {signed, 429, ``, token.Busy, "", token.Grant{}},
		"a time-out over there":     {signed, 408, ``, token.Ambiguous, "", token.Grant{}},
		"a redirect":                {signed, 302, ``, token.Refused, "", token.Grant{}},
		"down":                      {signed, 503, `{"code":"busy"}`, token.Busy, "busy", token.Grant{}},
		"a gateway's page":          {signed, 502, `<html>`, token.Ambiguous, "", token.Grant{}},

		"RFC 6749":             {plain, 200, `{"access_token":"a","expires_in":3600}`, 0, "", token.Grant{Access: "a", Lifetime: time.Hour}},
		"RFC 6749's error":     {plain, 400, `{"error":"invalid_client"}`, token.Refused, "invalid_client", token.Grant{}},
		"an error in a 200":    {plain, 200, `{"errcode":40013,"errmsg":"invalid appid"}`, token.Refused, "40013", token.Grant{}},
		"nothing in a 200":     {plain, 200, `"a"`, token.Refused, "", token.Grant{}},
		"no text in a 200":     {plain, 200, `{"access_token":{}}`, token.Invalid, "", token.Grant{}},
		"milliseconds":         {ms, 200, `{"t":"a","e":"7200000"}`, 0, "", token.Grant{Access: "a", Lifetime: 2 * time.Hour}},
		"a point in time, bad": {at, 200, `{"t":"a","e":7200}`, 0, "", token.Grant{Access: "a", Ended: true}},
		"kept":                 {kept, 200, `{"t":"a","url":"https://eu.example.com"}`, 0, "", token.Grant{Access: "a", Keep: map[string]any{"url": "https://eu.example.com"}}},
		"kept, no object":      {strings.Replace(kept, "{url: .url}", ".url", 1), 200, `{"t":"a","url":"https://eu.example.com"}`, token.Invalid, "", token.Grant{}},
		"a lifetime's failure": {"dialect none\naccess_token .t\nexpires_in `.e | tonumber`\nobtain https://a.example/token", 200, `{"t":"a","e":"x"}`, token.Invalid, "", token.Grant{}},
		"status and headers":   {header, 200, `{"t":"a"}`, 0, "", token.Grant{Access: "a"}},
		"status, not 200":      {header, 202, `{"t":"a"}`, token.Refused, "", token.Grant{}},

		"a code of ours":         {signed, 401, `{"code":"sk"}`, token.Refused, "", token.Grant{}},
		"a code with blanks":     {signed, 401, `{"code":"go away"}`, token.Refused, "", token.Grant{}},
		"a long code":            {signed, 401, `{"code":"` + strings.Repeat("1", 65) + `"}`, token.Refused, "", token.Grant{}},
		"a code of 64":           {signed, 401, `{"code":"` + strings.Repeat("1", 64) + `"}`, token.Refused, strings.Repeat("1", 64), token.Grant{}},
		"an error object":        {signed, 401, `{"error":{"code":1},"ret_code":"900"}`, token.Refused, "900", token.Grant{}},
		"a code with an escape":  {signed, 401, `{"code":"\u001b[31m"}`, token.Refused, "", token.Grant{}},
		"a code of another name": {signed, 401, `{"err_no":2100005}`, token.Refused, "2100005", token.Grant{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := endpointOf(t, test.source, says(test.status, test.body)).Obtain(t.Context(), token.Params{})
			if test.kind == 0 {
				if err != nil {
					t.Fatal(err)
				}
				got.Warnings, got.Exchange = nil, nil
				a, _ := json.Marshal(got)
				b, _ := json.Marshal(test.want)
				if string(a) != string(b) {
					t.Errorf("got %s, want %s", a, b)
				}
				return
			}
			failure, ok := errors.AsType[*token.Failure](err)
			if !ok {
				t.Fatalf("got %+v, %v", got, err)
			}
			if failure.Kind != test.kind || failure.Status != test.status || failure.Code != test.code {
				t.Errorf("got %s, status %d, code %q", failure.Kind, failure.Status, failure.Code)
			}
			if want := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC); !failure.Date.Equal(want) {
				t.Errorf("date %s", failure.Date)
			}
			if failure.Reason == "" {
				t.Error("no reason")
			}
		})
	}
}

// An absolute time is the endpoint's: it is left as it was given, and counts as
// good or bad by the endpoint's clock.
func TestAbsoluteExpiry(t *testing.T) {
	const skew = 10 * time.Minute
	there := time.Now().Add(skew)
	for left, ok := range map[time.Duration]bool{2 * time.Hour: true, 5 * time.Minute: true, -10 * time.Second: false} {
		expires := there.Add(left).UTC().Truncate(time.Second)
		e := endpointOf(t, "dialect none\naccess_token .t\nexpires_in .e at\nobtain https://a.example/token",
			says(200, `{"t":"a","e":"`+expires.Format(time.RFC3339)+`"}`))
		grant, err := e.Obtain(t.Context(), token.Params{Skew: skew})
		if err != nil || ok == grant.Ended || ok && !grant.Expires.Equal(expires) {
			t.Errorf("with %s left: %+v, %v", left, grant, err)
		}
	}
}

func TestFailureDate(t *testing.T) {
	e := endpointOf(t, signedSource, trip(func(req *http.Request) (*http.Response, error) {
		resp, err := says(401, `{}`)(req)
		resp.Header.Set("Date", "yesterday")
		return resp, err
	}))
	_, err := e.Obtain(t.Context(), token.Params{})
	if failure, ok := errors.AsType[*token.Failure](err); !ok || !failure.Date.IsZero() {
		t.Errorf("got %v", err)
	}
}

func FuzzTokenAnswer(f *testing.F) {
	for _, body := range []string{
		`{"code":"000000","data":{"access_token":"a","refresh_token":"r","expires_in":7200}}`,
		`{"code":"000000","data":{"access_token":"a","expires_in":"7.2e3"}}`,
		`{"code":"000000","data":{"access_token":"","expires_in":-1}}`,
		`{"code":"000000","data":"x"}`, `{"code":1e400}`, `null`, `[[[`, `{"a":1}{}`, "\xff", `<html>`, ``,
		`{"code":"000000","data":{"access_token":"a\n","expires_in":1700000000}}`,
	} {
		for _, status := range []int{200, 302, 401, 503} {
			f.Add(status, body, "Sun, 01 Mar 2026 12:00:00 GMT")
		}
	}
	s := new(Source)
	s.CredentialValues = map[string]string{"app_key": "canary-key", "app_secret": "canary-secret"}
	s.Obtain = &Request{URL: "https://crm.example.com/token/get"}
	s.ExpiresIn = `.data.expires_in`
	s.Keep = &Keep{Program: `{all: .data}`, Hosts: []string{"a.example.com"}}
	plan, err := s.newPlan("")
	if err != nil {
		f.Fatal(err)
	}
	s.plan = plan
	if err := s.resolve(); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, status int, body, date string) {
		s := *s
		s.roundTripper = trip(func(req *http.Request) (*http.Response, error) {
			resp, err := says(status, body)(req)
			resp.Header.Set("Date", date)
			return resp, err
		})
		grant, err := s.Endpoint().Obtain(t.Context(), token.Params{})
		if err != nil {
			failure, ok := errors.AsType[*token.Failure](err)
			if !ok || failure.Kind < token.Refused || failure.Kind > token.Busy || failure.Reason == "" {
				t.Fatalf("no failure of ours: %v", err)
			}
			if len(failure.Code) > 64 || strings.Contains(err.Error(), "canary") {
				t.Errorf("the failure shows too much: %v", err)
			}
			return
		}
		if checkToken(grant.Access) != nil || grant.Refresh != "" && checkToken(grant.Refresh) != nil {
			t.Errorf("unusable tokens: %q, %q", grant.Access, grant.Refresh)
		}
		if grant.Lifetime < 0 || grant.Lifetime > maxLifetime {
			t.Errorf("a lifetime of %s", grant.Lifetime)
		}
		if grant.Keep == nil || status >= 300 {
			t.Errorf("status %d gave %+v", status, grant)
		}
	})
}
