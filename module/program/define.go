package program

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

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
