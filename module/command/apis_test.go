package command

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/switchboard-ivr/switchboard/internal/call"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// paramed is an API whose programs read params.
type paramed struct{ switchboard.API }

func (paramed) BreakerState() string { return "" }

func (paramed) Link() error { return nil }

func (paramed) Describe(to *adminapi.API) { to.Params = []string{"tel", "lang"} }

// The state of all APIs, failing ones first.
func TestTheStateOfAPIs(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "admin.sock")
	runInstance(t, directory(t, "unix/"+socket))
	loaded, err := caddy.ActiveContext().App("switchboard")
	if err != nil {
		t.Fatal(err)
	}
	app := loaded.(*switchboard.App)
	for name, outcomes := range map[string][]call.Outcome{
		"idle": {}, "well": {call.OK, call.NotFound, call.Incomplete}, "ailing": {call.OK, call.Failed},
		"refusing": {call.OK, call.Rejected}, "held": {call.Held},
	} {
		standing := app.APIState(name)
		if err := app.RegisterAPI(name, "f", paramed{}); err != nil {
			t.Fatal(err)
		}
		for _, outcome := range outcomes {
			app.Answered(standing, outcome)
			standing.Count(outcome, 20*time.Millisecond)
		}
	}
	at := []string{"--address", "unix/" + socket}
	run := func(args ...string) string {
		t.Helper()
		stdout, _, err := caddyWith(t, "", append(args, at...)...)
		if err != nil {
			t.Fatal(err)
		}
		return stdout
	}
	run("hold", "held")
	out := run("apis")
	if strings.Contains(out, "\x1b") {
		t.Errorf("colours, though nobody looks: %q", out)
	}
	var order []string
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for _, line := range lines[1:] {
		order = append(order, strings.Join(strings.Fields(line)[:3], " "))
	}
	//nolint:dupword // names that are states, too
	if want := []string{"ailing degraded 50.0", "held held 0.0", "refusing ok 50.0", "idle idle -", "well ok 100.0"}; !slices.Equal(order, want) {
		t.Errorf("got %q, want %q in\n%s", order, want, out)
	}
	if out := run("apis", "well"); !strings.Contains(out, "incomplete  1      33.3") {
		t.Errorf("one API:\n%s", out)
	}
	if out := run("apis", "--json"); !strings.Contains(out, `"degraded_since": "`) || !strings.Contains(out, `"real_share": 0.5`) || strings.Index(out, `"ailing"`) > strings.Index(out, `"well"`) {
		t.Errorf("as JSON:\n%s", out)
	}
	if _, _, err := caddyWith(t, "", append([]string{"apis", "nope"}, at...)...); err == nil || !strings.Contains(err.Error(), "there is no api nope") {
		t.Errorf("an unknown API: %v", err)
	}

	t.Run("completion", func(t *testing.T) {
		complete := func(args ...string) string {
			t.Helper()
			stdout, _, err := caddyWith(t, "", append([]string{cobra.ShellCompRequestCmd}, args...)...)
			if err != nil {
				t.Fatal(err)
			}
			return stdout
		}
		flag := "--address=unix/" + socket
		for _, test := range []struct {
			args []string
			want string
		}{
			{[]string{"hold", flag, ""}, "ailing\nheld\nidle\nrefusing\nwell\n:4\n"},
			{[]string{"hold", flag, "we"}, "well\n:4\n"},
			{[]string{"apis", flag, "i"}, "idle\n:4\n"},
			{[]string{"last", flag, "c"}, "customer_lookup\n:4\n"},
			{[]string{"hold", flag, "well", ""}, ":4\n"},
			{[]string{"test", flag, "well", ""}, "tel=\nlang=\n:6\n"},
			{[]string{"test", flag, "well", "tel=1", ""}, "lang=\n:6\n"},
			{[]string{"tokens", "renew", flag, ""}, ":4\n"},
			{[]string{"hold", "--address=unix/" + socket + ".none", ""}, ":4\n"},
			{[]string{"test", "--address=127.0.0.1:1", ""}, ":4\n"},
			{[]string{"dialects", "oauth2"}, "oauth2"},
			{[]string{"customers", "de"}, "delete\t"},
			{[]string{"customers", "delete", ""}, ":4\n"},
			{[]string{"customers", "import", "--format", ""}, "csv\nndjson\n:4\n"},
		} {
			if got := complete(test.args...); !strings.HasPrefix(got, test.want) {
				t.Errorf("%v: got %q, want %q", test.args, got, test.want)
			}
		}
	})
}

// Colours are for people at a terminal who want them.
func TestColors(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if !colors(terminal) || colors(file) || colors(new(bytes.Buffer)) {
		t.Error("colours are not for a terminal alone")
	}
	if got := colors(terminal).outcome("failed"); got != "\x1b[31mfailed\x1b[39m" {
		t.Errorf("got %q", got)
	}
	t.Setenv("TERM", "dumb")
	if colors(terminal) {
		t.Error("colours on a dumb terminal")
	}
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "1")
	if colors(terminal) {
		t.Error("colours in spite of NO_COLOR")
	}

	// columns stay straight
	for _, paint := range []painter{false, true} {
		for _, c := range []color{plain, red, green, yellow} {
			if n := len(paint.in(c, "x")); n != len(paint.in(plain, "y")) {
				t.Errorf("%s takes %d bytes", c, n)
			}
		}
	}
}
