package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/xcaddy"
)

const sound = `{
	"caddy_version": "v2.11.9",
	"plugins": [{"module_path": "example.com/plugin", "version": "v0.0.0"}],
	"replacements": [{"old": "example.com/plugin", "new": "."}]
}`

// A failed build shows the command that failed, and leaves nothing.
func TestFailedBuild(t *testing.T) {
	file := module(t, sound)
	out := filepath.Join(filepath.Dir(file), "bin", "caddy")
	stdout, stderr := os.Stdout, os.Stderr

	attempts := 0
	build := func(_ xcaddy.Builder, _ context.Context, fresh string) error {
		attempts++
		for i := range 1000 {
			log.Println("early line", i)
		}
		log.Println("[INFO] exec (timeout=0s): go get")
		log.Println("[INFO] exec (timeout=0s): go build")
		fmt.Fprintln(os.Stderr, "plugin.go:3:8: no such package")
		if err := os.WriteFile(fresh, []byte("half"), 0o600); err != nil {
			return err
		}
		return errors.New("exit status 1")
	}
	err := run(t.Context(), []string{"-config", file, "-o", out}, new(bytes.Buffer), build)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"exit status 1\n", "go build\n", "plugin.go:3:8: no such package"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "early line") || strings.Contains(err.Error(), "go get") {
		t.Errorf("the error carries more than the last command: %v", err)
	}
	if attempts != 1 {
		t.Errorf("built %d times, although the network would not have helped", attempts)
	}
	if left, _ := filepath.Glob(out + "*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if os.Stdout != stdout || os.Stderr != stderr {
		t.Error("the process's own output was not restored")
	}
}

// The module cache comes first, the network only where it lacks something.
func TestOfflineFirst(t *testing.T) {
	for name, before := range map[string]string{"unset": "", "set": "https://proxy.example.com"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GOPROXY", before)
			if before == "" {
				os.Unsetenv("GOPROXY")
			}
			var proxies []string
			build := func(xcaddy.Builder, context.Context, string) error {
				proxies = append(proxies, os.Getenv("GOPROXY"))
				if len(proxies) > 1 {
					return nil
				}
				fmt.Fprintln(os.Stderr, "go: example.com/plugin@v1.0.0: module lookup disabled by GOPROXY=off")
				return errors.New("exit status 1")
			}
			if err := compile(t.Context(), xcaddy.Builder{}, "caddy", build); err != nil {
				t.Fatal(err)
			}
			if len(proxies) != 2 || proxies[0] != "off" || proxies[1] != before {
				t.Errorf("GOPROXY was %q, in this order", proxies)
			}
			if now, set := os.LookupEnv("GOPROXY"); now != before || set != (before != "") {
				t.Errorf("GOPROXY is left as %q", now)
			}
		})
	}
}

// What was built is checked before it replaces an older binary.
func TestWrongBinary(t *testing.T) {
	file := module(t, sound)
	out := filepath.Join(filepath.Dir(file), "caddy")
	if err := os.WriteFile(out, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ from, want string }{
		"no Go program": {file, "could not read Go build info"},
		"not Caddy":     {self, caddyModule + " is not linked in"},
	} {
		t.Run(name, func(t *testing.T) {
			build := func(_ xcaddy.Builder, _ context.Context, fresh string) error {
				text, err := os.ReadFile(c.from)
				if err != nil {
					return err
				}
				return os.WriteFile(fresh, text, 0o600)
			}
			err := run(t.Context(), []string{"-config", file, "-o", out}, new(bytes.Buffer), build)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if text, err := os.ReadFile(out); err != nil || string(text) != "old" {
				t.Errorf("the older binary was touched: %q, %v", text, err)
			}
		})
	}
}

// The race flag overrides the configuration; paths reach the library absolute.
func TestOrder(t *testing.T) {
	file := module(t, sound)
	var got xcaddy.Builder
	stop := errors.New("enough")
	build := func(b xcaddy.Builder, _ context.Context, _ string) error { got = b; return stop }
	args := []string{"-config", file, "-o", filepath.Join(t.TempDir(), "caddy"), "-race"}
	if err := run(t.Context(), args, new(bytes.Buffer), build); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if !got.RaceDetector || string(got.Replacements[0].New) != filepath.Dir(file) {
		t.Errorf("built with %+v", got)
	}
}

func TestArguments(t *testing.T) {
	build := func(xcaddy.Builder, context.Context, string) error {
		t.Error("built all the same")
		return nil
	}
	for _, c := range []struct {
		arg  string
		want error
	}{
		{"-h", flag.ErrHelp},
		{"-config=absent.json", os.ErrNotExist},
	} {
		if err := run(t.Context(), []string{c.arg}, new(bytes.Buffer), build); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.arg, err, c.want)
		}
	}
}
