package source

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// The endpoint's own words were dropped: "refused (code 900001)" was all that an
// operator had to go by.
func TestTheEndpointsOwnMessage(t *testing.T) {
	const source = `credential app_key canary-key
		credential app_secret canary-secret
		obtain https://crm.example.com/token/get`
	for name, test := range map[string]struct{ body, want string }{
		"code and message":    {`{"code":"900001","msg":"bad sign","data":null}`, "bad sign"},
		"RFC 6749":            {`{"error":"invalid_client","error_description":"unknown client"}`, "unknown client"},
		"another name":        {`{"code":1,"hint":"clock is off"}`, "hint: clock is off"},
		"two messages":        {`{"code":1,"message":"no","detail":"app is locked"}`, "app is locked; no"},
		"deep inside":         {`{"error":{"status":"DENIED","message":"no access"}}`, "no access; status: DENIED"},
		"the secret in it":    {`{"code":1,"msg":"secret canary-secret is wrong"}`, "secret *** is wrong"},
		"the key in it":       {`{"code":1,"msg":"unknown app canary-key"}`, "unknown app ***"},
		"a token under alias": {`{"code":1,"t":"0123456789abcdef0123456789"}`, ""},
		"a number in it":      {`{"code":1,"msg":"call +8613800138000"}`, "call +***00"},
		"lines":               {`{"code":1,"msg":"a\n  b\u0007"}`, "a b\a"},
		"none":                {`{"code":1}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := endpointOf(t, source, answered(200, typed("application/json"), test.body)).Obtain(t.Context(), token.Params{})
			failure, ok := errors.AsType[*token.Failure](err)
			if !ok || failure.Message != test.want {
				t.Fatalf("message %q, want %q", failure.Message, test.want)
			}
			if strings.Contains(failure.Error(), "canary") || strings.ContainsAny(failure.Error(), "\n\a") {
				t.Errorf("the error shows too much: %q", failure.Error())
			}
		})
	}
	long, _ := json.Marshal(map[string]any{"code": 1, "msg": strings.Repeat("错 误", 500)})
	_, err := endpointOf(t, source, answered(200, typed("application/json"), string(long))).Obtain(t.Context(), token.Params{})
	failure, ok := errors.AsType[*token.Failure](err)
	if !ok || utf8.RuneCountInString(failure.Message) != maxMessage {
		t.Errorf("a long message has %d characters", utf8.RuneCountInString(failure.Message))
	}
}

// What was sent and what came is told, and holds no secret: neither as it is nor
// as a URL, a signature or Basic spells it.
func TestExchange(t *testing.T) {
	for name, source := range map[string]string{
		"json": `credential app_key canary-key
			credential app_secret canary/secret=1
			obtain https://crm.example.com/token/get`,
		"form": `dialect oauth2
			credential client_id canary-key
			credential client_secret canary/secret=1
			obtain https://crm.example.com/token/get`,
		"basic": `dialect oauth2_basic
			credential client_id canary-key
			credential client_secret canary/secret=1
			obtain https://crm.example.com/token/get`,
		"query": "dialect none\ncredential id canary-key\ncredential secret canary/secret=1\naccess_token .access_token\nobtain GET https://crm.example.com/token/get {\nquery `{id: $id, x: $secret, y: ($secret | md5)}`\nheaders `{\"X-Z\": ($secret | sha256)}`\n}",
	} {
		t.Run(name, func(t *testing.T) {
			var hidden []string
			e := endpointOf(t, source, trip(func(req *http.Request) (*http.Response, error) {
				echo, _ := json.Marshal(map[string]any{
					"code": "9", "msg": "bad sign", "access_token": 5, "sent": req.URL.RawQuery + " " + req.Header.Get("Authorization"), "echo": bodyOf(req),
				})
				hidden = append(hidden, strings.TrimPrefix(req.Header.Get("Authorization"), "Basic "), req.URL.Query().Get("y"), req.Header.Get("X-Z"))
				return answered(400, typed("application/json"), string(echo))(req)
			}))
			_, err := e.Obtain(t.Context(), token.Params{})
			failure, ok := errors.AsType[*token.Failure](err)
			if !ok || failure.Exchange == nil {
				t.Fatalf("got %v", err)
			}
			x := failure.Exchange
			if x.How != "obtain" || x.Status != 400 || x.Error == "" || !strings.HasPrefix(x.Request.URL, "https://crm.example.com/token/get") || x.Request.Headers["User-Agent"] != "switchboard" {
				t.Errorf("got %+v", x)
			}
			text, _ := json.Marshal(x)
			for _, secret := range append(hidden, "canary-key", "canary/secret", "canary%2Fsecret") {
				if secret != "" && strings.Contains(string(text), secret) {
					t.Errorf("%q is shown: %s", secret, text)
				}
			}
			if !strings.Contains(string(text), "bad sign") {
				t.Errorf("the message is hidden: %s", text)
			}
		})
	}
}

// A good answer is shown without its tokens, whatever they are called.
func TestExchangeOfAGrant(t *testing.T) {
	e := endpointOf(t, "dialect none\ncredential id i\naccess_token .t\nrefresh_token .r\nobtain https://a.example/token {\njson `{id: $id, grant_type: \"client_credentials\"}`\n}",
		answered(200, typed("application/json"), `{"t":"plain-token","r":"other-token","scope":"read write"}`))
	grant, err := e.Obtain(t.Context(), token.Params{})
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(grant.Exchange)
	if strings.Contains(string(text), "-token") || !strings.Contains(string(text), "read write") || !strings.Contains(string(text), "client_credentials") {
		t.Errorf("got %s", text)
	}
}
