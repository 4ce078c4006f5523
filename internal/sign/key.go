package sign

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
	"sync"
)

const maxText = 64 << 10

var (
	errEncrypted = errors.New("the key is protected by a passphrase; write it without one, for example with `openssl pkey -in key.pem -out plain.pem`")
	errPublic    = errors.New("this is a public key or a certificate; a private key is needed")
	errKey       = errors.New("this is not a private key in PEM (PKCS #8, PKCS #1 or SEC 1)")
)

// Key parses a private key: RSA, elliptic curve or Ed25519, in PEM as PKCS #8,
// PKCS #1 or SEC 1; other blocks beside it, such as certificates, and blanks
// around its lines don't matter. Line breaks may be written as \n, as in an
// environment variable, and the BEGIN and END lines may be missing, as some
// payment providers give a key. A text is at most 64 KiB.
func Key(text string) (crypto.PrivateKey, error) {
	if len(text) > maxText {
		return nil, errKey
	}
	lines := strings.Split(strings.ReplaceAll(text, `\n`, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line) // pem is strict about the beginning of a line
	}
	text = strings.Join(lines, "\n")
	if !strings.Contains(text, "-----BEGIN") {
		der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
		if err != nil {
			return nil, errKey
		}
		return parse(der)
	}
	err := errKey
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, err
		}
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY", block.Headers["DEK-Info"] != "":
			return nil, errEncrypted
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return parse(block.Bytes)
		case strings.HasSuffix(block.Type, "PUBLIC KEY"), block.Type == "CERTIFICATE":
			err = errPublic
		}
	}
}

func parse(der []byte) (crypto.PrivateKey, error) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	return nil, errKey
}

// maxKeys is how many parsed keys are kept. A configuration has a few; a program
// that signs with keys from elsewhere must not fill the memory.
const maxKeys = 64

// cache holds parsed keys by their text: parsing takes as long as signing.
var cache struct {
	sync.RWMutex
	keys map[string]crypto.PrivateKey
}

// parsed is Key, which it asks once for each text.
func parsed(text string) (crypto.PrivateKey, error) {
	cache.RLock()
	key, ok := cache.keys[text]
	cache.RUnlock()
	if ok {
		return key, nil
	}
	key, err := Key(text)
	if err != nil {
		return nil, err
	}
	cache.Lock()
	defer cache.Unlock()
	if cache.keys == nil || len(cache.keys) >= maxKeys {
		cache.keys = make(map[string]crypto.PrivateKey)
	}
	cache.keys[text] = key
	return key, nil
}
