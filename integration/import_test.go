package integration

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
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
		killed, _, err := endImport(t, dir, env, file, batches, os.Kill)
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
	if code(err) != 1 || !strings.Contains(out, "continued after line") || !strings.Contains(out, "rejected 3") {
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

// An import that is stopped with Ctrl-C, or by whoever stops processes, ended with
// "the customer directory is unavailable". It says where it was, and goes on there.
func TestAStoppedImportContinues(t *testing.T) {
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		dir := t.TempDir()
		file := filepath.Join(dir, "customers.csv")
		writeCustomers(t, file)
		env := []string{"XDG_DATA_HOME=" + filepath.Join(dir, "stopped")}
		_, stderr, err := endImport(t, dir, env, file, 4, signal)
		if err != nil {
			t.Fatal(err)
		}
		stopped := regexp.MustCompile(`stopped at row (\d+); run the same command again\n`).FindStringSubmatch(stderr)
		if stopped == nil || strings.Contains(stderr, "unavailable") {
			t.Fatalf("%v: %s", signal, stderr)
		}
		out, err := harness.Command(t, dir, env, "switchboard", "customers", "import", "--batch", "500", file)
		if code(err) != 1 || !strings.Contains(out, "continued after line") || !strings.Contains(out, "rejected 3") {
			t.Fatalf("%v: the next run: %v\n%s", signal, err, out)
		}
		if got := strings.Count(export(t, dir, env, "a"), "\n"); got != imported {
			t.Errorf("%v: %d customers", signal, got)
		}
	}
}

// What spreadsheets write is read, what they spoil is counted, and what isn't a CSV
// is named; nothing of the cells is shown.
func TestImportsFromSpreadsheets(t *testing.T) {
	dir := t.TempDir()
	for name, test := range map[string]struct {
		text string
		code int
		says []string
	}{
		"spoilt.csv": {
			"id,tel,email,,\nC1,1.38001E+10,x,,\nC2,8.6138E+12,,,\nC3,13800138000/13900139000,,,\nC4,N/A,,,\nC5,\"13,800,138,000\",,,\n,,,,\nC6,13800138000.0,a@b.c,,\nC7,=\"13800138001\",,,\n,,,,\n",
			0,
			[]string{
				"imported 7, rejected 0", "tel of 5 customers can't be searched, first in line 2",
				"email of 1 customer can't be searched, first in line 2", "line 2: tel can't be searched",
			},
		},
		"array.json":  {`[{"id":"C8","tel":"13800138002"}]`, 0, []string{"imported 1, rejected 0"}},
		"book.xlsx":   {"PK\x03\x04\x14\x00\x06\x00[Content_Types].xml", 1, []string{"Excel workbook (.xlsx); save it as"}},
		"packed.gz":   {"\x1f\x8b\x08\x00\x00", 1, []string{"zcat FILE | caddy switchboard customers import"}},
		"unicode.csv": {"\xff\xfei\x00d\x00", 1, []string{"UTF-16; save it as UTF-8"}},
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		caddyfile := filepath.Join(dir, "Caddyfile")
		if err := os.WriteFile(caddyfile, []byte("{\n\tswitchboard {\n\t\tregion CN\n\t}\n}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := harness.Command(t, dir, nil, "switchboard", "customers", "import", "--config", caddyfile, file)
		if code(err) != test.code {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		for _, says := range test.says {
			if !strings.Contains(out, says) {
				t.Errorf("%s doesn't say %q:\n%s", name, says, out)
			}
		}
		for _, value := range []string{"1.38001", "13900139000", "N/A"} {
			if strings.Contains(out, value) {
				t.Errorf("%s shows %s:\n%s", name, value, out)
			}
		}
	}
	out, err := harness.Command(t, dir, nil, "switchboard", "customers", "get", "C7")
	if err != nil || !strings.Contains(out, `"tel":"13800138001"`) {
		t.Errorf("%v\n%s", err, out)
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

// endImport sends an import a signal when the database has grown some times. It
// returns whether that killed it, and what it says behind its first line.
func endImport(t *testing.T, dir string, env []string, file string, batches int, signal os.Signal) (killed bool, said string, err error) {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), harness.Binary(t), "switchboard", "customers", "import", "--batch", "500", file)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append(env, "HOME="+dir)...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return false, "", err
	}
	if err := cmd.Start(); err != nil {
		return false, "", err
	}
	all := bufio.NewReader(stderr)
	line, _, err := all.ReadLine() // the store is named before the import begins
	if err != nil {
		return false, "", fmt.Errorf("%s: %w", line, err)
	}
	wal := filepath.Join(strings.TrimPrefix(env[0], "XDG_DATA_HOME="), "caddy", "switchboard", "customers.db-wal")
	ended := make(chan error, 1)
	go func() {
		rest, _ := io.ReadAll(all)
		said = string(rest)
		ended <- cmd.Wait()
	}()
	size, grown := int64(-1), 0
	harness.Eventually(t, time.Minute, "the import to get on", func() bool {
		if info, err := os.Stat(wal); err == nil && info.Size() != size {
			size = info.Size()
			grown++
		}
		return grown > batches || len(ended) > 0
	})
	if err := cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return false, "", err
	}
	err = <-ended
	return code(err) == -1, said, nil
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
