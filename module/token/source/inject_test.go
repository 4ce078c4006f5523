package source

import (
	"testing"

	"github.com/switchboard-ivr/switchboard/module/token"
)

func TestInjection(t *testing.T) {
	for name, test := range map[string]struct {
		in   *Inject
		want token.Injection
		warn bool
	}{
		"default":            {nil, token.Injection{Where: token.InHeader, Name: "Authorization", Prefix: "Bearer "}, false},
		"a header by itself": {&Inject{In: "header"}, token.Injection{Where: token.InHeader, Name: "Authorization", Prefix: "Bearer "}, false},
		"the name, spelled":  {&Inject{Name: "authorization"}, token.Injection{Where: token.InHeader, Name: "Authorization", Prefix: "Bearer "}, false},
		"raw":                {&Inject{In: "header", Name: "Authorization", Template: "{token}"}, token.Injection{Where: token.InHeader, Name: "Authorization"}, false},
		"another header":     {&Inject{In: "header", Name: "x-acs-dingtalk-access-token"}, token.Injection{Where: token.InHeader, Name: "X-Acs-Dingtalk-Access-Token"}, false},
		"both sides":         {&Inject{Template: `Token "{token}"`}, token.Injection{Where: token.InHeader, Name: "Authorization", Prefix: `Token "`, Suffix: `"`}, false},
		"a cookie":           {&Inject{Name: "cookie", Template: "sid={token}"}, token.Injection{Where: token.InHeader, Name: "Cookie", Prefix: "sid="}, true},
		"the query":          {&Inject{In: "query", Name: "access_token"}, token.Injection{Where: token.InQuery, Name: "access_token"}, true},
		"the body":           {&Inject{In: "body", Name: "session"}, token.Injection{Where: token.InBody, Name: "session"}, false},
		"nowhere":            {&Inject{In: "none"}, token.Injection{Where: token.InNone}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := test.in.resolve()
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if warnings := injectionWarnings(got); (len(warnings) > 0) != test.warn {
				t.Errorf("warnings: %q", warnings)
			}
		})
	}
}
