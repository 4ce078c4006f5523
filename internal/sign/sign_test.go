package sign_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/switchboard-ivr/switchboard/internal/sign"
)

const (
	// RFC 7515, A.1 to A.3, as JSON Web Keys.
	rfc7515RSA = `{"kty":"RSA","e":"AQAB",
		"n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
		"d":"Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",
		"p":"4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
		"q":"uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc"}`
	rfc7515EC = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
		"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}`
	rfc7515Payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
	rfc7515RS256   = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
	// RFC 7515, A.4
	rfc7515P521 = `{"kty":"EC","crv":"P-521","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
		"y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
		"d":"AY5pb7A0UFiB3RELSD64fTLOSV_jazdF7fLYyuTw8lOfRhWg6Y6rUrPAxerEzgdRhajnu0ferB0d53vM9mE15j2C"}`
	// RFC 8037, A.1
	rfc8037 = `{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
)

// key reads a JSON Web Key.
func key(t *testing.T, jwk string) any {
	t.Helper()
	var k jose.JSONWebKey
	if err := k.UnmarshalJSON([]byte(jwk)); err != nil {
		t.Fatal(err)
	}
	return k.Key
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// pkcs8 writes a private key in PEM.
func pkcs8(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return block("PRIVATE KEY", der)
}

func generate(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestVectors(t *testing.T) {
	t.Parallel()
	secret, err := base64.RawURLEncoding.DecodeString("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ alg, key, message, want string }{
		"RFC 7515, A.1": {"HS256", string(secret), "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + rfc7515Payload, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
		"RFC 7515, A.2": {"RS256", pkcs8(t, key(t, rfc7515RSA)), "eyJhbGciOiJSUzI1NiJ9." + rfc7515Payload, rfc7515RS256},
		"RFC 8037, A.4": {
			"EdDSA", pkcs8(t, key(t, rfc8037)), "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
			"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
		},
	} {
		got, err := sign.Sign(tt.alg, tt.key, []byte(tt.message))
		if err != nil || base64.RawURLEncoding.EncodeToString(got) != tt.want {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
}

// Another implementation verifies what is signed with each algorithm. That of
// RFC 7515, A.3 and A.4 are among them: ES256 and ES512 give another signature each
// time.
func TestVerified(t *testing.T) {
	t.Parallel()
	secret := strings.Repeat("s", 64)
	rsaKey, ecKey := key(t, rfc7515RSA).(*rsa.PrivateKey), key(t, rfc7515EC).(*ecdsa.PrivateKey)
	p384, p521 := generate(t, elliptic.P384()), key(t, rfc7515P521).(*ecdsa.PrivateKey)
	edKey := key(t, rfc8037).(ed25519.PrivateKey)
	for _, tt := range []struct {
		alg, key string
		public   any
	}{
		{"HS256", secret, []byte(secret)},
		{"HS384", secret, []byte(secret)},
		{"HS512", secret, []byte(secret)},
		{"RS256", pkcs8(t, rsaKey), rsaKey.Public()},
		{"RS384", pkcs8(t, rsaKey), rsaKey.Public()},
		{"RS512", pkcs8(t, rsaKey), rsaKey.Public()},
		{"PS256", pkcs8(t, rsaKey), rsaKey.Public()},
		{"PS384", pkcs8(t, rsaKey), rsaKey.Public()},
		{"PS512", pkcs8(t, rsaKey), rsaKey.Public()},
		{"ES256", pkcs8(t, ecKey), ecKey.Public()},
		{"ES384", pkcs8(t, p384), p384.Public()},
		{"ES512", pkcs8(t, p521), p521.Public()},
		{"EdDSA", pkcs8(t, edKey), edKey.Public()},
	} {
		if !sign.Known(tt.alg) || sign.Secret(tt.alg) != strings.HasPrefix(tt.alg, "HS") {
			t.Errorf("%s is not known", tt.alg)
		}
		for range 20 { // short numbers are filled up in some
			header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"` + tt.alg + `"}`))
			message := header + "." + rfc7515Payload
			got, err := sign.Sign(tt.alg, tt.key, []byte(message))
			if err != nil {
				t.Errorf("%s: %v", tt.alg, err)
				break
			}
			token, err := jose.ParseSigned(message+"."+base64.RawURLEncoding.EncodeToString(got), []jose.SignatureAlgorithm{jose.SignatureAlgorithm(tt.alg)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := token.Verify(tt.public); err != nil {
				t.Errorf("%s: %v", tt.alg, err)
				break
			}
		}
	}
}

