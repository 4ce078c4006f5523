package integration

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
)

// The README's tour, as it stands there: each command against the demo, and the
// output to the letter.
func TestTheTour(t *testing.T) {
	root := harness.Root(t)
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	startDemo(t, root)
	dir := t.TempDir()
	if err := os.Symlink(filepath.Dir(harness.Binary(t)), filepath.Join(dir, "bin")); err != nil {
		t.Fatal(err)
	}
	runConsole(t, dir, string(readme))
}

func startDemo(t *testing.T, root string) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "demo")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./integration/demo")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	logs := new(harness.Log)
	demo := exec.CommandContext(context.Background(), binary, "-caddy", harness.Binary(t))
	demo.Dir = root
	demo.Stdout, demo.Stderr = logs, logs
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = demo.Process.Signal(syscall.SIGINT) // as Ctrl-C does
		ended := make(chan error, 1)
		go func() { ended <- demo.Wait() }()
		select {
		case err := <-ended:
			if err != nil || !strings.Contains(logs.String(), "stopped") {
				t.Errorf("the demo didn't stop cleanly: %v", err)
			}
		case <-time.After(15 * time.Second):
			_ = demo.Process.Kill()
			t.Error("the demo didn't stop")
		}
		if t.Failed() {
			t.Log(logs.Tail(4000))
		}
	})
	harness.Eventually(t, 30*time.Second, "the demo to start", func() bool {
		return strings.Contains(logs.String(), "Switchboard is up")
	})
}
