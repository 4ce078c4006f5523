// The build command makes bin/caddy out of xcaddy.json.
//
// xcaddy.json is an xcaddy.Builder, serialised: which Caddy, which plugins, and
// where this repository's own module is found. The command reads it strictly,
// builds with xcaddy as a library, looks whether everything that was ordered
// is in the result, and only then puts it in place.
//
//	go -C build run . [-config ../xcaddy.json] [-o ../bin/caddy] [-race] [module ID ...]
//
// Module IDs are those that the result must register, "switchboard" for example.
package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/caddyserver/xcaddy"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, xcaddy.Builder.Build)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

// run is the command without its process.
func run(ctx context.Context, args []string, stdout io.Writer, build buildFunc) error {
	flags := flag.NewFlagSet("build", flag.ContinueOnError)
	config := flags.String("config", "../xcaddy.json", "the serialised xcaddy.Builder")
	output := flags.String("o", "../bin/caddy", "the binary to write")
	race := flags.Bool("race", false, "build with the race detector, whatever the configuration says")
	if err := flags.Parse(args); err != nil {
		return err
	}

	b, err := load(*config)
	if err != nil {
		return err
	}
	b.RaceDetector = b.RaceDetector || *race

	if err := os.MkdirAll(filepath.Dir(*output), 0o755); err != nil {
		return err
	}
	// A binary that failed its check must not stand where make would take it
	// for an up-to-date one.
	fresh := *output + ".new"
	defer os.Remove(fresh)

	fmt.Fprintf(stdout, "building %s: Caddy %s and %d plugins; the first time takes some minutes\n", *output, b.CaddyVersion, len(b.Plugins))
	start := time.Now()
	if err := compile(ctx, b, fresh, build); err != nil {
		return err
	}
	if err := verify(ctx, b, fresh, flags.Args()); err != nil {
		return err
	}
	if err := os.Rename(fresh, *output); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "built %s in %s\n", *output, time.Since(start).Round(100*time.Millisecond))
	return nil
}

// verify tells what is wrong with a binary that was built from b and must
// register the given modules.
func verify(ctx context.Context, b xcaddy.Builder, binary string, modules []string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	if err := versions(b, info); err != nil {
		return err
	}
	if !native(b, os.Getenv) {
		return nil
	}
	registered, err := listModules(ctx, binary)
	if err != nil {
		return err
	}
	if lost := missing(modules, registered); len(lost) > 0 {
		return fmt.Errorf("built, but these modules are not registered: %s", strings.Join(lost, ", "))
	}
	return nil
}
