package jq

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// Robot hooks and many clouds want the raw bytes in base64, which jq's own
// `hmac(…) | @base64` does not give: that is base64 of the hex digits.
func TestRawBytes(t *testing.T) {
	t.Parallel()
	// RFC 4231, 4.2 and 4.3, in base64
	yields(t, `hmac("sha256"; "Jefe"; "text"; "hex")`, "what do ya want for nothing?", `"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"`)
	yields(t, `hmac("sha256"; "Jefe"; "text"; "base64")`, "what do ya want for nothing?", `"W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="`)
	yields(t, `hmac("sha256"; "4a656665"; "hex"; "base64url")`, "what do ya want for nothing?", `"W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM"`)
	yields(t, `hmac("sha256"; "SmVmZQ=="; "base64"; "base64")`, "what do ya want for nothing?", `"W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="`)
	yields(t, `hmac("sha384"; "Jefe")`, "what do ya want for nothing?",
		`"af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"`)
	// RFC 7515, A.1: the key is in base64url, the signing input a text
	yields(t, `hmac("sha256"; "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"; "base64"; "base64url")`,
		"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
		`"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"`)
	yields(t, `hmac("sha256"; "k"; "text"; .)`, "octal", "")
	yields(t, `hmac("sha256"; "k"; "text"; 1)`, "x", "")

	yields(t, `digest("sha256"; "hex") == sha256`, "abc", `true`)
	yields(t, `digest("md5"; "base64")`, "abc", `"kAFQmDzST7DWlj99KOF/cg=="`)
	yields(t, `digest("md5"; "base64url")`, "abc", `"kAFQmDzST7DWlj99KOF_cg"`)
	yields(t, `digest("sha1"; "base64")`, "", `"2jmj7l5rSw0yVb/vlWAYkK/YBwk="`)
	yields(t, `digest("md5"; "hex")`, 1, "")
	yields(t, `digest(.; "hex")`, "sha3", "")
	yields(t, `digest("md5"; .)`, "octal", "")
}

