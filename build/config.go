package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/caddyserver/xcaddy"
)

// load reads a serialised xcaddy.Builder and makes it fit to be built from any
// folder: its paths become absolute, relative ones starting from the file.
func load(file string) (xcaddy.Builder, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return xcaddy.Builder{}, err
	}
	b, err := decode(text)
	if err != nil {
		return b, fmt.Errorf("%s: %w", file, err)
	}
	base, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return b, err
	}
	resolve(&b, base)
	if err := check(b); err != nil {
		return b, fmt.Errorf("%s: %w", file, err)
	}
	return b, nil
}

// decode accepts one JSON document and no unknown field, so that a misspelt
// field is an error and not a silently different build.
func decode(text []byte) (xcaddy.Builder, error) {
	var b xcaddy.Builder
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil {
		if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && strings.HasPrefix(e.Field, "timeout_") {
			return b, fmt.Errorf("%s: expected whole nanoseconds, got a %s", e.Field, e.Value)
		}
		return b, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return b, errors.New("more than one JSON document")
	}
	return b, nil
}

// resolve makes every path in b absolute. The library would take replacements
// from its own temporary folder and the others from the current one.
func resolve(b *xcaddy.Builder, base string) {
	for i, r := range b.Replacements {
		if isDir(string(r.New)) {
			b.Replacements[i].New = xcaddy.ReplacementPath(absolute(base, string(r.New)))
		}
	}
	for i := range b.EmbedDirs {
		b.EmbedDirs[i].Dir = absolute(base, b.EmbedDirs[i].Dir)
	}
	if b.PgoProfile != "" {
		b.PgoProfile = absolute(base, b.PgoProfile)
	}
}

// isDir tells a folder from a module path, by the rule of go.mod's replace.
func isDir(s string) bool {
	return s == "." || s == ".." || strings.HasPrefix(s, "./") || strings.HasPrefix(s, "../") || filepath.IsAbs(s)
}

func absolute(base, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(base, path)
}

// check refuses what would fail minutes later with a message from another tool,
// or would build something else tomorrow.
func check(b xcaddy.Builder) error {
	if err := pinned(b.CaddyVersion); err != nil {
		return fmt.Errorf("caddy_version: %w", err)
	}
	if len(b.Plugins) == 0 {
		return errors.New("plugins: none named")
	}
	for _, r := range b.Replacements {
		if r.Old == "" || r.New == "" {
			return errors.New("replacements: old and new are both needed")
		}
		if !isDir(string(r.New)) {
			continue
		}
		if _, err := os.Stat(filepath.Join(string(r.New), "go.mod")); err != nil {
			return fmt.Errorf("replacements: %s: no Go module there: %w", r.Old, err)
		}
	}
	for _, p := range b.Plugins {
		if p.PackagePath == "" {
			return errors.New("plugins: module_path missing")
		}
		err := pinned(p.Version)
		if err != nil && replaced(b, p.PackagePath) {
			// Without a version, go asks the network for one, although the
			// replacement would never need it.
			return fmt.Errorf(`plugins: %s: %w; a replaced module still needs one: "v0.0.0"`, p.PackagePath, err)
		}
		if err != nil {
			return fmt.Errorf("plugins: %s: %w", p.PackagePath, err)
		}
	}
	return nil
}

func pinned(version string) error {
	if version == "" {
		return errors.New("version missing")
	}
	number, ok := strings.CutPrefix(version, "v")
	if _, err := semver.StrictNewVersion(number); !ok || err != nil {
		return fmt.Errorf("%q is not a version like v1.2.3", version)
	}
	return nil
}

// replaced reports whether the module is taken from somewhere else.
func replaced(b xcaddy.Builder, module string) bool {
	for _, r := range b.Replacements {
		if path, _, _ := strings.Cut(string(r.Old), "@"); path == module {
			return true
		}
	}
	return false
}
