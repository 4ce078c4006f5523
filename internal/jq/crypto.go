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

// keyEncodings are how hmac's key is read: a jq string can't hold any bytes.
var keyEncodings = map[string]func(string) ([]byte, error){
	"text": func(s string) ([]byte, error) { return []byte(s), nil }, "hex": hex.DecodeString, "base64": unbase64,
}

// What the arguments of these functions may be.
var (
	digestHash  = oneOf(hashes, `digests are "md5", "sha1", "sha256", "sha384" and "sha512"`)
	macHash     = oneOf(hashes, `hmac knows "md5", "sha1", "sha256", "sha384" and "sha512"`)
	keyEncoding = oneOf(keyEncodings, `hmac's key is in "text", "hex" or "base64"`)
	encoding    = oneOf(encodings, `bytes are written in "hex", "base64" or "base64url"`)
)

func oneOf[V any](known map[string]V, complaint fault) func(string) fault {
	return func(s string) fault {
		if _, ok := known[s]; ok {
			return ""
		}
		return complaint
	}
}

func signing(algorithm string) fault {
	if !sign.Known(algorithm) || sign.Secret(algorithm) {
		return `sign knows RS, PS and ES with 256, 384 or 512, and EdDSA; for a shared secret there is hmac`
	}
	return ""
}

func tokenSigning(algorithm string) fault {
	if !sign.Known(algorithm) {
		return `jwt knows HS, RS, PS and ES with 256, 384 or 512, and EdDSA`
	}
	return ""
}

// onTexts makes a function of a string, with strings as arguments.
func onTexts(complaint fault, args, most int, f func(r *run, s string, args []string) any, valid ...func(string) fault) native {
	return native{args: args, most: most, valid: valid, call: func(r *run, v any, args []any) any {
		s, ok := v.(string)
		texts := make([]string, len(args))
		for i, arg := range args {
			text, isText := arg.(string)
			texts[i], ok = text, ok && isText
		}
		if !ok {
			return complaint
		}
		for i, text := range texts {
			if err := check(valid, i, text); err != "" {
				return err
			}
		}
		r.step(len(s) >> 8)
		return f(r, s, texts)
	}}
}

// check checks an argument by its index.
func check(valid []func(string) fault, i int, s string) fault {
	if i >= len(valid) || valid[i] == nil {
		return ""
	}
	return valid[i](s)
}

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
func digest(_ *run, s string, args []string) any { return encodings[args[1]](hashed(args[0], s)) }

// mac is hmac(algorithm; key), hmac(algorithm; key; key encoding) and
// hmac(algorithm; key; key encoding; encoding): of the string's bytes, in lower
// hex unless the last one says otherwise.
func mac(_ *run, s string, args []string) any {
	secret, write := []byte(args[1]), encodings["hex"]
	if len(args) > 2 {
		var err error
		if secret, err = keyEncodings[args[2]](args[1]); err != nil {
			return fault("hmac's key is not in the encoding that it names")
		}
	}
	if len(args) > 3 {
		write = encodings[args[3]]
	}
	h := hmac.New(hashes[args[0]], secret)
	h.Write([]byte(s))
	return write(h.Sum(nil))
}

// unbase64 takes both alphabets, with and without padding.
func unbase64(s string) ([]byte, error) {
	s = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "="))
	return base64.RawStdEncoding.DecodeString(s)
}

// signature is sign(algorithm; key; encoding), of the string's bytes.
func signature(r *run, s string, args []string) any {
	signed, err := signText(r, args[0], args[1], s)
	if err != nil {
		return fault("sign: " + err.Error())
	}
	return encodings[args[2]](signed)
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
	if !ok || !ok2 || !ok3 {
		return fault("jwt needs an object of claims, and strings for its algorithm and key")
	}
	if err := tokenSigning(algorithm); err != "" {
		return err
	}
	header["alg"] = algorithm
	part := func(v any) string { return base64.RawURLEncoding.EncodeToString([]byte(r.json(v))) }
	token := part(header) + "." + part(claims)
	signed, err := signText(r, algorithm, key, token)
	if err != nil {
		return fault("jwt: " + err.Error())
	}
	return post(r, token+"."+base64.RawURLEncoding.EncodeToString(signed), nil)
}
