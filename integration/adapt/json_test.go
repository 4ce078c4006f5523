package adapt

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// A configuration in JSON may leave out what the directive fills in, and is
// checked as strictly.
func TestJSON(t *testing.T) {
	for name, tc := range map[string]struct{ handler, want string }{
		"without handle": {`{"handler":"api","name":"order","to":"https://crm.example.com/order","token":"crm"}`, ""},
		"a chain of one's own": {`{"handler":"api","name":"order","to":"https://crm.example.com/order","token":"crm","handle":[
			{"handler":"headers"},{"handler":"reverse_proxy","upstreams":[{"dial":"crm.example.com:443"}],"transport":{"protocol":"switchboard","token":"crm"}}]}`, ""},
		"a chain that injects nothing": {`{"handler":"api","name":"order","to":"https://crm.example.com/order","token":"crm","handle":[
			{"handler":"reverse_proxy","upstreams":[{"dial":"crm.example.com:443"}]}]}`, `no reverse_proxy in handle has`},
		"without a name":                  {`{"handler":"api","to":"https://crm.example.com/order"}`, "name is missing"},
		"an unknown field":                {`{"handler":"api","name":"order","to":"https://crm.example.com/order","outptu":"."}`, "outptu"},
		"a negative budget":               {`{"handler":"api","name":"order","to":"https://crm.example.com/order","budget":-1}`, "budget must be more than 0"},
		"a negative size":                 {`{"handler":"api","name":"order","to":"https://crm.example.com/order","max_size":-1}`, "max_size must be more than 0"},
		"a wrong on_failure":              {`{"handler":"api","name":"order","to":"https://crm.example.com/order","on_failure":"maybe"}`, `on_failure "maybe" is unknown`},
		"a wrong answer":                  {`{"handler":"api","name":"order","to":"https://crm.example.com/order","answer":{"encoding":"yaml"}}`, `answer "yaml" is unknown; write json, xml, form or text`},
		"an answer without an encoding":   {`{"handler":"api","name":"order","to":"https://crm.example.com/order","answer":{"list":["a/b"]}}`, `answer "" is unknown; write json, xml, form or text`},
		"a wrong auth":                    {`{"handler":"api","name":"order","to":"https://crm.example.com/order","auth":{"mode":"open"}}`, `auth "open" is unknown`},
		"auth without a key":              {`{"handler":"api","name":"order","to":"https://crm.example.com/order","auth":{"mode":"key"}}`, "the key is missing"},
		"an unset key":                    {`{"handler":"api","name":"order","to":"https://crm.example.com/order","auth":{"mode":"key","keys":["{env.NO_SUCH_KEY}"]}}`, "NO_SUCH_KEY"},
		"an unknown issuer":               {`{"handler":"api","name":"order","to":"https://crm.example.com/order","auth":{"mode":"issuer","issuer":"x"}}`, "issuer x is not defined"},
		"a kept URL without a keeper":     {`{"handler":"api","name":"order","to":"{token.base}/order"}`, "needs a token source with keep"},
		"a kept URL without keep":         {`{"handler":"api","name":"order","to":"{token.base}/order","token":"crm"}`, "needs `keep` in token crm"},
		"a default that can't be written": {`{"handler":"api","name":"order","to":"https://crm.example.com/order","format":"flat","default":"{a: {b: 1}, a_b: 2}"}`, "default can't be written as flat"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := new(caddy.Config)
			text := `{"admin":{"disabled":true},"apps":{
				"switchboard":{"tokens":{"crm":{"static":"not-a-secret"}}},
				"http":{"servers":{"s":{"listen":["127.0.0.1:8080"],"routes":[{"handle":[` + tc.handler + `]}]}}}}}`
			if err := json.Unmarshal([]byte(text), cfg); err != nil {
				t.Fatal(err)
			}
			err := caddy.Validate(cfg)
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}
