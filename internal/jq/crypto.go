package jq

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"maps"
	"strings"

	"github.com/switchboard-ivr/switchboard/internal/sign"
)

// Digests, codes and signatures: what APIs ask of a request.

var hashes = map[string]func() hash.Hash{
	"md5": md5.New, "sha1": sha1.New, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
}

// encodings are how binary values are written as text.
var encodings = map[string]func([]byte) string{
	"hex": hex.EncodeToString, "base64": base64.StdEncoding.EncodeToString, "base64url": base64.RawURLEncoding.EncodeToString,
}

const (
	errHash      = fault(`digests are "md5", "sha1", "sha256", "sha384" and "sha512"`)
	errAlgorithm = fault(`hmac knows "md5", "sha1", "sha256", "sha384" and "sha512"`)
	errKeyText   = fault(`hmac's key is in "text", "hex" or "base64"`)
	errEncoding  = fault(`bytes are written in "hex", "base64" or "base64url"`)
	errSigning   = fault(`sign knows RS, PS and ES with 256, 384 or 512, and EdDSA; for a shared secret there is hmac`)
	errToken     = fault(`jwt knows HS, RS, PS and ES with 256, 384 or 512, and EdDSA`)
)

// digestOf is md5, sha1, sha256 or sha512: of the string's bytes, in lower hex.
func digestOf(name string) native {
	return onText(name, func(s string) any { return hex.EncodeToString(hashed(name, s)) })
}

func hashed(name, s string) []byte {
	h := hashes[name]()
	h.Write([]byte(s))
	return h.Sum(nil)
}

// digest is digest(algorithm; encoding), of the string's bytes.
func digest(r *run, v any, args []any) any {
	s, ok := v.(string)
	name, ok2 := args[0].(string)
	encoding, ok3 := args[1].(string)
	switch {
	case !ok || !ok2 || !ok3:
		return fault("digest needs a string, and strings for its algorithm and encoding")
	case hashes[name] == nil:
		return errHash
	case encodings[encoding] == nil:
		return errEncoding
	}
	r.step(len(s) >> 8)
	return encodings[encoding](hashed(name, s))
}

// mac is hmac(algorithm; key), hmac(algorithm; key; key encoding) and
// hmac(algorithm; key; key encoding; encoding): of the string's bytes, in lower
// hex unless the last one says otherwise. A key can be in "hex" or "base64",
// because a jq string can't hold any bytes.
func mac(r *run, v any, args []any) any {
	s, ok := v.(string)
	algorithm, ok2 := args[0].(string)
	key, ok3 := args[1].(string)
	if !ok || !ok2 || !ok3 {
		return fault("hmac needs a string, and a string for its key")
	}
	newHash, ok := hashes[algorithm]
	if !ok {
		return errAlgorithm
	}
	secret, write := []byte(key), encodings["hex"]
	if len(args) > 2 {
		var err error
		switch args[2] {
		case "text":
		case "hex":
			secret, err = hex.DecodeString(key)
		case "base64":
			secret, err = unbase64(key)
		default:
			return errKeyText
		}
		if err != nil {
			return fault("hmac's key is not in the encoding that it names")
		}
	}
	if len(args) > 3 {
		name, _ := args[3].(string)
		if write, ok = encodings[name]; !ok {
			return errEncoding
		}
	}
	r.step(len(s) >> 8)
	h := hmac.New(newHash, secret)
	h.Write([]byte(s))
	return write(h.Sum(nil))
}

// unbase64 takes both alphabets, with and without padding.
func unbase64(s string) ([]byte, error) {
	s = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "="))
	return base64.RawStdEncoding.DecodeString(s)
}

// signature is sign(algorithm; key; encoding), of the string's bytes.
func signature(r *run, v any, args []any) any {
	s, ok := v.(string)
	algorithm, ok2 := args[0].(string)
	key, ok3 := args[1].(string)
	encoding, ok4 := args[2].(string)
	switch {
	case !ok || !ok2 || !ok3 || !ok4:
		return fault("sign needs a string, and strings for its algorithm, key and encoding")
	case !sign.Known(algorithm) || sign.Secret(algorithm):
		return errSigning
	case encodings[encoding] == nil:
		return errEncoding
	}
	signed, err := signText(r, algorithm, key, s)
	if err != nil {
		return fault("sign: " + err.Error())
	}
	return encodings[encoding](signed)
}

// signText takes up to some milliseconds, with a large RSA key.
func signText(r *run, algorithm, key, s string) ([]byte, error) {
	r.step(100_000 + len(s)>>8)
	return sign.Sign(algorithm, key, []byte(s))
}

// jwt is jwt(algorithm; key) and jwt(algorithm; key; header): a JSON Web Token
// (RFC 7519) with the object's members as claims. The header's members are added
// to alg and typ; null takes one away, save alg.
func jwt(r *run, v any, args []any) any {
	claims, ok := v.(map[string]any)
	algorithm, ok2 := args[0].(string)
	key, ok3 := args[1].(string)
	header := map[string]any{"typ": "JWT"}
	if len(args) > 2 {
		more, isObject := args[2].(map[string]any)
		if !isObject {
			return fault("jwt's header is an object")
		}
		maps.Copy(header, more)
		maps.DeleteFunc(header, func(_ string, v any) bool { return v == nil })
	}
	switch {
	case !ok || !ok2 || !ok3:
		return fault("jwt needs an object of claims, and strings for its algorithm and key")
	case !sign.Known(algorithm):
		return errToken
	}
	header["alg"] = algorithm
	part := func(v any) string {
		text, _ := tojson(r, v, nil).(string)
		return base64.RawURLEncoding.EncodeToString([]byte(text))
	}
	token := part(header) + "." + part(claims)
	signed, err := signText(r, algorithm, key, token)
	if err != nil {
		return fault("jwt: " + err.Error())
	}
	return post(r, token+"."+base64.RawURLEncoding.EncodeToString(signed), nil)
}
