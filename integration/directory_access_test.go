package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/integration/harness"
)

// The guide for partners, as it stands there: the provider set up with its
// first commands, and every other one with what it prints.
func TestTheGuideToDirectoryAccess(t *testing.T) {
	root := harness.Root(t)
	guide, err := os.ReadFile(filepath.Join(root, "docs", "guides", "directory-access.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(guide), "```sh\n")
	block, _, _ = strings.Cut(block, "```")
	lines := strings.Split(strings.TrimSpace(block), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "export ") || lines[2] != "caddy run --config caddyfile-examples/directory.Caddyfile" {
		t.Fatalf("the guide begins in another way:\n%s", block)
	}
	env := strings.Fields(lines[0])[1:]
	config := "caddyfile-examples/directory.Caddyfile"
	example, err := os.ReadFile(filepath.Join(root, config))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("\n{\n", "\n{\n\tadmin {ADMIN}\n", "http://localhost:8085", "http://localhost:{PORT}").Replace(string(example))
	caddy := harness.Start(t, harness.Config{Caddyfile: text, Env: env})

	importing := strings.Fields(strings.ReplaceAll(lines[1], "caddyfile-examples/", filepath.Join(root, "caddyfile-examples")+"/"))
	if out, err := caddy.Command(importing[1:]...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	runConsole(t, t.TempDir(), strings.ReplaceAll(string(guide), "http://localhost:8085", caddy.URL("")))
	for _, reason := range []string{"replayed", "wrong_sign", "wrong_time", "unknown_client", "malformed"} {
		if !strings.Contains(caddy.Logs.String(), `"reason":"`+reason+`"`) {
			t.Errorf("the log doesn't say %q", reason)
		}
	}
}
