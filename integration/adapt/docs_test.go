package adapt

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// What an example that is a part of a Caddyfile is put into.
const (
	aroundSite = `{
	admin off
	switchboard {
		token crm {
			static {env.APP_SECRET}
		}
		issuer partner {
			client {env.APP_KEY} {env.APP_SECRET}
		}
	}
}
http://localhost:8080 {
	bind 127.0.0.1
	EXAMPLE
}
`
	aroundSource = `{
	admin off
	switchboard {
		EXAMPLE
	}
}
`
	aroundLine = `{
	admin off
	switchboard {
		token crm {
			credential app_key {env.APP_KEY}
			credential app_secret {env.APP_SECRET}
			EXAMPLE
		}
	}
}
`
	aroundClient = `{
	admin off
	switchboard {
		issuer partner {
			EXAMPLE
		}
	}
}
`
	obtain = "obtain https://crm.example.com/token/get\n"
)

var (
	placeholder = regexp.MustCompile(`\{env\.(\w+)\}`)
	secretFile  = regexp.MustCompile(`\{file\.[^}]+\}`)
	certificate = regexp.MustCompile(`/\S+\.(pem|key)`)
	wholeSite   = regexp.MustCompile(`^\S+\.\S+ \{\n`)
	siteWords   = regexp.MustCompile(`^(@|api |customer_lookup|api_console|basic_auth|reverse_proxy|token_issuer|token_auth|route|handle|log|respond|rate_limit)`)
)

// Every example in the documents loads. Blocks with <…> or … show syntax and are
// no examples.
func TestExamplesInTheDocuments(t *testing.T) {
	documents, err := filepath.Glob(filepath.Join("..", "..", "docs", "*", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	secret, key, ca := filepath.Join(dir, "secret"), filepath.Join(dir, "key"), filepath.Join(dir, "ca.pem")
	write(t, secret, []byte("s3cret"))
	write(t, key, newKey(t))
	write(t, ca, newCertificate(t))
	found := 0
	for _, document := range documents {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for i, block := range strings.Split(string(text), "```caddyfile\n")[1:] {
			example, _, _ := strings.Cut(block, "```")
			if strings.ContainsAny(example, "<…") || strings.Contains(example, "...") || strings.Contains(example, ".jq") ||
				strings.Contains(example, "rate_limit") { // of another plugin: the examples folder has it
				continue
			}
			found++
			for _, name := range placeholder.FindAllStringSubmatch(example, -1) {
				t.Setenv(name[1], "value-of-"+name[1])
			}
			t.Setenv("APP_KEY", "ak")
			t.Setenv("APP_SECRET", "sk")
			whole := secretFile.ReplaceAllStringFunc(around(example), func(placeholder string) string {
				if strings.HasSuffix(placeholder, ".pem}") {
					return "{file." + key + "}"
				}
				return "{file." + secret + "}"
			})
			whole = certificate.ReplaceAllString(whole, ca)
			if _, err := load([]byte(whole)); err != nil {
				t.Errorf("%s, example %d: %v\n%s", filepath.Base(document), i+1, err, example)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d examples were found", found)
	}
}

// around puts an example into the Caddyfile that it is a part of.
func around(example string) string {
	begin := strings.TrimSpace(example)
	switch {
	case strings.HasPrefix(begin, "{"), wholeSite.MatchString(begin):
		return example
	case siteWords.MatchString(begin):
		return strings.Replace(aroundSite, "EXAMPLE", example, 1)
	case strings.HasPrefix(begin, "token "), strings.HasPrefix(begin, "issuer "), strings.HasPrefix(begin, "customers "), strings.HasPrefix(begin, "define "):
		return strings.Replace(aroundSource, "EXAMPLE", example, 1)
	case strings.HasPrefix(begin, "client "):
		return strings.Replace(aroundClient, "EXAMPLE", example, 1)
	case !strings.Contains(example, "obtain") && !strings.Contains(example, "static"):
		example = obtain + example
	}
	return strings.Replace(aroundLine, "EXAMPLE", example, 1)
}

func write(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// newKey makes a private key that RS256 can use.
func newKey(t *testing.T) []byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
}

// newCertificate makes a certificate and its key, in one file.
func newCertificate(t *testing.T) []byte {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
}
