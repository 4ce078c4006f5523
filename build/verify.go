package main

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/caddyserver/xcaddy"
)

const caddyModule = "github.com/caddyserver/caddy/v2"

// versions compares what was linked with what was ordered: another module in
// the graph may have raised a version, or a plugin may have got lost, since
// xcaddy runs "go mod tidy -e" and that hides errors.
func versions(b xcaddy.Builder, info *debug.BuildInfo) error {
	linked := map[string]string{}
	for _, d := range info.Deps {
		linked[d.Path] = d.Version
	}
	want := append([]xcaddy.Dependency{{PackagePath: caddyModule, Version: b.CaddyVersion}}, b.Plugins...)
	for _, w := range want {
		switch got, ok := linked[w.PackagePath]; {
		case !ok:
			return fmt.Errorf("%s is not linked in", w.PackagePath)
		case got != w.Version:
			return fmt.Errorf("%s: %s is linked in, %s was ordered: another module requires it", w.PackagePath, got, w.Version)
		}
	}
	return nil
}

// native reports whether this machine can run what b builds.
func native(b xcaddy.Builder, getenv func(string) string) bool {
	return cmp.Or(b.OS, getenv("GOOS"), runtime.GOOS) == runtime.GOOS &&
		cmp.Or(b.Arch, getenv("GOARCH"), runtime.GOARCH) == runtime.GOARCH
}

// listModules asks a Caddy binary which modules are registered in it.
func listModules(ctx context.Context, binary string) ([]string, error) {
	out, err := exec.CommandContext(ctx, binary, "list-modules").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("running list-modules: %w\n%s", err, out)
	}
	return moduleIDs(string(out)), nil
}

// moduleIDs takes the IDs out of list-modules' output: one a line, between
// indented headings.
func moduleIDs(out string) []string {
	var ids []string
	for line := range strings.Lines(out) {
		if id := strings.TrimSpace(line); id != "" && line[0] != ' ' {
			ids = append(ids, id)
		}
	}
	return ids
}

// missing returns the required IDs that are not registered.
func missing(required, registered []string) []string {
	return slices.DeleteFunc(slices.Clone(required), func(id string) bool {
		return slices.Contains(registered, id)
	})
}
