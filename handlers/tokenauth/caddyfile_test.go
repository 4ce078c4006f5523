package tokenauth

import (
	"encoding/json"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Whatever stands behind the directive: it is one handler that knows an
// issuer, or an error. A guard that lets everybody in there is not.
func FuzzParseDirective(f *testing.F) {
	f.Add("token_auth partner")
	f.Add("token_auth /api/* partner")
	f.Add("token_auth * \"part ner\"")
	f.Add("token_auth @undefined partner")
	f.Add("token_auth")
	f.Add("token_auth /api/*")
	f.Add("token_auth a b")
	f.Add("token_auth a {\n x\n}")
	f.Add("token_auth \"\"")
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := caddyfile.Tokenize([]byte(text), "Caddyfile")
		if err != nil || len(tokens) == 0 {
			return
		}
		values, err := ParseDirective(httpcaddyfile.Helper{Dispenser: caddyfile.NewDispenser(tokens)})
		if err != nil {
			return
		}
		if len(values) != 1 {
			t.Fatalf("%q: %d values", text, len(values))
		}
		route := values[0].Value.(caddyhttp.Route)
		if len(route.HandlersRaw) != 1 {
			t.Fatalf("%q: %d handlers", text, len(route.HandlersRaw))
		}
		var handler struct {
			Handler   string
			Providers map[string]Provider
		}
		if err := json.Unmarshal(route.HandlersRaw[0], &handler); err != nil {
			t.Fatal(err)
		}
		name := handler.Providers["switchboard_token"].Issuer
		if handler.Handler != "authentication" || len(handler.Providers) != 1 || name == "" {
			t.Fatalf("%q: %s", text, route.HandlersRaw[0])
		}
	})
}
