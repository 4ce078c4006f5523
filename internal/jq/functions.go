package jq

import (
	"crypto/md5"  //nolint:gosec // the partners' protocol asks for it
	"crypto/sha1" //nolint:gosec // the partners' protocol asks for it
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/itchyny/gojq"
)

var errText = errors.New("needs a string")

// functions are those that gojq does not have.
var functions = []gojq.CompilerOption{
	onText("md5", func(s string) any { d := md5.Sum([]byte(s)); return hex.EncodeToString(d[:]) }),
	onText("sha1", func(s string) any { d := sha1.Sum([]byte(s)); return hex.EncodeToString(d[:]) }),
	onText("sha256", func(s string) any { d := sha256.Sum256([]byte(s)); return hex.EncodeToString(d[:]) }),
}

func onText(name string, f func(string) any) gojq.CompilerOption {
	return gojq.WithFunction(name, 0, 0, func(v any, _ []any) any {
		if s, ok := v.(string); ok {
			return f(s)
		}
		return errText
	})
}
