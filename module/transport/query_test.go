package transport

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestWithParameter(t *testing.T) {
	for name, test := range map[string]struct{ have, want string }{
		"nothing":                  {"", "access_token=our%20s%26"},
		"others stay as written":   {"b=%7e&a=+x&a=%20&c&=&&d=%zz", "b=%7e&a=+x&a=%20&c&=&&d=%zz&access_token=our%20s%26"},
		"copies":                   {"access_token=1&a=2&access_token=3&access_token", "a=2&access_token=our%20s%26"},
		"encoded":                  {"%61ccess_token=1&access%5Ftoken=2&a=2", "a=2&access_token=our%20s%26"},
		"encoded the old way":      {"%u0061ccess_token=1&a=%u0061ccess_token", "a=%u0061ccess_token&access_token=our%20s%26"},
		"in another case":          {"ACCESS_Token=1&x=y", "x=y&access_token=our%20s%26"},
		"as an array":              {"access_token[]=1&access_token%5B0%5D=2&x=y", "x=y&access_token=our%20s%26"},
		"with what PHP replaces":   {"access.token=1&access%20token=2&access[token=3&access.token.x=4", "access.token.x=4&access_token=our%20s%26"},
		"with a blank":             {"+access_token=1&%20access_token=1&x=y", "x=y&access_token=our%20s%26"},
		"after a semicolon":        {"a=1;access_token=2;b=3&c=4", "a=1;b=3&c=4&access_token=our%20s%26"},
		"encoded twice is another": {"%2561ccess_token=1", "%2561ccess_token=1&access_token=our%20s%26"},
		"a broken escape":          {"%6=1&%=2&%u00=3", "%6=1&%=2&%u00=3&access_token=our%20s%26"},
		"only in a value":          {"to=access_token", "to=access_token&access_token=our%20s%26"},
		"leading empty parts":      {"&access_token=1&a", "&a&access_token=our%20s%26"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := withParameter(test.have, "access_token", "our s&"); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestHideParameter(t *testing.T) {
	for have, want := range map[string]string{
		"https://api.example.com/a/?access_token=s3cret":    "https://api.example.com/a/",
		"/a/?b=%7e&access_token=s3cret&c#access_token=kept": "/a/?b=%7e&c#access_token=kept",
		"/a/?b=1":              "/a/?b=1",
		"/a/#?access_token=no": "/a/#?access_token=no",
		"":                     "",
	} {
		h := http.Header{"Location": {have}}
		hideParameter(h, "access_token")
		if got := h.Get("Location"); got != want {
			t.Errorf("%s: got %s, want %s", have, got, want)
		}
	}
}

// FuzzQueryInject: the API finds our token and no other, and whatever isn't a
// copy of it arrives byte for byte and in order.
func FuzzQueryInject(f *testing.F) {
	for _, raw := range []string{
		"", "&", "a=1&b=2", "access_token=1", "%61ccess_token=1&a", "a;access_token=2;b", "%u0061ccess_token", "%",
		"access_token%5b%5d=", "a=%zz&=;;&+access_token", "a&&b",
	} {
		f.Add(raw, "s3cret/+ =&")
	}
	f.Fuzz(func(t *testing.T, raw, value string) {
		const name = "access_token"
		got := withParameter(raw, name, value)
		rest, ours := "", got
		if i := strings.LastIndexByte(got, '&'); i >= 0 {
			rest, ours = got[:i], got[i+1:]
		}
		if ours != name+"="+escapeParameter(value) {
			t.Fatalf("the last part is %q", ours)
		}
		split := func(s string) []string {
			return strings.FieldsFunc(s, func(r rune) bool { return r == '&' || r == ';' })
		}
		want := slices.DeleteFunc(split(raw), func(part string) bool { return spellsParameter(part, name) })
		if !slices.Equal(split(rest), want) {
			t.Errorf("%q became %q", raw, rest)
		}
		if len(split(raw)) == len(want) && rest != raw {
			t.Errorf("%q became %q without need", raw, rest)
		}
		if query, err := url.ParseQuery(got); err == nil && (len(query[name]) != 1 || query.Get(name) != value) {
			t.Errorf("a server reads %q", query[name])
		}
	})
}
