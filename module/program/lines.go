package program

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

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
