// Command provider runs the test API of package provider, for `make run` and
// for trying things out with curl.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/switchboard-ivr/switchboard/integration/provider"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// command is run with its error said and turned into an exit code.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := run(ctx, args, stdout, stderr)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	_, _ = fmt.Fprintln(stderr, "provider:", err)
	return 1
}

// run serves until ctx ends. It says one line: where it listens.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o provider.Options
	flags := flag.NewFlagSet("provider", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "127.0.0.1:9090", "`address` to listen on")
	flags.StringVar(&o.AppKey, "app-key", "demo-app", "the key, or client id, that may sign in")
	flags.StringVar(&o.AppSecret, "app-secret", "demo-secret", "its secret")
	flags.DurationVar(&o.Lifetime, "lifetime", 0, "of access tokens (default 2m)")
	flags.Func("expires-in", "how token answers state the lifetime: absent, number, string, float, ms, at", func(s string) error {
		o.ExpiresIn = provider.ExpiresIn(s)
		if !slices.Contains(provider.ExpiresForms, o.ExpiresIn) {
			return errors.New("unknown form")
		}
		return nil
	})
	flags.DurationVar(&o.Overlap, "overlap", 0, "how long a token lives on after its refresh")
	flags.BoolVar(&o.Exclusive, "exclusive", false, "every sign-in kills all earlier access tokens")
	flags.BoolVar(&o.RefuseReplay, "refuse-replay", false, "refuse a signature that was used before")
	flags.BoolVar(&o.RevokeFamily, "revoke-family", false, "a refresh token used twice kills its descendants")
	flags.BoolVar(&o.ReusableRefresh, "reusable-refresh", false, "refresh tokens neither rotate nor wear out")
	flags.StringVar(&o.Seed, "seed", "", "a refresh token that is good from the start")
	flags.IntVar(&o.TokenLength, "token-length", 0, "pad access tokens to this many characters")
	flags.StringVar(&o.Scheme, "scheme", "", "of the Authorization header, or raw (default Bearer)")
	flags.IntVar(&o.RefuseStatus, "refuse-status", 0, "HTTP status of refusals at /token/* (default 200)")
	flags.IntVar(&o.UnknownStatus, "unknown-status", 0, "HTTP status for unknown customers (default 200)")
	flags.BoolVar(&o.DeadTokenCode, "dead-token-code", false, "tell of a dead token by a code inside HTTP 200")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}

	s := provider.New(o)
	if err := s.Start(*listen); err != nil {
		return err
	}
	defer s.Close()
	if _, err := fmt.Fprintln(stdout, "provider listens on", s.URL()); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
