// Package program handles the jq programs of a Caddyfile: their text, program
// files, and the definitions that precede them.
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

// MaxFile is the maximum size of a program file in bytes.
const MaxFile = 1 << 20

// IsFile reports whether a jq argument names a file, e.g. `@lib/sign.jq`. The
// extension is required, because `@base64` and `@json` are valid programs.
func IsFile(raw string) bool {
	return strings.HasPrefix(raw, "@") && strings.HasSuffix(raw, ".jq")
}

// Arg returns the text of the jq program in the current argument of d: raw
// itself, or the content of the file that it names. A relative path is relative
// to the Caddyfile that contains it, even if that is imported. The content is
// inlined, because Caddy would not notice a changed file if the JSON had a path.
// An error names the file.
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
	f, err := os.Open(name) //nolint:gosec // the path comes from the configuration
	if err != nil {
		if pathErr, ok := errors.AsType[*os.PathError](err); ok {
			return "", pathErr.Err // the caller adds the file's name
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
	// some editors begin a file with a byte order mark
	return string(bytes.TrimPrefix(data, []byte("\uFEFF"))), nil
}

// defineKey is the context key of the definitions in a dispenser.
const defineKey = "switchboard.define"

// SetDefine sets the jq function definitions for all programs that are parsed
// from d later, so that these can be compiled while the Caddyfile is parsed. It
// doesn't change the configuration.
func SetDefine(d *caddyfile.Dispenser, text string) { d.SetContext(defineKey, text) }

// Define returns the definitions that SetDefine has set, or "".
func Define(d *caddyfile.Dispenser) string { return d.GetContextString(defineKey) }

// Join concatenates texts with function definitions.
func Join(texts ...string) string {
	var joined strings.Builder
	for _, text := range texts {
		if text != "" {
			joined.WriteString(text)
			joined.WriteByte('\n') // the text may end in a comment
		}
	}
	return joined.String()
}

// Headers converts headers to the form of `$headers` in programs: an object of
// lower-case names and strings. Several lines of one field are joined by ", "
// (RFC 9110, section 5.3).
func Headers(h http.Header) map[string]any {
	object := make(map[string]any, len(h))
	for name, lines := range h {
		object[strings.ToLower(name)] = strings.Join(lines, ", ")
	}
	return object
}

// Outdent removes the indentation that all lines of a program but the first have
// in a Caddyfile. A program with a multi-line string is not changed.
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

// Lines returns the lines for an API's block that set an output program and a
// phone system; either may be "". If Caddy would change the program, because it
// contains a placeholder, the program must be put into the returned file, next to
// the Caddyfile.
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

// Quote quotes a program as one argument of a Caddyfile. It returns "" if no
// quoting preserves the program.
func Quote(src string) string {
	for _, quoted := range []string{"`" + src + "`", "<<JQ\n" + src + "\nJQ"} {
		if survives(src, quoted) {
			return quoted
		}
	}
	return ""
}

// survives reports whether Caddy, inside a site block, parses the quoted argument
// to src.
func survives(src, quoted string) bool {
	blocks, err := caddyfile.Parse("Caddyfile", []byte("http:// {\noutput "+quoted+"\n}\n"))
	if err != nil || len(blocks) != 1 || len(blocks[0].Segments) != 1 {
		return false
	}
	line := blocks[0].Segments[0]
	httpcaddyfile.NewShorthandReplacer().ApplyToSegment(&line)
	return len(line) == 2 && line[1].Text == src && !IsFile(src)
}
