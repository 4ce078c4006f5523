package issuer

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Whatever Accept is configured: a token that is put where it says is found as
// it is, once and not twice; what is found of any other value was in it.
func FuzzAccept(f *testing.F) {
	f.Add("header", "", "", "AaUNUn2U_-9", "Bearer x")
	f.Add("header", "Authorization", "Bearer {token}", "AaUNUn2U_-9", "bearer\tx")
	f.Add("header", "token", "", "AaUNUn2U_-9", " x ")
	f.Add("header", "X-Key", " k={token}; v=1 ", "a", "K=b; V=1")
	f.Add("header", "X-Key", "aa{token}aa", "", "aaa")
	f.Add("header", "X Key", "{token}{token}", "", "\xff")
	f.Add("query", "access_token", "", "AaUNUn2U_-9", "a=b&access_token=%zz")
	f.Add("query", "a&b", "", "c d&e", "a%26b=1&a%26b=2")
	f.Add("cookie", "a", "", "", "")
	f.Fuzz(func(t *testing.T, in, name, template, token, other string) {
		find, err := newFinder(&Accept{In: in, Name: name, Template: template})
		if err != nil {
			if in == "header" && name == "" && template == "" || in == "query" && name != "" && template == "" {
				t.Fatalf("refused: %v", err)
			}
			return
		}
		request := func(values ...string) *http.Request {
			r := &http.Request{Header: http.Header{}, URL: &url.URL{}}
			if find.Where == "query" {
				r.URL.RawQuery = url.Values{find.Name: values}.Encode()
			} else {
				r.Header[find.Name] = values
			}
			return r
		}
		whole := find.Prefix + token + find.Suffix
		if raw, ok := find.find(request(whole)); !ok || raw != token {
			t.Fatalf("%q: found %q, %v; want %q", whole, raw, ok, token)
		}
		for _, values := range [][]string{nil, {whole, whole}, {whole, other}} {
			if raw, ok := find.find(request(values...)); ok || raw != "" {
				t.Fatalf("found %q in %d values", raw, len(values))
			}
		}
		if raw, ok := find.find(request(other)); ok && (!strings.Contains(other, raw) || len(raw) != len(other)-len(find.Prefix+find.Suffix)) {
			t.Fatalf("found %q in %q", raw, other)
		}
		r := request()
		r.URL.RawQuery = other
		if raw, ok := find.find(r); find.Where == "query" && ok && url.Values.Get(r.URL.Query(), find.Name) != raw {
			t.Fatalf("found %q in the query %q", raw, other)
		}
	})
}
