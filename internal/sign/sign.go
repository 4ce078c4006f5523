// Package sign makes digital signatures by the algorithms of JOSE (RFC 7518,
// RFC 8037), with private keys in PEM or shared secrets.
package sign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
)

// An algorithm says how to sign, and which key that takes.
type algorithm struct {
	family string // HS, RS, PS, ES or EdDSA
	hash   crypto.Hash
	bits   int // of the curve of ES
}

var algorithms = map[string]algorithm{
	"HS256": {family: "HS", hash: crypto.SHA256}, "HS384": {family: "HS", hash: crypto.SHA384}, "HS512": {family: "HS", hash: crypto.SHA512},
	"RS256": {family: "RS", hash: crypto.SHA256}, "RS384": {family: "RS", hash: crypto.SHA384}, "RS512": {family: "RS", hash: crypto.SHA512},
	"PS256": {family: "PS", hash: crypto.SHA256}, "PS384": {family: "PS", hash: crypto.SHA384}, "PS512": {family: "PS", hash: crypto.SHA512},
	"ES256": {family: "ES", hash: crypto.SHA256, bits: 256}, "ES384": {family: "ES", hash: crypto.SHA384, bits: 384},
	"ES512": {family: "ES", hash: crypto.SHA512, bits: 521},
	"EdDSA": {family: "EdDSA"},
}

// Secret reports whether the algorithm takes a shared secret instead of a
// private key: HS256, HS384 or HS512.
func Secret(alg string) bool { return algorithms[alg].family == "HS" }

// Known reports whether the algorithm is one of HS, RS, PS and ES with 256, 384
// or 512, or EdDSA.
func Known(alg string) bool { _, ok := algorithms[alg]; return ok }

// Fitting returns the algorithms that take the key, sorted.
func Fitting(key string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(algorithms)), func(alg string) bool {
		_, err := Sign(alg, key, nil)
		return err != nil
	})
}

// Errors never hold any part of a key.
var (
	errAlgorithm = errors.New("the algorithm is not known")
	errSecret    = errors.New("the secret is blank")
	errShared    = errors.New("the algorithm takes a shared secret, and this is a key or a certificate in PEM")
	errRSA       = errors.New("the algorithm needs an RSA key, and this is one of another kind")
	errRSASize   = errors.New("the RSA key is too small for the algorithm; 2048 bits are usual")
	errEC        = errors.New("the algorithm needs an elliptic curve key, and this is one of another kind")
	errCurve     = errors.New("the key is on another curve than the algorithm's: ES256 has P-256, ES384 P-384, ES512 P-521")
	errEd25519   = errors.New("the algorithm needs an Ed25519 key, and this is one of another kind")
)

// Sign signs a message. The key is a secret for HS, and otherwise a private key
// as Key takes it. ES gives R and S, each in full length, one after the other
// (RFC 7518, 3.4), not ASN.1. PS and ES give another signature each time.
func Sign(alg, key string, message []byte) ([]byte, error) {
	a, ok := algorithms[alg]
	if !ok {
		return nil, errAlgorithm
	}
	if a.family == "HS" {
		if key == "" {
			return nil, errSecret
		}
		if isPEM(key) { // whoever has the public key could forge such a signature
			return nil, errShared
		}
		h := hmac.New(a.hash.New, []byte(key))
		h.Write(message)
		return h.Sum(nil), nil
	}
	private, err := parsed(key)
	if err != nil {
		return nil, err
	}
	if a.family == "EdDSA" {
		k, ok := private.(ed25519.PrivateKey)
		if !ok {
			return nil, errEd25519
		}
		return ed25519.Sign(k, message), nil
	}
	h := a.hash.New()
	h.Write(message)
	digest := h.Sum(nil)
	if a.family == "ES" {
		return ecSignature(private, digest, a.bits)
	}
	k, ok := private.(*rsa.PrivateKey)
	if !ok {
		return nil, errRSA
	}
	var signature []byte
	if a.family == "RS" {
		signature, err = rsa.SignPKCS1v15(rand.Reader, k, a.hash, digest)
	} else {
		signature, err = rsa.SignPSS(rand.Reader, k, a.hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	}
	if err != nil {
		return nil, errRSASize // the library refuses keys below 1024 bits
	}
	return signature, nil
}

func ecSignature(private crypto.PrivateKey, digest []byte, bits int) ([]byte, error) {
	k, ok := private.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errEC
	}
	if k.Curve.Params().BitSize != bits {
		return nil, errCurve
	}
	r, s, err := ecdsa.Sign(rand.Reader, k, digest)
	if err != nil {
		return nil, errEC
	}
	size := (bits + 7) / 8
	signature := make([]byte, 2*size)
	r.FillBytes(signature[:size])
	s.FillBytes(signature[size:])
	return signature, nil
}

const maxText = 64 << 10

var (
	errEncrypted = errors.New("the key is protected by a passphrase; write it without one, for example with `openssl pkey -in key.pem -out plain.pem`")
	errPublic    = errors.New("this is a public key or a certificate; a private key is needed")
	errKey       = errors.New("this is not a private key in PEM (PKCS #8, PKCS #1 or SEC 1)")
)

// isPEM reports whether a line of the text begins a PEM block.
func isPEM(text string) bool {
	return strings.HasPrefix(trimmed(text), begin) || strings.Contains(text, "\n"+begin)
}

const begin = "-----BEGIN "

// trimmed returns a text without white space around it and without the byte order
// mark that some editors write before it.
func trimmed(text string) string {
	return strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), "\ufeff"))
}

// CheckPEM reports what is wrong with a text that has a PEM block: anything but a
// private key that Key takes, a public key or a certificate. A text without one
// is not checked.
func CheckPEM(text string) error {
	if !isPEM(text) {
		return nil
	}
	if _, err := parsed(text); !errors.Is(err, errPublic) {
		return err
	}
	return nil
}

// Key parses a private key: RSA, elliptic curve or Ed25519, in PEM as PKCS #8,
// PKCS #1 or SEC 1; other blocks beside it, such as certificates, a byte order mark
// before it and blanks around its lines don't matter. Line breaks may be written as \n, as in an
// environment variable, and the BEGIN and END lines may be missing, as some
// payment providers give a key. A text is at most 64 KiB.
func Key(text string) (crypto.PrivateKey, error) {
	if len(text) > maxText {
		return nil, errKey
	}
	lines := strings.Split(strings.ReplaceAll(trimmed(text), `\n`, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line) // pem is strict about the beginning of a line
	}
	text = strings.Join(lines, "\n")
	if !strings.Contains(text, begin) {
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
