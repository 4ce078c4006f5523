package command

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	switchboard "github.com/switchboard-ivr/switchboard/module"
)

func TestHoldAndRelease(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "admin.sock")
	text := directory(t, "unix/"+socket)
	if _, _, err := caddyWith(t, "", "hold", "order"); err == nil || !strings.Contains(err.Error(), "no running instance responds at") {
		t.Errorf("nobody runs: %v", err)
	}
	runInstance(t, text)
	loaded, err := caddy.ActiveContext().App("switchboard")
	if err != nil {
		t.Fatal(err)
	}
	app := loaded.(*switchboard.App)
	order := app.APIState("order") // as a handler does
	if err := app.RegisterAPI("order", "f", paramed{}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args   string
		stdout string
		err    string
		held   bool
	}{
		{args: "hold order", stdout: "order is held\n", held: true},
		{args: "hold order --address unix/" + socket, stdout: "order is held\n", held: true},
		{args: "hold odrer", err: "there is no api odrer; there are: order", held: true},
		{args: "release odrer", err: "there is no api odrer", held: true},
		{args: "release", err: "arg", held: true},
		{args: "release order crm", err: "arg", held: true},
		{args: "release order --config missing", err: "no such file", held: true},
		{args: "release order", stdout: "order is called again\n"},
		{args: "release order", stdout: "order is called again\n"},
	} {
		stdout, _, err := caddyWith(t, "", strings.Fields(test.args)...)
		if stdout != test.stdout || (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %q, %v", test.args, stdout, err)
		}
		if order.Held() != test.held {
			t.Errorf("%s: held is %v", test.args, order.Held())
		}
	}
}
