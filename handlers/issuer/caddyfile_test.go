package issuer

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Whatever stands behind the directive: it is one name, or an error that says
// what to write.
func FuzzUnmarshalCaddyfile(f *testing.F) {
	f.Add("token_issuer partner")
	f.Add("token_issuer \"part ner\"")
	f.Add("token_issuer")
	f.Add("token_issuer a b")
	f.Add("token_issuer a {\n errors 200\n}")
	f.Add("token_issuer {\n}")
	f.Add("token_issuer \"\"")
	f.Add("token_issuer `a\nb`\ntoken_issuer b")
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := caddyfile.Tokenize([]byte(text), "Caddyfile")
		if err != nil || len(tokens) == 0 {
			return
		}
		var handler TokenIssuer
		err = handler.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens))
		switch {
		case err == nil && (len(tokens) < 2 || handler.Issuer == "" || handler.Issuer != tokens[1].Text):
			t.Fatalf("%q: the issuer is %q", text, handler.Issuer)
		case err != nil && (!strings.Contains(err.Error(), "token_issuer takes") || !strings.Contains(err.Error(), "Caddyfile:")):
			t.Fatalf("%q: %v", text, err)
		}
	})
}
