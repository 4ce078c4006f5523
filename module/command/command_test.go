package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/spf13/cobra"

	_ "github.com/switchboard-ivr/switchboard/module/customer/sqlite"
)

// caddyWith runs `caddy switchboard …` as a shell would.
func caddyWith(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	return caddyFrom(t, strings.NewReader(stdin), args...)
}

func caddyFrom(t *testing.T, stdin io.Reader, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	root := &cobra.Command{Use: "switchboard", SilenceUsage: true}
	addCommands(root)
	var out, errs bytes.Buffer
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(&out)
	root.SetErr(&errs)
	err = root.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

// directory is a Caddyfile with a directory in a new folder, which is the
// current one until the test ends.
func directory(t *testing.T, admin string) (config string) {
	t.Helper()
	t.Chdir(t.TempDir())
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	// the route is broken on purpose: a directory is loaded alone
	text := fmt.Sprintf(`{
	admin %s
	switchboard {
		customers sqlite %s/customers.db
		region CN
	}
}
`, admin, dir)
	if err := os.WriteFile("Caddyfile", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return text
}

func TestImportGetCountExportDelete(t *testing.T) {
	directory(t, "off")
	const file = "id,tel,nick,grade\nC1,13800138000,张三,\nC2,+14155550123,\"O'Neill, Ann\",a\n"
	if err := os.WriteFile("c.csv", []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		stdin  string
		args   string
		stdout string
		stderr string
		err    string
	}{
		{args: "customers count", stdout: "0\n", stderr: "customers: sqlite /"},
		{args: "customers import c.csv", stdout: "imported 2, rejected 0\n", stderr: "custom fields: grade"},
		{args: "customers count", stdout: "2\n"},
		{args: "customers get C2", stdout: `{"id":"C2","tel":"+14155550123","nick":"O'Neill, Ann","grade":"a"}` + "\n"},
		{args: "customers get C3", err: "no such customer"},
		{args: "customers get --", err: "arg"},
		{args: "customers import -", stdin: `{"id":"C3","isVip":true}`, stdout: "imported 1, rejected 0\n"},
		{
			args: "customers import", stdin: "id,tel,email\nC3,138,a\nC5,1.38001E+10,a@b.c\n",
			stdout: "imported 2, rejected 0\ntel of 2 customers can't be searched, first in line 2\nemail of 1 customer can't be searched, first in line 2\n",
			stderr: "line 2: tel can't be searched: it is not a valid telephone number",
		},
		{args: "customers import", stdin: `[{"id":"C3"},{"id":"C5"}]`, stdout: "imported 2, rejected 0\n"},
		{args: "customers import", stdin: "PK\x03\x04[Content_Types].xml", err: "Excel workbook (.xlsx); save it as"},
		{args: "customers export --format json", err: "csv or ndjson"},
		{args: "customers import", stdin: "id,isVip\nC4,maybe\nC5,1\n", stdout: "imported 1, rejected 1\n", err: "stdin.rejects.csv, with the reasons"},
		{args: "customers import --rejects bad.csv", stdin: "id,isVip\nC4,maybe\n", stdout: "imported 0, rejected 1\n", err: "bad.csv"},
		{args: "customers import --rejects c.csv ./c.csv", err: "must not be the imported file"},
		{args: "customers import --rejects c.csv", stdin: "id,isVip\nC4,maybe\n", stdout: "imported 0", err: "holds no rejected rows"},
		{args: "customers import --format xml c.csv", err: "neither csv nor ndjson nor json"},
		{args: "customers import --batch 0 c.csv", err: "--batch"},
		{args: "customers import missing.csv", err: "no such file"},
		{args: "customers import .", err: "it is a folder"},
		{args: "customers export --format ndjson", stdout: `{"id":"C1","tel":"13800138000","nick":"张三"}` + "\n" + `{"id":"C2",`, stderr: "exported 4"},
		{args: "customers export --format xml", err: "neither csv nor ndjson"},
		{args: "customers export all.csv", stderr: "exported 4"},
		{args: "customers export all.jsonl"},
		{args: "customers export missing/all.csv", err: "no such file"},
		{args: "customers delete C1", err: "no running instance responds at"},
		{args: "customers delete --offline C1 C9", stdout: "deleted C1\nnot found C9\n", err: "1 of 2 customers were not found"},
		{args: "customers delete --offline C2", stdout: "deleted C2\n"},
		{args: "customers count", stdout: "2\n"},
		{args: "customers import all.csv", stdout: "imported 4, rejected 0\n"},
		{args: "customers count", stdout: "4\n"},
		{args: "customers import all.jsonl", stdout: "imported 4, rejected 0\n"},
		{args: "customers truncate", err: "no such command"},
		{args: "customers", stdout: "Available Commands"},
		{args: "nonsense", err: "no such command"},
		{args: "customers count --config missing", err: "no such file"},
		{args: "dialects", stdout: "jwt_bearer\nnone\noauth2\noauth2_basic\noauth2_code\noauth2_jwt\nsigned\n"},
		{args: "dialects signed", stdout: "#"},
		{args: "dialects missing", err: "no such dialect"},
		{args: "systems", stdout: "NAME"},
		{args: "systems kamailio", stdout: "kamailio  "},
		{args: "systems missing", err: "no such phone system"},
	} {
		stdout, stderr, err := caddyWith(t, test.stdin, strings.Fields(test.args)...)
		if !strings.HasPrefix(stdout, test.stdout) && (test.stdout != "Available Commands" || !strings.Contains(stdout, test.stdout)) {
			t.Errorf("%s prints %q, want %q", test.args, stdout, test.stdout)
		}
		if !strings.Contains(stderr, test.stderr) {
			t.Errorf("%s says %q, want %q", test.args, stderr, test.stderr)
		}
		if (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %v, want %q", test.args, err, test.err)
		}
	}
	for _, name := range []string{"stdin.rejects.csv", "all.csv", "customers.db"} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if left, err := filepath.Glob(".all*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// interrupted is a file that sends this process a signal when its rows are read,
// and then has nothing more, as a pipe may.
type interrupted struct {
	rows   io.Reader
	signal syscall.Signal
	end    <-chan struct{}
}

func (r interrupted) Read(p []byte) (int, error) {
	if n, err := r.rows.Read(p); err == nil {
		return n, nil
	}
	if err := syscall.Kill(os.Getpid(), r.signal); err != nil {
		return 0, err
	}
	<-r.end
	return 0, io.EOF
}

// Ctrl-C in an import was "the customer directory is unavailable".
func TestAStoppedImport(t *testing.T) {
	directory(t, "off")
	end := make(chan struct{})
	defer close(end)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		_, _, err := caddyFrom(t, interrupted{strings.NewReader("id\nC1\nC2\nC3\n"), signal, end}, "customers", "import", "--batch", "1")
		if err == nil || !regexp.MustCompile(`^stdin: stopped at row [34]; run the same command again to start over$`).MatchString(err.Error()) {
			t.Errorf("%v: %v", signal, err)
		}
		if stdout, _, err := caddyWith(t, "", "customers", "count"); err != nil || stdout != "2\n" && stdout != "3\n" {
			t.Errorf("%v: %s, %v", signal, stdout, err)
		}
	}
}

// Without a configuration it is the database in Caddy's data directory.
func TestTheDefaultDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	_, stderr, err := caddyWith(t, "", "customers", "count")
	if want := filepath.Join("switchboard", "customers.db"); err != nil || !strings.Contains(stderr, want) {
		t.Errorf("%q, %v", stderr, err)
	}
	for config, want := range map[string]string{
		`{"apps":{"switchboard":{"customers":{"store":"nonsense"}}}}`: "unknown module",
		`{"apps":{"switchboard":{"region":"XX"}}}`:                    "region",
		`{"apps":{"switchboard":[]}}`:                                 "not a JSON object",
		`{"apps":[]}`:                                                 "not valid Caddy JSON",
	} {
		if err := os.WriteFile("c.json", []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := caddyWith(t, "", "customers", "count", "--config", "c.json"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", config, err)
		}
	}
}

// runInstance runs Caddy in this process, with a Caddyfile, until the test ends.
func runInstance(t *testing.T, caddyfile string) {
	t.Helper()
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := new(caddy.Config)
	if err := json.Unmarshal(adapted, cfg); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Run(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caddy.Stop() })
}

// A running instance deletes itself.
func TestDeleteAsksTheRunningInstance(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "admin.sock")
	text := directory(t, "unix/"+socket)
	if _, _, err := caddyWith(t, "id\nC1\nC2\n", "customers", "import"); err != nil {
		t.Fatal(err)
	}
	runInstance(t, text)
	stdout, stderr, err := caddyWith(t, "", "customers", "delete", "C1", "C3")
	if stdout != "deleted C1\nnot found C3\n" || !strings.Contains(stderr, "running instance: sqlite /") || err == nil {
		t.Errorf("%q, %q, %v", stdout, stderr, err)
	}
	if stdout, _, err := caddyWith(t, "", "customers", "delete", "--address", "unix/"+socket, "C2"); stdout != "deleted C2\n" || err != nil {
		t.Errorf("%q, %v", stdout, err)
	}
	if _, _, err := caddyWith(t, "", "customers", "delete", "--address", "127.0.0.1:1-9", "C2"); err == nil {
		t.Error("a range of ports is an address")
	}
	if stdout, _, err := caddyWith(t, "", "customers", "count"); stdout != "0\n" || err != nil {
		t.Errorf("%q, %v", stdout, err)
	}
}
