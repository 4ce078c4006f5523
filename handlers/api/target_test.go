package api

import (
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	t.Setenv("CRM_HOST", "crm.example.com")
	for _, tc := range []struct {
		to, scheme, host, dial, raw string
		sidecar                     bool
	}{
		{"https://crm.example.com/order/query", "https", "crm.example.com", "crm.example.com:443", "/order/query", false},
		{"http://crm.example.com:8080", "http", "crm.example.com:8080", "crm.example.com:8080", "", true},
		{"https://crm.example.com:443/", "https", "crm.example.com", "crm.example.com:443", "/", false},
		{"https://crm.example.com/a%2Fb/%E5%BC%A0", "https", "crm.example.com", "crm.example.com:443", "/a%2Fb/%E5%BC%A0", false},
		{"https://crm.example.com:65535/.well-known/x..y", "https", "crm.example.com:65535", "crm.example.com:65535", "/.well-known/x..y", false},
		{"https://[::1]:443/x", "https", "[::1]", "[::1]:443", "/x", false},
		{"https://{env.CRM_HOST}/x", "https", "crm.example.com", "crm.example.com:443", "/x", false},
	} {
		got, err := parseTarget(tc.to)
		if err != nil {
			t.Errorf("%s: %v", tc.to, err)
			continue
		}
		if got.scheme != tc.scheme || got.host != tc.host || got.dial != tc.dial || got.raw != tc.raw || got.sidecar != tc.sidecar {
			t.Errorf("%s: got %+v", tc.to, got)
		}
	}
}

func TestParseTargetRefuses(t *testing.T) {
	for to, want := range map[string]string{
		"":                                 "missing",
		"crm.example.com/x":                "scheme",
		"ftp://crm.example.com":            "scheme",
		"https:///x":                       "no host",
		"https://u:p@crm.example.com/":     "user or password",
		"https://crm.example.com/?a=1":     "a query in `to` is refused",
		"https://crm.example.com/x?":       "a query in `to` is refused",
		"https://crm.example.com/#x":       "fragment",
		"https://{env.NO_SUCH_HOST}/x":     "NO_SUCH_HOST",
		"{token.}/x":                       "NAME",
		"{token.base}x":                    "begins with /",
		"{token.base}/x?y=1":               "a query in `to` is refused",
		"https://crm.example.com/%zz/x":    "not a valid URL",
		"https://crm.example.com:port/x":   "not a valid URL",
		"{token.base":                      "NAME",
		"{token.base}/a/../b":              `".." as a segment`,
		"{token.base}/a%00":                "NUL",
		"https://crm.example.com:0/x":      "ports are 1 to 65535",
		"https://crm.example.com:00":       "ports are 1 to 65535",
		"https://crm.example.com:99999/x":  "ports are 1 to 65535",
		"https://crm.example.com:65536/x":  "ports are 1 to 65535",
		"https://crm.example.com/a%00b":    "NUL",
		"https://crm.example.com/.":        `".." as a segment`,
		"https://crm.example.com/a/./b":    `".." as a segment`,
		"https://crm.example.com/a/../b":   `".." as a segment`,
		"https://crm.example.com/a/%2e%2E": `".." as a segment`,
		"https://crm.example.com/a b?c=d ": "a query",
	} {
		if got, err := parseTarget(to); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %+v, %v; want an error with %q", to, got, err, want)
		}
	}
}

// A slash behind the host is a path, but may be meant otherwise.
func TestOnlySlash(t *testing.T) {
	for _, tc := range []struct {
		API
		programs programs
		warns    bool
	}{
		{API{To: "https://crm.example.com/"}, programs{}, true},
		{API{To: "https://crm.example.com/"}, programs{makesRequest: true}, false},
		{API{To: "https://crm.example.com/", Pass: &Pass{Query: true}}, programs{}, false},
		{API{To: "https://crm.example.com"}, programs{}, false},
		{API{To: "https://crm.example.com/x"}, programs{}, false},
		{API{To: "{token.base}/"}, programs{}, false},
	} {
		target, err := parseTarget(tc.To)
		if err != nil {
			t.Fatal(err)
		}
		a := tc.API
		a.target, a.programs = target, tc.programs
		if got := a.onlySlash(); (len(got) > 0) != tc.warns {
			t.Errorf("%s: %q", tc.To, got)
		}
	}
}

func TestKeptBase(t *testing.T) {
	to, err := parseTarget("{token.instance_url}/services/data")
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{"*.example.com", "exact.org"}
	got, err := to.fromToken(map[string]any{"instance_url": "https://na1.example.com:8443/base/"}, hosts)
	if err != nil || got.dial != "na1.example.com:8443" || got.raw != "/base/services/data" {
		t.Errorf("got %+v, %v", got, err)
	}
	for base, want := range map[any]string{
		"https://na1.example.com.evil.org": "does not list",
		"https://example.com":              "does not list",
		"https://evilexample.com":          "does not list",
		"http://na1.example.com":           "not an https URL",
		"https://exact.org/?q=1":           "query",
		"":                                 "not a URL",
		7:                                  "not a URL",
		nil:                                "not a URL",
	} {
		if _, err := to.fromToken(map[string]any{"instance_url": base}, hosts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want an error with %q", base, err, want)
		}
	}
}

func TestJoin(t *testing.T) {
	to := &target{path: "/a/b", raw: "/a%2Fb"}
	decoded, raw, err := to.join([]any{"x/y", 7, "张", "?"})
	if err != nil || raw != "/a%2Fb/x%2Fy/7/%E5%BC%A0/%3F" || decoded != "/a/b/x/y/7/张/?" {
		t.Errorf("got %q %q %v", decoded, raw, err)
	}
	for _, bad := range []any{"", " ", ".", "..", nil, map[string]any{}, []any{}} {
		if _, _, err := to.join([]any{bad}); err == nil {
			t.Errorf("segment %v is taken", bad)
		}
	}
}

func TestOverlay(t *testing.T) {
	for _, tc := range []struct{ raw, want string }{
		{"", "tel=1"},
		{"tel=2", "tel=1"},
		{"a=%2f&%74el=2&b", "a=%2f&b&tel=1"},
		{"a=1&&tel", "a=1&tel=1"},
	} {
		if got := expand(tc.raw, map[string]any{"tel": "1"}, "tel=1"); got != tc.want {
			t.Errorf("%q: got %q, want %q", tc.raw, got, tc.want)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, to := range []string{"https://crm.example.com/a%2Fb", "{token.base}/x", "http://[::1]:80", "https://a/?q", "{token.", "https://{env.X}"} {
		f.Add(to)
	}
	f.Fuzz(func(t *testing.T, to string) {
		if strings.Contains(to, "{file.") {
			return // reads files
		}
		got, err := parseTarget(to)
		if err != nil {
			return
		}
		if got.keep == "" && (got.host == "" || got.dial == "" || (got.scheme != "http" && got.scheme != "https")) {
			t.Errorf("%q gives %+v", to, got)
		}
	})
}
