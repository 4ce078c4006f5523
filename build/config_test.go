package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// module makes a folder that holds a Go module and, beside it, a configuration;
// it returns the configuration's file name.
func module(t *testing.T, config string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "repo"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"go.mod":            "module example.com/plugin\n",
		"repo/go.mod":       "module example.com/plugin\n",
		"repo/builder.json": config,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "repo", "builder.json")
}

// A path in the configuration starts from the configuration's own folder,
// wherever the command runs.
func TestPathsStartFromTheFile(t *testing.T) {
	file := module(t, `{
		"caddy_version": "v2.11.9",
		"plugins": [
			{"module_path": "example.com/plugin", "version": "v0.0.0"},
			{"module_path": "example.com/other", "version": "v1.2.3"}
		],
		"replacements": [
			{"old": "example.com/plugin", "new": "."},
			{"old": "example.com/third@v1.0.0", "new": "../"},
			{"old": "example.com/other", "new": "example.com/fork v1.2.4"}
		],
		"embed_dir": [{"dir": "site", "name": "www"}],
		"pgo_profile": "../default.pgo"
	}`)
	repo := filepath.Dir(file)

	t.Chdir(t.TempDir())
	relative, err := filepath.Rel(mustGetwd(t), file)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, relative} {
		b, err := load(name)
		if err != nil {
			t.Fatalf("loading %s: %v", name, err)
		}
		for _, c := range []struct{ what, got, want string }{
			{"replacement .", string(b.Replacements[0].New), repo},
			{"replacement ../", string(b.Replacements[1].New), filepath.Dir(repo)},
			{"replacement by a module", string(b.Replacements[2].New), "example.com/fork v1.2.4"},
			{"embed_dir", b.EmbedDirs[0].Dir, filepath.Join(repo, "site")},
			{"pgo_profile", b.PgoProfile, filepath.Join(filepath.Dir(repo), "default.pgo")},
		} {
			if c.got != c.want {
				t.Errorf("%s: got %s, want %s", c.what, c.got, c.want)
			}
		}
	}
}

func TestRefusedConfigurations(t *testing.T) {
	const plugin = `"plugins": [{"module_path": "example.com/plugin", "version": "v0.0.0"}]`
	for name, c := range map[string]struct{ config, want string }{
		"unknown field":         {`{"caddyversion": "v2.11.9"}`, `unknown field "caddyversion"`},
		"unknown nested field":  {`{"plugins": [{"module": "example.com/plugin"}]}`, `unknown field "module"`},
		"second document":       {`{"caddy_version": "v2.11.9", ` + plugin + `} {}`, "more than one JSON document"},
		"not JSON":              {`caddy_version: v2`, "invalid character"},
		"empty":                 {``, "EOF"},
		"duration as a string":  {`{"timeout_build": "10m"}`, "timeout_build: expected whole nanoseconds, got a string"},
		"no Caddy version":      {`{` + plugin + `}`, "caddy_version: version missing"},
		"half a Caddy version":  {`{"caddy_version": "v2.11", ` + plugin + `}`, `caddy_version: "v2.11" is not a version`},
		"version without v":     {`{"caddy_version": "2.11.9", ` + plugin + `}`, `"2.11.9" is not a version like v1.2.3`},
		"branch as a version":   {`{"caddy_version": "latest", ` + plugin + `}`, `"latest" is not a version`},
		"no plugin":             {`{"caddy_version": "v2.11.9"}`, "plugins: none named"},
		"plugin without a path": {`{"caddy_version": "v2.11.9", "plugins": [{"version": "v1.0.0"}]}`, "plugins: module_path missing"},
		"plugin unpinned": {
			`{"caddy_version": "v2.11.9", "plugins": [{"module_path": "example.com/other"}]}`,
			"plugins: example.com/other: version missing",
		},
		"replaced plugin unpinned": {
			`{"caddy_version": "v2.11.9", "plugins": [{"module_path": "example.com/plugin"}],
				"replacements": [{"old": "example.com/plugin", "new": "."}]}`,
			`example.com/plugin: version missing; a replaced module still needs one: "v0.0.0"`,
		},
		"replacement is no module": {
			`{"caddy_version": "v2.11.9", ` + plugin + `, "replacements": [{"old": "example.com/plugin", "new": "./nowhere"}]}`,
			"replacements: example.com/plugin: no Go module there",
		},
		"replacement by nothing": {
			`{"caddy_version": "v2.11.9", ` + plugin + `, "replacements": [{"old": "example.com/plugin"}]}`,
			"replacements: old and new are both needed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := module(t, c.config)
			_, err := load(file)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got error %v, want one with %q", err, c.want)
			}
			if !strings.HasPrefix(err.Error(), file+": ") {
				t.Errorf("the error does not begin with the file's name: %v", err)
			}
		})
	}
	if _, err := load(filepath.Join(t.TempDir(), "absent.json")); !os.IsNotExist(err) {
		t.Errorf("an absent file gave %v", err)
	}
}

// The file that this repository ships loads, and names the repository itself.
func TestOwnConfiguration(t *testing.T) {
	b, err := load("../xcaddy.json")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(b.Replacements[0].New), filepath.Dir(mustGetwd(t)); got != want {
		t.Errorf("our module is taken from %s, want %s", got, want)
	}

	// What the tests run against is what the binary holds.
	gomod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if want := caddyModule + " " + b.CaddyVersion + "\n"; !strings.Contains(string(gomod), want) {
		t.Errorf("go.mod does not require %s", want)
	}
}

func mustGetwd(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
