package source

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// edKey is the key of RFC 8037, A.1.
const edKey = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----"

// keyFiles writes keys of each kind, and returns their placeholders by kind.
func keyFiles(t *testing.T) (files map[string]string, rsaKey *rsa.PrivateKey) {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	files = map[string]string{}
	dir := t.TempDir()
	write := func(kind, text string) {
		file := filepath.Join(dir, kind)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		files[kind] = "{file." + file + "}"
	}
	for kind, key := range map[string]any{"rsa": rsaKey, "ec": ecKey, "ed": ed} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		write(kind, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	}
	write("broken", "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----\n")
	write("secret", "canary")
	return files, rsaKey
}

// A key that isn't one, or of the wrong kind, once failed each sign-in.
func TestKeysAreCheckedAtLoad(t *testing.T) {
	files, _ := keyFiles(t)
	for name, test := range map[string]struct{ key, algorithm, more, want string }{
		"RSA":                          {"rsa", `"RS256"`, "", ""},
		"RSA for PS512":                {"rsa", `"PS512"`, "", ""},
		"EC":                           {"ec", `"ES256"`, "", ""},
		"Ed25519":                      {"ed", `"EdDSA"`, "", ""},
		"a secret":                     {"secret", `"HS256"`, "", ""},
		"EC for RS256":                 {"ec", `"RS256"`, "", "credential key: RS256 can't use it: the algorithm needs an RSA key, and this is one of another kind; this key fits ES256, at Testfile:3"},
		"RSA for ES256":                {"rsa", `"ES256"`, "", "this key fits PS256, PS384, PS512, RS256, RS384, RS512, at Testfile:3"},
		"EC P-256 for ES512":           {"ec", `"ES512"`, "", "another curve"},
		"a secret for RS256":           {"secret", `"RS256"`, "", "credential key: RS256 can't use it: this is not a private key in PEM"},
		"PEM for HS256":                {"rsa", `"HS256"`, "", "takes a shared secret"},
		"broken":                       {"broken", `"RS256"`, "", "credential key: this is not a private key in PEM (PKCS #8, PKCS #1 or SEC 1), at Testfile:3"},
		"by a credential":              {"ec", `$algorithm // "RS256"`, "credential algorithm ES256", ""},
		"by a default":                 {"ec", `$algorithm // "RS256"`, "optional algorithm", "RS256 can't use it"},
		"by a wrong credential":        {"ec", `$algorithm // "RS256"`, "credential algorithm PS256", "PS256 can't use it"},
		"by a credential that is none": {"ec", `$algorithm // "RS256"`, "credential algorithm RSA", `credential algorithm: "RSA" is not an algorithm; this key fits ES256`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(t, "dialect none\ncredential key "+files[test.key]+"\naccess_token .t\n"+test.more+"\nobtain https://a.example/token {\nform `{a: ({iss: 1} | jwt("+test.algorithm+"; $key))}`\n}")
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Error("the error shows the key")
			}
		})
	}
}

// Where the Caddyfile is adapted on another machine, the key is missing there, and the
// check comes with the configuration.
func TestKeysAreCheckedWhenProvisioned(t *testing.T) {
	files, _ := keyFiles(t)
	t.Setenv("LATER", "")
	os.Unsetenv("LATER")
	s := mustParse(t, "dialect jwt_bearer\ncredential issuer i\ncredential private_key {env.LATER}\nobtain https://a.example/token")
	content, err := os.ReadFile(strings.Trim(files["ec"], "{}")[len("file."):])
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("LATER", string(content))
	if err := load(t, s); err == nil || !strings.Contains(err.Error(), "credential private_key: RS256 can't use it") {
		t.Errorf("got %v", err)
	}
}

// claimsOf verifies an assertion and returns its header and claims.
func claimsOf(t *testing.T, assertion string, algorithm jose.SignatureAlgorithm, public any) (header jose.Header, claims map[string]any) {
	t.Helper()
	parsed, err := josejwt.ParseSigned(assertion, []jose.SignatureAlgorithm{algorithm})
	if err != nil {
		t.Fatal(err)
	}
	if err := parsed.Claims(public, &claims); err != nil {
		t.Fatal(err)
	}
	return parsed.Headers[0], claims
}