func privateKeys(t *testing.T) (rsaKey *rsa.PrivateKey, ecKey *ecdsa.PrivateKey, rsaText, ecText string) {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if ecKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	text := func(key any) string {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	return rsaKey, ecKey, text(rsaKey), text(ecKey)
}

func TestJWT(t *testing.T) {
	t.Parallel()
	// what jwt.io has made of this for years, with the header in the order of its keys
	yields(t, `jwt("HS256"; "your-256-bit-secret")`, map[string]any{"sub": "1234567890"},
		`"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.`+
			hs256(t, "your-256-bit-secret", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0")+`"`)

	rsaKey, ecKey, rsaText, ecText := privateKeys(t)
	spec := Spec{Vars: []string{"key"}, Want: String}
	for _, tt := range []struct {
		src, key string
		public   any
		alg      string
		header   map[string]any
	}{
		{`jwt("HS256"; $key)`, strings.Repeat("s", 32), []byte(strings.Repeat("s", 32)), "HS256", map[string]any{"typ": "JWT"}},
		{`jwt("RS256"; $key)`, rsaText, rsaKey.Public(), "RS256", map[string]any{"typ": "JWT"}},
		{`jwt("PS384"; $key; {kid: "k1"})`, rsaText, rsaKey.Public(), "PS384", map[string]any{"typ": "JWT", "kid": "k1"}},
		{`jwt("ES256"; $key; {kid: "k1", typ: null, alg: "none"})`, ecText, ecKey.Public(), "ES256", map[string]any{"kid": "k1"}},
	} {
		out, err := compile(t, `{iss: "joe", exp: 1300819380, n: 1.10} | `+tt.src, spec).Run(t.Context(), nil, tt.key)
		if err != nil {
			t.Errorf("%s: %v", tt.src, err)
			continue
		}
		token, err := josejwt.ParseSigned(out.(string), []jose.SignatureAlgorithm{jose.SignatureAlgorithm(tt.alg)})
		if err != nil {
			t.Errorf("%s: %v", tt.src, err)
			continue
		}
		var claims map[string]any
		if err := token.Claims(tt.public, &claims); err != nil || claims["iss"] != "joe" || claims["exp"] != 1300819380.0 || claims["n"] != 1.1 {
			t.Errorf("%s: %v, %v", tt.src, claims, err)
		}
		head, _, _ := strings.Cut(out.(string), ".")
		text, err := base64.RawURLEncoding.DecodeString(head)
		if err != nil {
			t.Fatal(err)
		}
		tt.header["alg"] = tt.alg
		if got, want := string(text), encode(t, tt.header); got != want {
			t.Errorf("%s: header %s, want %s", tt.src, got, want)
		}
	}
}

func hs256(t *testing.T, key, text string) string {
	t.Helper()
	out, err := compile(t, `hmac("sha256"; $key; "text"; "base64url")`, Spec{Vars: []string{"key"}}).Run(t.Context(), text, key)
	if err != nil {
		t.Fatal(err)
	}
	return out.(string)
}

// The recipes of docs/guides/jq-in-a-caddyfile.md.
func TestRecipes(t *testing.T) {
	t.Parallel()
	const define = `def hs256($key): "\({alg: "HS256", typ: "JWT"} | tojson | base64url).\(tojson | base64url)"
		| "\(.).\(hmac("sha256"; $key; "base64"; "base64url"))";`
	secret := []byte(strings.Repeat("\xff\x00", 16))
	out, err := compile(t, `{iss: "joe"} | hs256($key)`, Spec{Vars: []string{"key"}, Define: define}).
		Run(t.Context(), nil, base64.StdEncoding.EncodeToString(secret))
	if err != nil {
		t.Fatal(err)
	}
	token, err := josejwt.ParseSigned(out.(string), []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := token.Claims(secret, &claims); err != nil || claims["iss"] != "joe" {
		t.Errorf("%v, %v", claims, err)
	}
	// of a text with a line break, under itself as the key; computed with openssl dgst -hmac
	yields(t, `"\(.t)\n\(.s)" | hmac("sha256"; "SECabc"; "text"; "base64")`, map[string]any{"t": 1700000000000, "s": "SECabc"}, `"jcUpW0QmtKduN03n4JqQ0PBosVjqnM8gU7fIIvsDmCM="`)
}

func TestSign(t *testing.T) {
	t.Parallel()
	_, _, rsaText, ecText := privateKeys(t)
	spec := Spec{Vars: []string{"key"}}
	// RS256 gives the same each time, in each encoding
	out, err := compile(t, `[sign("RS256"; $key; "base64"), sign("RS256"; $key; "hex"), sign("RS256"; $key; "base64url")]`, spec).Run(t.Context(), "text", rsaText)
	if err != nil {
		t.Fatal(err)
	}
	list := out.([]any)
	raw, err := base64.StdEncoding.DecodeString(list[0].(string))
	if err != nil || len(raw) != 256 || encodings["hex"](raw) != list[1] || encodings["base64url"](raw) != list[2] {
		t.Errorf("%v, %v", list, err)
	}
	if out, err := compile(t, `sign("ES256"; $key; "hex") | length`, spec).Run(t.Context(), "text", ecText); err != nil || out != 128 {
		t.Errorf("ES256: %v, %v", out, err)
	}
}

// What is wrong is said without the key.
func TestSignatureErrors(t *testing.T) {
	t.Parallel()
	_, _, rsaText, ecText := privateKeys(t)
	for _, tt := range []struct{ src, key, want string }{
		{`"t" | sign("RS256"; $key; "hex")`, "sEcReT", "jq: program failed: sign: this is not a private key in PEM (PKCS #8, PKCS #1 or SEC 1)"},
		{`"t" | sign("RS256"; $key; "hex")`, ecText, "jq: program failed: sign: the algorithm needs an RSA key, and this is one of another kind"},
		{`"t" | sign("ES384"; $key; "hex")`, ecText, "jq: program failed: sign: the key is on another curve than the algorithm's: ES256 has P-256, ES384 P-384, ES512 P-521"},
		{`{} | jwt("ES256"; $key)`, rsaText, "jq: program failed: jwt: the algorithm needs an elliptic curve key, and this is one of another kind"},
		{`{} | jwt("HS256"; $key)`, "", "jq: program failed: jwt: the secret is blank"},
		{`"t" | jwt("HS256"; $key)`, "sEcReT", "jq: program failed: jwt needs an object of claims, and strings for its algorithm and key"},
		{`{} | jwt("HS256"; $key; "x")`, "sEcReT", "jq: program failed: jwt's header is an object"},
		{`{} | jwt($key; "x")`, "none", "jq: program failed: jwt knows HS, RS, PS and ES with 256, 384 or 512, and EdDSA"},
		{`1 | sign("RS256"; $key; "hex")`, rsaText, "jq: program failed: sign needs a string, and strings for its algorithm, key and encoding"},
		{`"t" | sign($key; "x"; "hex")`, "HS256", "jq: program failed: sign knows RS, PS and ES with 256, 384 or 512, and EdDSA; for a shared secret there is hmac"},
		{`"t" | sign("RS256"; "x"; $key)`, "octal", `jq: program failed: bytes are written in "hex", "base64" or "base64url"`},
	} {
		_, err := compile(t, tt.src, Spec{Vars: []string{"key"}}).Run(t.Context(), nil, tt.key)
		if !errors.Is(err, ErrFailed) || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", tt.src, err, tt.want)
		}
	}
}

// PHP's APIs answer [] for an object without members; `== null` misses it.
func TestBlank(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		`null`: true, `""`: true, `[]`: true, `{}`: true,
		`" "`: false, `0`: false, `false`: false, `[null]`: false, `{"a":null}`: false, `[[]]`: false,
	} {
		for _, src := range []string{`blank`, `[.][0] | blank`, `blank and true`} { // with and without a machine
			got, err := compile(t, src, Spec{Want: Predicate}).Test(t.Context(), decode(t, in))
			if err != nil || got != want {
				t.Errorf("%s | %s: %v, %v", in, src, got, err)
			}
		}
	}
}

// What an API answers is decoded in part; that something is in there must be seen.
func TestBlankOfAPart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		src, doc string
		want     bool
	}{
		{`.data | blank`, `{"data":[]}`, true},
		{`.data | blank`, `{"data":{}}`, true},
		{`.data | blank`, `{"data":""}`, true},
		{`.data | blank`, `{"data":null}`, true},
		{`.data | blank`, `{"code":1}`, true},
		{`.data | blank`, `{"data":{"name":"Ann"}}`, false},
		{`.data | blank`, `{"data":{"name":null}}`, false},
		{`.data | blank`, `{"data":[{}]}`, false},
		{`.data | blank`, `{"data":[null]}`, false},
		{`.data | blank`, `{"data":[[]]}`, false},
		{`blank`, `{}`, true},
		{`blank`, `{"a":1}`, false},
		{`.data.list | blank`, `{"data":{"list":[1]}}`, false},
		{`(.data | blank) or .data.name == "Ann"`, `{"data":{"x":1}}`, false},
		{`(.data | blank) or .data.name == "Ann"`, `{"data":{"name":"Ann"}}`, true},
		{`(.data | blank | not) and .data.name == null`, `{"data":{"x":1}}`, true},
	} {
		p := compile(t, tt.src, Spec{Want: Predicate})
		doc, err := jsonval.DecodePart([]byte(tt.doc), jsonval.Limits{}, Project(p))
		if err != nil {
			t.Fatal(err)
		}
		if Project(p) == nil {
			t.Errorf("%s needs everything", tt.src)
		}
		if got, err := p.Test(t.Context(), doc); err != nil || got != tt.want {
			t.Errorf("%s of %s, decoded as %s: %v, %v", tt.src, tt.doc, encode(t, doc), got, err)
		}
	}
}
