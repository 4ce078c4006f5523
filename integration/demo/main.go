// Command demo is `make run`: it starts the test provider and Caddy with the
// demo's Caddyfile on loopback, says what to try, and stops both on Ctrl-C.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/provider"
)

const try = `
Switchboard is up. In another terminal, try:

  curl 'http://localhost:8080/ivr/order?tel=13800138000'
  curl -d tel=13800138000 http://localhost:8080/ivr/order
  curl --json '{"tel":"13800138000"}' http://localhost:8080/ivr/order
  curl 'http://localhost:8080/ivr/order?tel=10000000000'       # nobody
  curl 'http://localhost:8080/ivr/customer?tel=013800138000'   # who is it?
  curl http://localhost:8080/open/customer/C1001               # the sidecar
  http://localhost:8080/console/                               # in a browser
  curl -s http://localhost:9090/_ledger                        # what the API saw
  curl -d '[{"target":"api","fault":"hang"}]' http://localhost:9090/_control
  curl -X POST http://localhost:9090/_control/reset            # and well again
  curl -s http://localhost:2019/metrics | grep switchboard_

Ctrl-C stops it.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	binary := flag.String("caddy", "bin/caddy", "the `binary` to run")
	config := flag.String("config", "caddyfile-examples/demo.Caddyfile", "the demo's Caddyfile")
	flag.Parse()

	api := provider.New(provider.Options{})
	if err := api.Start("127.0.0.1:9090"); err != nil {
		return err
	}
	defer api.Close()

	// the demo leaves nothing behind in the user's own Caddy directories
	state, err := os.MkdirTemp("", "switchboard-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(state)

	env := append(os.Environ(),
		"XDG_DATA_HOME="+filepath.Join(state, "data"), "XDG_CONFIG_HOME="+filepath.Join(state, "config"),
		"CRM_APP_KEY=demo-app", "CRM_APP_SECRET=demo-secret",
		"PARTNER_KEY=demo-partner", "PARTNER_SECRET=partner-secret")
	if err := importCustomers(ctx, *binary, *config, env); err != nil {
		return err
	}
	caddy := exec.CommandContext(ctx, *binary, "run", "--config", *config)
	caddy.Env = env
	caddy.Stdout, caddy.Stderr = os.Stdout, os.Stderr
	caddy.Cancel = func() error { return caddy.Process.Signal(syscall.SIGTERM) }
	caddy.WaitDelay = 10 * time.Second
	// Ctrl-C reaches the whole process group; Caddy is to hear of it from here
	caddy.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := caddy.Start(); err != nil {
		return fmt.Errorf("starting %s: %w; `make build` makes it", *binary, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- caddy.Wait() }()

	ready := time.NewTicker(50 * time.Millisecond)
	defer ready.Stop()
	for up := false; !up; {
		select {
		case err := <-ended:
			return fmt.Errorf("caddy ended: %w", err)
		case <-ready.C:
			up = answers(ctx, "http://127.0.0.1:2019/config/")
		}
	}
	fmt.Print(try)
	if err := <-ended; err != nil && ctx.Err() == nil {
		return fmt.Errorf("caddy ended: %w", err)
	}
	fmt.Println("stopped")
	return nil
}

// importCustomers fills the directory, as an operator would.
func importCustomers(ctx context.Context, binary, config string, env []string) error {
	file := filepath.Join(filepath.Dir(config), "customers.csv")
	cmd := exec.CommandContext(ctx, binary, "switchboard", "customers", "import", file, "--config", config)
	cmd.Env = env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("importing customers: %w\n%s", err, out)
	}
	return nil
}

func answers(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	return errors.Join(res.Body.Close()) == nil && res.StatusCode == http.StatusOK
}
