// Package adapt holds Caddyfiles and what becomes of them: the JSON that they
// adapt to, or the message that refuses them.
package adapt

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/switchboard-ivr/switchboard"
)

// Each file in testdata is a Caddyfile, a line of dashes, and either the JSON or
// the messages, one a line, that adapting or loading it must give.
func TestFiles(t *testing.T) {
	t.Setenv("APP_KEY", "ak")
	t.Setenv("APP_SECRET", "sk")
	files, err := filepath.Glob("testdata/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			source, want, ok := bytes.Cut(text, []byte("\n----------\n"))
			if !ok {
				t.Fatal("no line of dashes")
			}
			want = bytes.TrimSpace(want)
			got, err := load(source)
			if bytes.HasPrefix(want, []byte("{")) {
				if err != nil {
					t.Fatal(err)
				}
				if !equal(t, got, want) {
					t.Errorf("got\n%s\nwant\n%s", pretty(got), want)
				}
				return
			}
			if err == nil {
				t.Fatalf("it loads; it should be refused with\n%s", want)
			}
			for line := range strings.Lines(string(want)) {
				if line = strings.TrimSpace(line); !strings.Contains(err.Error(), line) {
					t.Errorf("refused with\n%v\nwhich does not say\n%s", err, line)
				}
			}
		})
	}
}

// load adapts a Caddyfile and provisions what comes of it, without starting it.
func load(source []byte) ([]byte, error) {
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(source, map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return nil, err
	}
	cfg := new(caddy.Config)
	if err := json.Unmarshal(adapted, cfg); err != nil {
		return nil, err
	}
	return adapted, caddy.Validate(cfg)
}

func equal(t *testing.T, a, b []byte) bool {
	t.Helper()
	return pretty(a) == pretty(b)
}

func pretty(text []byte) string {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return string(text)
	}
	out, _ := json.MarshalIndent(v, "", "\t")
	return string(out)
}
