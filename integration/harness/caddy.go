// Package harness runs the built binary for tests, as a user would: with a
// Caddyfile, on loopback, in directories of its own.
package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Binary is the caddy to test: SWITCHBOARD_CADDY, or bin/caddy of the
// repository. A missing one fails the test: nothing is skipped.
func Binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv("SWITCHBOARD_CADDY")
	if path == "" {
		path = filepath.Join(Root(t), "bin", "caddy")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the binary to test is missing (%v): run `make build`", err)
	}
	return path
}

// Root is the repository's folder.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "xcaddy.json")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no xcaddy.json above the test's folder")
		}
		dir = filepath.Dir(dir)
	}
}

// Caddy is a running binary.
type Caddy struct {
	t     testing.TB
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process is gone
	env   []string

	// Port serves the site, Admin is the address of the admin API.
	Port  int
	Admin string
	// Dir holds the Caddyfile, Data and the configuration's autosave.
	Dir string
	// Logs is everything it has written.
	Logs *Log
}

// Config says how to start a Caddy.
type Config struct {
	// Caddyfile's text. {PORT} and {ADMIN} become free ports, {DIR} the folder.
	Caddyfile string
	// Env is added to the environment.
	Env []string
	// Dir is an existing folder to start in again. Default: a new one.
	Dir string
	// Port serves the site, as it did before a restart. Default: a free one.
	Port int
}

// Start runs the binary until the test ends. It waits until the admin API
// answers.
func Start(t testing.TB, c Config) *Caddy {
	t.Helper()
	caddy := &Caddy{t: t, Dir: c.Dir, env: c.Env, Logs: new(Log)}
	if caddy.Dir == "" {
		caddy.Dir = t.TempDir()
	}
	if caddy.Port = c.Port; caddy.Port == 0 {
		caddy.Port = FreePort(t)
	}
	caddy.Admin = fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	file := caddy.write(c.Caddyfile)
	caddy.cmd = exec.CommandContext(context.Background(), Binary(t), "run", "--config", file, "--adapter", "caddyfile")
	caddy.cmd.Env = append(environment(caddy.Dir), c.Env...)
	caddy.cmd.Stdout, caddy.cmd.Stderr = caddy.Logs, caddy.Logs
	if err := caddy.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	caddy.ended = make(chan struct{})
	go func() {
		_ = caddy.cmd.Wait() // its log says why
		close(caddy.ended)
	}()
	t.Cleanup(func() {
		caddy.Stop()
		if t.Failed() {
			t.Logf("caddy's log:\n%s", caddy.Logs.Tail(8000))
		}
	})
	caddy.wait()
	return caddy
}

func environment(dir string) []string {
	env := []string{
		"XDG_DATA_HOME=" + filepath.Join(dir, "data"), "XDG_CONFIG_HOME=" + filepath.Join(dir, "config"), "HOME=" + dir,
	}
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); name == "PATH" || name == "GORACE" || name == "GOMEMLIMIT" || name == "GODEBUG" {
			env = append(env, v)
		}
	}
	return env
}

func (c *Caddy) write(caddyfile string) string {
	c.t.Helper()
	text := strings.NewReplacer("{PORT}", fmt.Sprint(c.Port), "{ADMIN}", c.Admin, "{DIR}", c.Dir).Replace(caddyfile)
	file := filepath.Join(c.Dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return file
}

func (c *Caddy) wait() {
	c.t.Helper()
	Eventually(c.t, 30*time.Second, "caddy to answer on its admin address", func() bool {
		select {
		case <-c.ended:
			c.t.Fatalf("caddy ended while starting:\n%s", c.Logs.Tail(4000))
		default:
		}
		res, err := http.Get("http://" + c.Admin + "/config/")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// URL is that of a path of the site.
func (c *Caddy) URL(path string) string { return fmt.Sprintf("http://localhost:%d%s", c.Port, path) }

// Reload loads a Caddyfile as `caddy reload` does.
func (c *Caddy) Reload(caddyfile string) error {
	file := c.write(caddyfile)
	out, err := c.Command("reload", "--config", file, "--adapter", "caddyfile", "--address", c.Admin, "--force")
	if err != nil {
		return fmt.Errorf("reloading: %w\n%s", err, out)
	}
	return nil
}

// Load posts a Caddyfile to the admin API: a reload without another process.
func (c *Caddy) Load(caddyfile string) error {
	text, err := os.ReadFile(c.write(caddyfile))
	if err != nil {
		return err
	}
	// The reload before may still close the admin listener that a connection waits at.
	var got Answer
	for range 5 {
		if got, err = Try(Request(c.t, http.MethodPost, "http://"+c.Admin+"/load", "text/caddyfile", string(text))); err == nil {
			break
		}
	}
	if err == nil && got.Status != http.StatusOK {
		err = fmt.Errorf("loading: %d %s", got.Status, got.Body)
	}
	return err
}

// Command runs another command of the binary in the same environment.
func (c *Caddy) Command(args ...string) (string, error) {
	return Command(c.t, c.Dir, c.env, args...)
}

// Command runs a command of the binary to its end.
func Command(t testing.TB, dir string, env []string, args ...string) (string, error) {
	t.Helper()
	out, err := prepare(t, dir, env, args...).CombinedOutput()
	return string(out), err
}

// Prepare makes another command of the binary in the same environment, for a test that
// talks to it while it runs.
func (c *Caddy) Prepare(args ...string) *exec.Cmd { return prepare(c.t, c.Dir, c.env, args...) }

func prepare(t testing.TB, dir string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), Binary(t), args...)
	cmd.Env = append(environment(dir), env...)
	cmd.Dir = dir
	return cmd
}

// Kill ends the process at once, as a crash does.
func (c *Caddy) Kill() {
	_ = c.cmd.Process.Kill()
	<-c.ended
}

// Stop ends the process as an operator does, and fails the test when it takes
// long or when the race detector has found something.
func (c *Caddy) Stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.ended:
	case <-time.After(20 * time.Second):
		_ = c.cmd.Process.Kill()
		c.t.Error("caddy did not stop within 20 s")
	}
	if strings.Contains(c.Logs.String(), "WARNING: DATA RACE") {
		c.t.Error("the race detector found something; see caddy's log")
	}
}

// PID is the process's id.
func (c *Caddy) PID() int { return c.cmd.Process.Pid }

// FreePort finds a port that nobody listens on.
func FreePort(t testing.TB) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// Goroutines is how many the process has.
func (c *Caddy) Goroutines() int {
	c.t.Helper()
	text := Get(c.t, "http://"+c.Admin+"/debug/pprof/goroutine?debug=1").Body
	var n int
	if _, err := fmt.Sscanf(text, "goroutine profile: total %d", &n); err != nil {
		c.t.Fatalf("the admin API tells no goroutines: %v", err)
	}
	return n
}

// RSS is the process's resident memory in bytes, and its peak.
func (c *Caddy) RSS() (now, peak int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.PID()))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		var kb int64
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kb); err == nil {
			now = kb << 10
		}
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kb); err == nil {
			peak = kb << 10
		}
	}
	if now == 0 {
		return 0, 0, errors.New("no VmRSS in the process's status")
	}
	return now, peak, nil
}
