package source

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

var (
	fenced = regexp.MustCompile("(?s)```caddyfile\n(.*?)```")
	begins = regexp.MustCompile(`token [a-z]+ \{`) // not the syntax, token NAME
)

// The reference's whole examples can be read as they stand there, and no dialect
// is missing.
func TestReference(t *testing.T) {
	text, err := os.ReadFile("../../../docs/reference/token.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := 0
	for _, block := range fenced.FindAllStringSubmatch(string(text), -1) {
		at := begins.FindStringIndex(block[1])
		if at == nil {
			continue
		}
		example := block[1][at[0]:]
		tokens, err := caddyfile.Tokenize([]byte(example), "token.md")
		if err != nil {
			t.Fatal(err)
		}
		d := caddyfile.NewDispenser(tokens)
		d.Next()
		if _, _, err := ParseSource(d); err != nil {
			t.Errorf("%v in\n%s", err, example)
		}
		examples++
	}
	if examples < 3 {
		t.Errorf("only %d examples were read", examples)
	}
	for _, d := range Dialects() {
		if !strings.Contains(string(text), "### "+d.Name+"\n") {
			t.Errorf("the dialect %s is missing", d.Name)
		}
	}
}
