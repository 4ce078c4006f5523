package issuer

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func parse(t *testing.T, text string) (string, *Issuer, error) {
	t.Helper()
	d := caddyfile.NewTestDispenser(text)
	d.Next()
	return Parse(d)
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
	}{
		{
			"least", "issuer partner {\n client {env.K} {env.S}\n}",
			`{"clients":[{"key":"{env.K}","secret":"{env.S}"}]}`,
		},
		{
			"all", `issuer partner {
				client {env.K} {env.S}
				client {env.K} {file./run/secrets/next}
				client b c
				lifetime 1d
				accept header Authorization "Bearer {token}"
				errors 200
			}`,
			`{"clients":[{"key":"{env.K}","secret":"{env.S}"},{"key":"{env.K}","secret":"{file./run/secrets/next}"},{"key":"b","secret":"c"}],` +
				`"lifetime":86400000000000,"accept":{"in":"header","name":"Authorization","template":"Bearer {token}"},"errors":200}`,
		},
		{
			"header", "issuer partner {\n client a b\n accept header token\n}",
			`{"clients":[{"key":"a","secret":"b"}],"accept":{"in":"header","name":"token"}}`,
		},
		{
			"query", "issuer partner {\n client a b\n accept query access_token\n errors 401\n}",
			`{"clients":[{"key":"a","secret":"b"}],"accept":{"in":"query","name":"access_token"},"errors":401}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			name, i, err := parse(t, c.text)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(i)
			if err != nil {
				t.Fatal(err)
			}
			if name != "partner" || string(got) != c.want {
				t.Errorf("%s\n got %s\nwant %s", name, got, c.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	block := func(lines ...string) string {
		return "issuer p {\n client a b\n " + strings.Join(lines, "\n ") + "\n}"
	}
	for _, c := range []struct {
		name, text, want string
	}{
		{"no name", "issuer", "issuer NAME"},
		{"bad name", "issuer a/b {\n client a b\n}", "name of an issuer"},
		{"two names", "issuer a b {\n client a b\n}", "wrong argument count"},
		{"no block", "issuer p", "there is no client"},
		{"no client", "issuer p {\n errors 401\n}", "issuer p: there is no client; write `client KEY SECRET`"},
		{"client without secret", "issuer p {\n client a\n}", "client takes a key and a secret"},
		{"client with more", "issuer p {\n client a b c\n}", "client takes a key and a secret"},
		{"unknown", block("secret x"), "unrecognized subdirective 'secret' of issuer; known are"},
		{"lifetime twice", block("lifetime 1h", "lifetime 2h"), "lifetime is already set in line 3"},
		{"no lifetime", block("lifetime"), "wrong argument count"},
		{"lifetime of nothing", block("lifetime 0s"), "lifetime: \"0s\" is not a duration above 0"},
		{"lifetime no duration", block("lifetime soon"), "lifetime: \"soon\" is not a valid duration"},
		{"lifetime too short", block("lifetime 1s"), "issuer p: lifetime: 1s; use 30s to 400d, at "},
		{"two lifetimes", block("lifetime 1h 2h"), "wrong argument count"},
		{"errors", block("errors 403"), "errors \"403\" is unknown; write 401 or 200"},
		{"errors no number", block("errors on"), "errors \"on\" is unknown; write 401 or 200"},
		{"no errors", block("errors"), "wrong argument count"},
		{"no accept", block("accept"), "write `header NAME [TEMPLATE]` or `query NAME`"},
		{"accept too much", block("accept header a {token} b"), "write `header NAME"},
		{"accept cookie", block("accept cookie a"), "use `header` or `query`"},
		{"accept template", block("accept header a b"), "must hold {token} once"},
		{"nested block", block("errors 401 {\n x\n }"), "takes no block; write all of its arguments on its own line"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, i, err := parse(t, c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, %v; want %q", i, err, c.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("issuer partner {\n client {env.K} {env.S}\n lifetime 2h\n accept header Authorization \"Bearer {token}\"\n errors 401\n}")
	f.Add("issuer p {\n client a b {\n c\n }\n accept query `x`\n}")
	f.Add("issuer {")
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := caddyfile.Tokenize([]byte(text), "Caddyfile")
		if err != nil {
			return
		}
		d := caddyfile.NewDispenser(tokens)
		if !d.Next() {
			return
		}
		if name, i, err := Parse(d); err == nil && (name == "" || len(i.Clients) == 0) {
			t.Errorf("parsed: %q, %v", name, i)
		}
	})
}