func TestAssertions(t *testing.T) {
	files, rsaKey := keyFiles(t)
	for name, test := range map[string]struct {
		body string
		in   string // the form's parameter with the assertion
		form map[string]string
		kid  string
		want map[string]any
	}{
		"jwt_bearer": {
			"dialect jwt_bearer\ncredential issuer a@p.example\ncredential scope \"s1 s2\"\ncredential private_key " + files["rsa"] + "\nobtain https://auth.example.com/token",
			"assertion",
			map[string]string{"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"},
			"",
			map[string]any{"iss": "a@p.example", "aud": "https://auth.example.com/token", "scope": "s1 s2"},
		},
		"jwt_bearer for somebody": {
			"dialect jwt_bearer\ncredential issuer app\ncredential subject u@example.com\ncredential aud https://login.example.com\ncredential key_id k1\ncredential private_key " + files["rsa"] + "\nobtain https://auth.example.com/token",
			"assertion",
			map[string]string{"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"},
			"k1",
			map[string]any{"iss": "app", "sub": "u@example.com", "aud": "https://login.example.com"},
		},
		"oauth2_jwt": {
			"dialect oauth2_jwt\ncredential client_id app\ncredential scope \"s1 s2\"\ncredential audience api\ncredential key_id k1\ncredential private_key " + files["rsa"] + "\nobtain https://auth.example.com/token",
			"client_assertion",
			map[string]string{
				"grant_type": "client_credentials", "client_id": "app", "scope": "s1 s2", "audience": "api",
				"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
			},
			"k1",
			map[string]any{"iss": "app", "sub": "app", "aud": "https://auth.example.com/token"},
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &recorder{answer: `{"access_token":"a","expires_in":3600}`}
			if _, err := endpointOf(t, test.body, r).Obtain(t.Context(), token.Params{}); err != nil {
				t.Fatal(err)
			}
			form, err := url.ParseQuery(r.last(t).body)
			if err != nil {
				t.Fatal(err)
			}
			header, claims := claimsOf(t, form.Get(test.in), jose.RS256, rsaKey.Public())
			if jti, ok := claims["jti"].(string); !ok || len(jti) != 32 {
				t.Errorf("%s: jti %v", name, claims["jti"])
			}
			delete(claims, "jti")
			now := float64(time.Now().Unix())
			test.want["iat"], test.want["exp"] = now, now+180
			if !maps.Equal(claims, test.want) || header.KeyID != test.kid {
				t.Errorf("%s: claims %v, kid %q; want %v", name, claims, header.KeyID, test.want)
			}
			form.Del(test.in)
			sent := map[string]string{}
			for name := range form {
				sent[name] = form.Get(name)
			}
			if !maps.Equal(sent, test.form) {
				t.Errorf("%s: sent %v, want %v", name, sent, test.form)
			}
		})
	}
}

// Renewing is signed in the same way.
func TestAssertionOfRefresh(t *testing.T) {
	files, rsaKey := keyFiles(t)
	r := &recorder{answer: `{"access_token":"a","refresh_token":"r2","expires_in":3600}`}
	e := endpointOf(t, "dialect oauth2_jwt\ncredential client_id app\ncredential algorithm PS256\ncredential private_key "+files["rsa"]+"\nobtain https://auth.example.com/token\nrefresh https://auth.example.com/renew", r)
	if _, err := e.Refresh(t.Context(), token.Params{Refresh: "r1"}); err != nil {
		t.Fatal(err)
	}
	form, err := url.ParseQuery(r.last(t).body)
	if err != nil {
		t.Fatal(err)
	}
	_, claims := claimsOf(t, form.Get("client_assertion"), jose.PS256, rsaKey.Public())
	if form.Get("refresh_token") != "r1" || form.Get("grant_type") != "refresh_token" || claims["aud"] != "https://auth.example.com/renew" {
		t.Errorf("sent %v with %v", form, claims)
	}
}
