// Package program holds what every jq program of a Caddyfile has in common: how
// its text is written or found in a file, and which definitions precede it.
package program

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
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

// defineKey names the definitions in a dispenser's context.
const defineKey = "switchboard.define"

// SetDefine leaves jq function definitions to all programs that are parsed from
// d after it, so that these can be checked while the Caddyfile is parsed. It
// changes nothing in the configuration.
func SetDefine(d *caddyfile.Dispenser, text string) { d.SetContext(defineKey, text) }

// Define returns the definitions that SetDefine left in d, or "".
func Define(d *caddyfile.Dispenser) string { return d.GetContextString(defineKey) }

// Join puts texts with function definitions one after the other.
func Join(texts ...string) string {
	var joined strings.Builder
	for _, text := range texts {
		if text != "" {
			joined.WriteString(text)
			joined.WriteByte('\n') // a text may end in a comment
		}
	}
	return joined.String()
}

// Headers gives header fields the shape that programs see as `$headers`: an
// object of lower-case names and strings. Several lines of one field are joined
// by ", " (RFC 9110, section 5.3).
func Headers(h http.Header) map[string]any {
	object := make(map[string]any, len(h))
	for name, lines := range h {
		object[strings.ToLower(name)] = strings.Join(lines, ", ")
	}
	return object
}

// Outdent is a program without the blanks that all its lines but the first begin
// with, as they do in a Caddyfile. A program with a string over several lines stays
// as it is.
func Outdent(src string) string {
	lines := strings.Split(src, "\n")
	margin, found := "", false
	for i, line := range lines {
		if strings.Count(strings.ReplaceAll(line, `\"`, ""), `"`)%2 != 0 {
			return src
		}
		if i == 0 || strings.TrimSpace(line) == "" {
			continue
		}
		blanks := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		if !found {
			margin, found = blanks, true
		}
		for !strings.HasPrefix(blanks, margin) {
			margin = margin[:len(margin)-1]
		}
	}
	for i := 1; i < len(lines); i++ {
		lines[i] = strings.TrimPrefix(lines[i], margin)
	}
	return strings.Join(lines, "\n")
}

// Lines are what to write into the block of an API for an output program and a
// phone system, each of which may be "". A program that a Caddyfile would change,
// because something in it is a placeholder to Caddy, has to go into the file that
// is returned, beside the Caddyfile.
func Lines(api, output, system string) (lines, file string) {
	var b strings.Builder
	if output = strings.TrimSpace(output); output != "" {
		quoted := Quote(output)
		if quoted == "" {
			file = api + ".jq"
			quoted = "@" + file
		}
		b.WriteString("output " + quoted + "\n")
	}
	if system != "" {
		b.WriteString("for " + system + "\n")
	}
	return b.String(), file
}

// Quote writes a program as one argument of a Caddyfile, or returns "" where none
// would arrive as it is.
func Quote(src string) string {
	for _, quoted := range []string{"`" + src + "`", "<<JQ\n" + src + "\nJQ"} {
		if survives(src, quoted) {
			return quoted
		}
	}
	return ""
}

// survives tells whether Caddy reads the argument as the program, inside a site
// block.
func survives(src, quoted string) bool {
	blocks, err := caddyfile.Parse("Caddyfile", []byte("http:// {\noutput "+quoted+"\n}\n"))
	if err != nil || len(blocks) != 1 || len(blocks[0].Segments) != 1 {
		return false
	}
	line := blocks[0].Segments[0]
	httpcaddyfile.NewShorthandReplacer().ApplyToSegment(&line)
	return len(line) == 2 && line[1].Text == src && !IsFile(src)
}
