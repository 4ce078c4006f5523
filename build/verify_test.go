package main

import (
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/xcaddy"
)

func TestVersions(t *testing.T) {
	ordered := xcaddy.Builder{
		CaddyVersion: "v2.11.9",
		Plugins:      []xcaddy.Dependency{{PackagePath: "example.com/plugin", Version: "v0.0.0"}},
	}
	for name, c := range map[string]struct {
		linked []*debug.Module
		want   string
	}{
		"as ordered": {[]*debug.Module{
			{Path: caddyModule, Version: "v2.11.9"},
			{Path: "example.com/plugin", Version: "v0.0.0", Replace: &debug.Module{Path: "/src"}},
			{Path: "example.com/else", Version: "v1.0.0"},
		}, ""},
		"Caddy raised": {[]*debug.Module{
			{Path: caddyModule, Version: "v2.12.0"},
			{Path: "example.com/plugin", Version: "v0.0.0"},
		}, "v2.12.0 is linked in, v2.11.9 was ordered"},
		"plugin lost": {[]*debug.Module{{Path: caddyModule, Version: "v2.11.9"}}, "example.com/plugin is not linked in"},
		"not Caddy":   {nil, caddyModule + " is not linked in"},
	} {
		t.Run(name, func(t *testing.T) {
			err := versions(ordered, &debug.BuildInfo{Deps: c.linked})
			switch {
			case c.want == "" && err != nil:
				t.Fatal(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestModuleIDs(t *testing.T) {
	const out = `admin.api.load
http.handlers.file_server

  Standard modules: 2

http.handlers.api
switchboard

  Non-standard modules: 2

  Unknown modules: 0
`
	ids := moduleIDs(out)
	if want := []string{"admin.api.load", "http.handlers.file_server", "http.handlers.api", "switchboard"}; !slices.Equal(ids, want) {
		t.Fatalf("got %q, want %q", ids, want)
	}
	// An ID is registered as a whole: a longer one does not stand for it.
	if lost := missing([]string{"switchboard", "http.handlers", "admin.api.load"}, ids); !slices.Equal(lost, []string{"http.handlers"}) {
		t.Errorf("missing: got %q", lost)
	}
}

func TestListModules(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "caddy")
	for _, c := range []struct{ script, want string }{
		{`[ "$1" = list-modules ] && echo switchboard`, ""},
		{`echo "panic: module already registered"; exit 2`, "running list-modules: exit status 2\npanic: module already registered"},
	} {
		if err := os.WriteFile(binary, []byte("#!/bin/sh\n"+c.script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		ids, err := listModules(t.Context(), binary)
		switch {
		case c.want == "" && (err != nil || !slices.Equal(ids, []string{"switchboard"})):
			t.Errorf("got %q, %v", ids, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

func TestNative(t *testing.T) {
	here := xcaddy.Builder{}
	elsewhere := xcaddy.Builder{}
	elsewhere.OS = "plan9"
	none := func(string) string { return "" }
	other := func(name string) string { return map[string]string{"GOARCH": "mips"}[name] }
	same := func(name string) string { return map[string]string{"GOOS": runtime.GOOS}[name] }
	for _, c := range []struct {
		b      xcaddy.Builder
		getenv func(string) string
		want   bool
	}{
		{here, none, true},
		{here, same, true},
		{here, other, false},
		{elsewhere, none, false},
	} {
		if got := native(c.b, c.getenv); got != c.want {
			t.Errorf("os %q, GOARCH %q: got %v", c.b.OS, c.getenv("GOARCH"), got)
		}
	}
}
