package program

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// at returns a dispenser that stands on the first token of a Caddyfile.
func at(t *testing.T, file string) *caddyfile.Dispenser {
	t.Helper()
	tokens, err := caddyfile.Tokenize([]byte("query @x.jq"), file)
	if err != nil {
		t.Fatal(err)
	}
	d := caddyfile.NewDispenser(tokens)
	d.Next()
	return d
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestArg(t *testing.T) {
	dir := t.TempDir()
	caddyFile := filepath.Join(dir, "Caddyfile")
	write(t, filepath.Join(dir, "order.jq"), []byte("{id: .id}\n"))
	write(t, filepath.Join(dir, "lib", "sign.jq"), []byte("\uFEFFdef sign: md5;"))
	elsewhere := filepath.Join(t.TempDir(), "other.jq")
	write(t, elsewhere, []byte("."))

	for name, test := range map[string]struct{ raw, want string }{
		"a program":                       {`{id: .id}`, `{id: .id}`},
		"a format is a program":           {`@base64`, `@base64`},
		"nothing is a program":            {``, ``},
		"a name without @ is a program":   {`order.jq`, `order.jq`},
		"a file beside the Caddyfile":     {`@order.jq`, "{id: .id}\n"},
		"a folder, and a byte order mark": {`@lib/sign.jq`, "def sign: md5;"},
		"an absolute path":                {"@" + elsewhere, "."},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Arg(at(t, caddyFile), test.raw)
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestArgNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "big.jq"), make([]byte, MaxFile+1))
	write(t, filepath.Join(dir, "full.jq"), make([]byte, MaxFile))
	write(t, filepath.Join(dir, "latin1.jq"), []byte("\"caf\xe9\""))
	write(t, filepath.Join(dir, "folder.jq", "x"), nil)

	if _, err := Arg(at(t, filepath.Join(dir, "Caddyfile")), "@full.jq"); err != nil {
		t.Errorf("a file of exactly the limit: %v", err)
	}
	for file, reason := range map[string]string{
		"missing.jq": "no such file",
		"big.jq":     "larger than 1024 KiB",
		"latin1.jq":  "not UTF-8",
		"folder.jq":  "is a directory",
	} {
		t.Run(file, func(t *testing.T) {
			_, err := Arg(at(t, filepath.Join(dir, "Caddyfile")), "@"+file)
			if err == nil {
				t.Fatal("want an error")
			}
			for _, part := range []string{filepath.Join(dir, file), reason, "Caddyfile:1"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q lacks %q", err, part)
				}
			}
			if strings.Count(err.Error(), file) != 1 {
				t.Errorf("%q names the file more than once", err)
			}
		})
	}
}

func TestDefine(t *testing.T) {
	d := at(t, "Caddyfile")
	if got := Define(d); got != "" {
		t.Errorf("without definitions: %q", got)
	}
	SetDefine(d, "def f: 1;")
	if got := Define(d); got != "def f: 1;" {
		t.Errorf("got %q", got)
	}
	if got := Join("def f: 1; # one", "", "def g: f;"); got != "def f: 1; # one\ndef g: f;\n" {
		t.Errorf("joined: %q", got)
	}
	if got := Join("", ""); got != "" {
		t.Errorf("joined nothing: %q", got)
	}
}

func TestHeaders(t *testing.T) {
	got := Headers(http.Header{"X-Token": {"a"}, "Via": {"1.1 a", "1.1 b"}})
	if want := map[string]any{"x-token": "a", "via": "1.1 a, 1.1 b"}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
