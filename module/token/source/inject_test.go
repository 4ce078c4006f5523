package token

import "testing"

func TestInjection(t *testing.T) {
	for name, test := range map[string]struct {
		in   *Inject
		want Injection
		warn bool
	}{
		"default":            {nil, Injection{InHeader, "Authorization", "Bearer ", ""}, false},
		"a header by itself": {&Inject{In: "header"}, Injection{InHeader, "Authorization", "Bearer ", ""}, false},
		"the name, spelled":  {&Inject{Name: "authorization"}, Injection{InHeader, "Authorization", "Bearer ", ""}, false},
		"raw":                {&Inject{In: "header", Name: "Authorization", Template: "{token}"}, Injection{InHeader, "Authorization", "", ""}, false},
		"another header":     {&Inject{In: "header", Name: "x-acs-dingtalk-access-token"}, Injection{InHeader, "X-Acs-Dingtalk-Access-Token", "", ""}, false},
		"both sides":         {&Inject{Template: `Token "{token}"`}, Injection{InHeader, "Authorization", `Token "`, `"`}, false},
		"a cookie":           {&Inject{Name: "cookie", Template: "sid={token}"}, Injection{InHeader, "Cookie", "sid=", ""}, true},
		"the query":          {&Inject{In: "query", Name: "access_token"}, Injection{InQuery, "access_token", "", ""}, true},
		"the body":           {&Inject{In: "body", Name: "session"}, Injection{InBody, "session", "", ""}, false},
		"nowhere":            {&Inject{In: "none"}, Injection{InNone, "", "", ""}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := test.in.resolve()
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if warnings := got.warnings(); (len(warnings) > 0) != test.warn {
				t.Errorf("warnings: %q", warnings)
			}
		})
	}
}