// Keys come in many shapes; all of these are one.
func TestShapesOfKeys(t *testing.T) {
	t.Parallel()
	rsaKey, ecKey := key(t, rfc7515RSA).(*rsa.PrivateKey), key(t, rfc7515EC).(*ecdsa.PrivateKey)
	sec1, err := x509.MarshalECPrivateKey(ecKey)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := x509.MarshalPKCS1PrivateKey(rsaKey)
	plain := pkcs8(t, rsaKey)
	for name, tt := range map[string]struct {
		text string
		want interface {
			Equal(x crypto.PrivateKey) bool
		}
	}{
		"PKCS #8":                 {plain, rsaKey},
		"PKCS #1":                 {block("RSA PRIVATE KEY", pkcs1), rsaKey},
		"SEC 1":                   {block("EC PRIVATE KEY", sec1), ecKey},
		"SEC 1 with parameters":   {block("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}) + block("EC PRIVATE KEY", sec1), ecKey},
		"behind a certificate":    {block("CERTIFICATE", []byte{1}) + plain, rsaKey},
		"as in an environment":    {strings.ReplaceAll(plain, "\n", `\n`), rsaKey},
		"Windows line ends":       {strings.ReplaceAll(plain, "\n", "\r\n"), rsaKey},
		"blanks around it":        {"\n  " + plain + "\n\n", rsaKey},
		"indented":                {"\t" + strings.ReplaceAll(plain, "\n", "\n\t"), rsaKey},
		"without the PEM lines":   {base64.StdEncoding.EncodeToString(der), rsaKey},
		"the same over lines":     {strings.Join(strings.Split(plain, "\n")[1:27], "\n"), rsaKey},
		"PKCS #1 without lines":   {base64.StdEncoding.EncodeToString(pkcs1), rsaKey},
		"the wrong name of block": {block("PRIVATE KEY", pkcs1), rsaKey},
	} {
		if got, err := sign.Key(tt.text); err != nil || !tt.want.Equal(got) {
			t.Errorf("%s: %T, %v", name, got, err)
		}
	}
}

// A bad key is named without any part of it.
func TestBadKeys(t *testing.T) {
	t.Parallel()
	rsaKey, ecKey, edKey := key(t, rfc7515RSA).(*rsa.PrivateKey), key(t, rfc7515EC).(*ecdsa.PrivateKey), key(t, rfc8037)
	public, err := x509.MarshalPKIXPublicKey(rsaKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ alg, key, want string }{
		"unknown algorithm":    {"none", "k", "algorithm is not known"},
		"no secret":            {"HS256", "", "the secret is blank"},
		"no key":               {"RS256", "", "not a private key"},
		"a secret":             {"RS256", "sEcReT!", "not a private key"},
		"base64 of else":       {"RS256", "c0VjUmVU", "not a private key"},
		"a broken block":       {"RS256", "-----BEGIN PRIVATE KEY-----\nsEcReT\n", "not a private key"},
		"a block of else":      {"RS256", block("PRIVATE KEY", []byte("sEcReT")), "not a private key"},
		"far too long":         {"RS256", strings.Repeat(" ", 65<<10) + pkcs8(t, rsaKey), "not a private key"},
		"a public key":         {"RS256", block("PUBLIC KEY", public), "a private key is needed"},
		"a certificate":        {"RS256", block("CERTIFICATE", []byte("sEcReT")), "a private key is needed"},
		"a passphrase":         {"RS256", block("ENCRYPTED PRIVATE KEY", []byte("sEcReT")), "protected by a passphrase"},
		"an older passphrase":  {"RS256", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nc0VjUmVU\n-----END RSA PRIVATE KEY-----\n", "protected by a passphrase"},
		"EC for RS256":         {"RS256", pkcs8(t, ecKey), "needs an RSA key"},
		"Ed25519 for PS256":    {"PS256", pkcs8(t, edKey), "needs an RSA key"},
		"RSA for ES256":        {"ES256", pkcs8(t, rsaKey), "needs an elliptic curve key"},
		"RSA for EdDSA":        {"EdDSA", pkcs8(t, rsaKey), "needs an Ed25519 key"},
		"P-256 for ES384":      {"ES384", pkcs8(t, ecKey), "another curve"},
		"P-224 for ES256":      {"ES256", pkcs8(t, generate(t, elliptic.P224())), "another curve"},
		"PEM for HS256":        {"HS256", pkcs8(t, rsaKey), "takes a shared secret"},
		"public key for HS512": {"HS512", "\n" + block("PUBLIC KEY", public), "takes a shared secret"},
	} {
		got, err := sign.Sign(tt.alg, tt.key, []byte("m"))
		if err == nil || !strings.Contains(err.Error(), tt.want) || got != nil {
			t.Errorf("%s: %x, %v; want an error with %q", name, got, err, tt.want)
		}
		if err != nil && strings.Contains(strings.ToLower(err.Error()), "secret!") {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
}

// A file that begins like a key is checked when it is read. Certificates and public
// keys are no mistake there: a program may send them.
func TestCheckPEM(t *testing.T) {
	t.Parallel()
	rsaKey := key(t, rfc7515RSA).(*rsa.PrivateKey)
	public, err := x509.MarshalPKIXPublicKey(rsaKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ text, want string }{
		"a key":                  {pkcs8(t, rsaKey), ""},
		"a key below its name":   {"Bag Attributes\n" + pkcs8(t, rsaKey), ""},
		"a key in a text file":   {"\ufeff" + pkcs8(t, rsaKey), ""},
		"cut off in a text file": {"\ufeff" + pkcs8(t, rsaKey)[:900], "not a private key"},
		"a public key":           {block("PUBLIC KEY", public), ""},
		"a certificate":          {block("CERTIFICATE", []byte("c")), ""},
		"a secret":               {"s-----BEGIN", ""},
		"a key within JSON":      {`{"private_key": "-----BEGIN PRIVATE KEY-----\nAA=="}`, ""},
		"nothing":                {"", ""},
		"cut off":                {pkcs8(t, rsaKey)[:900], "not a private key"},
		"cut off below its name": {"Bag Attributes\n" + pkcs8(t, rsaKey)[:900], "not a private key"},
		"of another program":     {block("OPENSSH PRIVATE KEY", []byte("k")), "not a private key"},
		"protected":              {block("ENCRYPTED PRIVATE KEY", []byte("k")), "protected by a passphrase"},
	} {
		if err := sign.CheckPEM(tt.text); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// Windows editors write a byte order mark before the text of a key.
func TestByteOrderMarkBeforeKey(t *testing.T) {
	t.Parallel()
	plain := pkcs8(t, key(t, rfc7515RSA))
	lines := strings.Split(strings.TrimSpace(plain), "\n")
	for name, text := range map[string]string{
		"PEM":               "\ufeff" + plain,
		"PEM behind blanks": " \r\n\ufeff\r\n" + strings.ReplaceAll(plain, "\n", "\r\n"),
		"lines alone":       "\ufeff" + strings.Join(lines[1:len(lines)-1], "\n"),
	} {
		if _, err := sign.Key(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFitting(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		pkcs8(t, key(t, rfc7515RSA)): "PS256 PS384 PS512 RS256 RS384 RS512",
		pkcs8(t, key(t, rfc7515EC)):  "ES256",
		pkcs8(t, key(t, rfc8037)):    "EdDSA",
		"secret":                     "HS256 HS384 HS512",
		"":                           "",
	} {
		if got := strings.Join(sign.Fitting(key), " "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Many keys from many calls are no more than a bounded few in memory, and each
// signature is that of its own key.
func TestManyKeys(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				public, private, err := ed25519.GenerateKey(rand.Reader)
				if err != nil {
					t.Error(err)
					return
				}
				text := pkcs8(t, private)
				for range 2 {
					got, err := sign.Sign("EdDSA", text, []byte("m"))
					if err != nil || !ed25519.Verify(public, []byte("m"), got) || !bytes.Equal(got, ed25519.Sign(private, []byte("m"))) {
						t.Errorf("%x, %v", got, err)
					}
				}
			}
		})
	}
	wg.Wait()
}

func FuzzKey(f *testing.F) {
	f.Add("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v_VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n")
	f.Add(`-----BEGIN RSA PRIVATE KEY-----\nAA==\n-----END RSA PRIVATE KEY-----`)
	f.Add("MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := sign.Key(text)
		if (key == nil) == (err == nil) {
			t.Errorf("%v, %v", key, err)
		}
		if err == nil && sign.CheckPEM(text) != nil {
			t.Errorf("a key that can be parsed is refused: %v", sign.CheckPEM(text))
		}
		for _, alg := range []string{"RS256", "PS512", "ES256", "EdDSA"} {
			if got, err := sign.Sign(alg, text, []byte("m")); (err == nil) != (len(got) > 0) {
				t.Errorf("%s: %x, %v", alg, got, err)
			}
		}
	})
}
