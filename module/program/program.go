// Package program holds what every jq program of a Caddyfile has in common: how
// its text is written or found in a file, and which definitions precede it.
package program

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// MaxFile is the size in bytes up to which a program file is read.
const MaxFile = 1 << 20

// IsFile tells whether a jq argument names a file: `@lib/sign.jq`. Without the
// ending it is a program, because `@base64` and `@json` are whole programs.
func IsFile(raw string) bool {
	return strings.HasPrefix(raw, "@") && strings.HasSuffix(raw, ".jq")
}

// Arg returns the text of the jq program that the current argument of d gives:
// raw itself or, where IsFile, the content of that file. A relative path is
// relative to the Caddyfile that names it, imported ones included. The text is
// inlined, because a path in the JSON would hide from Caddy that the file has
// changed. An error says which file could not be used and why.
func Arg(d *caddyfile.Dispenser, raw string) (string, error) {
	if !IsFile(raw) {
		return raw, nil
	}
	name := strings.TrimPrefix(raw, "@")
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(d.File()), name)
	}
	text, err := read(name)
	if err != nil {
		return "", d.Errf("program file %s: %v", name, err)
	}
	return text, nil
}

func read(name string) (string, error) {
	f, err := os.Open(name) //nolint:gosec // the configuration names it
	if err != nil {
		if pathErr, ok := errors.AsType[*os.PathError](err); ok {
			return "", pathErr.Err // the caller names the file
		}
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		if pathErr, ok := errors.AsType[*os.PathError](err); ok {
			return "", pathErr.Err
		}
		return "", err
	}
	if len(data) > MaxFile {
		return "", fmt.Errorf("is larger than %d KiB", MaxFile>>10)
	}
	if !utf8.Valid(data) {
		return "", errors.New("is not UTF-8 text")
	}
	// editors on some systems begin a file with a byte order mark
	return string(bytes.TrimPrefix(data, []byte("\uFEFF"))), nil
}
