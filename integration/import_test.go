package integration

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/customers"
	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/module/customer/exchange"
)

// imported is how many customers are imported and killed at.
const imported = 20_000 // 40 batches

// An import that is killed, several times and anywhere, and run again ends with
// the same customers as one that nobody disturbed, and each rejected row is
// there once.
func TestAKilledImportContinues(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "customers.csv")
	writeCustomers(t, file)
	env := []string{"XDG_DATA_HOME=" + filepath.Join(dir, "killed")}
	done := 0
	for _, batches := range []int{1, 2, 5} {
		killed, err := killImport(t, dir, env, file, batches)
		if err != nil {
			t.Fatal(err)
		}
		if killed {
			done++
		}
	}
	if done == 0 {
		t.Fatal("no import was killed before it ended")
	}
	out, err := harness.Command(t, dir, env, "switchboard", "customers", "import", "--batch", "500", file)
	if code(err) != 1 || !strings.Contains(out, "continued behind line") || !strings.Contains(out, "rejected 3") {
		t.Fatalf("the last run: %v\n%s", err, out)
	}
	rejects, err := os.ReadFile(filepath.Join(dir, "customers.rejects.csv"))
	if err != nil || strings.Count(string(rejects), "the id is missing") != 3 {
		t.Errorf("%v, rejected:\n%s", err, rejects)
	}
	undisturbed := []string{"XDG_DATA_HOME=" + filepath.Join(dir, "undisturbed")}
	if out, err := harness.Command(t, dir, undisturbed, "switchboard", "customers", "import", file); code(err) != 1 {
		t.Fatalf("%v\n%s", err, out)
	}
	if got, want := export(t, dir, env, "a"), export(t, dir, undisturbed, "b"); got != want || strings.Count(got, "\n") != imported {
		t.Errorf("the exports differ: %d and %d lines", strings.Count(got, "\n"), strings.Count(want, "\n"))
	}
}

// writeCustomers writes a CSV with a row without an id near its beginning, its
// middle and its end.
func writeCustomers(t *testing.T, file string) {
	t.Helper()
	var text strings.Builder
	if _, err := exchange.Export(t.Context(), customers.List{Seed: 1, N: imported}, &text, exchange.CSV, nil); err != nil {
		t.Fatal(err)
	}
	rows := strings.SplitAfter(text.String(), "\nC")
	for _, i := range []int{10, imported / 2, imported - 10} {
		_, rest, _ := strings.Cut(rows[i], ",")
		bad := "," + rest
		rows[i] = rows[i][:len(rows[i])-1] + bad[:len(bad)-1] + "C"
	}
	if err := os.WriteFile(file, []byte(strings.Join(rows, "")), 0o600); err != nil {
		t.Fatal(err)
	}
}

// killImport kills an import when the database has grown some times, and tells
// whether it was still running.
func killImport(t *testing.T, dir string, env []string, file string, batches int) (killed bool, err error) {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), harness.Binary(t), "switchboard", "customers", "import", "--batch", "500", file)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append(env, "HOME="+dir)...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	line, _, err := bufio.NewReader(stderr).ReadLine() // the store is named before the import begins
	if err != nil {
		return false, fmt.Errorf("%s: %w", line, err)
	}
	wal := filepath.Join(strings.TrimPrefix(env[0], "XDG_DATA_HOME="), "caddy", "switchboard", "customers.db-wal")
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	size, grown := int64(-1), 0
	harness.Eventually(t, time.Minute, "the import to get on", func() bool {
		if info, err := os.Stat(wal); err == nil && info.Size() != size {
			size = info.Size()
			grown++
		}
		return grown > batches || len(ended) > 0
	})
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return false, err
	}
	return code(<-ended) == -1, nil
}

// code is the exit status, -1 of a process that was killed.
func code(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return -2
}

func export(t *testing.T, dir string, env []string, name string) string {
	t.Helper()
	file := filepath.Join(dir, name+".ndjson")
	if out, err := harness.Command(t, dir, env, "switchboard", "customers", "export", file); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The sample customers are importable, and come out as they went in.
func TestTheSampleCustomers(t *testing.T) {
	dir := t.TempDir()
	sample := filepath.Join(harness.Root(t), "caddyfile-examples", "customers.csv")
	if out, err := harness.Command(t, dir, nil, "switchboard", "customers", "import", sample); err != nil || !strings.Contains(out, "imported 20, rejected 0") {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := harness.Command(t, dir, nil, "switchboard", "customers", "get", "C1001")
	if err != nil || !strings.Contains(out, `"tel":"13800138000"`) || !strings.Contains(out, `"nick":"张三"`) {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := harness.Command(t, dir, nil, "switchboard", "customers", "delete", "C1001", "--address", "127.0.0.1:1"); code(err) != 1 ||
		!strings.Contains(out, "--offline") {
		t.Errorf("without an instance: %v\n%s", err, out)
	}
	if out, err := harness.Command(t, dir, nil, "switchboard", "customers", "delete", "C1001", "--offline"); err != nil || !strings.Contains(out, "deleted C1001") {
		t.Errorf("offline: %v\n%s", err, out)
	}
}
