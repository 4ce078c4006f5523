package command

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/internal/call"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	writes "github.com/switchboard-ivr/switchboard/module/once"
)

// writing is an API whose writes happen once.
type writing struct {
	paramed
	store *writes.Store
}

func (w writing) Writes() *writes.Store { return w.store }

func TestOnce(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "admin.sock")
	runInstance(t, directory(t, "unix/"+socket))
	loaded, err := caddy.ActiveContext().App("switchboard")
	if err != nil {
		t.Fatal(err)
	}
	store := writes.NewStore(&certmagic.FileStorage{Path: t.TempDir()}, "ticket", [32]byte{1}, zap.NewNop())
	if err := loaded.(*switchboard.App).RegisterAPI("ticket", "f", writing{store: store}); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for i, r := range []writes.Record{{Key: "c-1", Outcome: call.OK, Answer: []byte("{}")}, {Key: "c-2", Outcome: call.Unknown, Cause: call.Timeout}, {Key: "c-3"}} {
		r.Sent, r.Until, r.Expires = now.Add(time.Duration(-i)*time.Second), now.Add(time.Minute), now.Add(time.Hour)
		if err := store.Save(t.Context(), &r); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		args   string
		stdout []string // what each line begins with and contains
		err    string
	}{
		{args: "once ticket", stdout: []string{"KEY STATE", "c-1 ok", "c-2 unknown", "c-3 under_way"}},
		{args: "once ticket c-2", stdout: []string{"KEY STATE", "c-2 unknown"}},
		{args: "once ticket c-2 --json", stdout: []string{"{", `"key": "c-2",`, `"state": "unknown",`, `"reason": "it ended as timeout",`, `"sent":`, `"expires":`, "}"}},
		{args: "once ticket c-3 --forget", err: "the write is under way"},
		{args: "once ticket c-2 --forget", stdout: []string{"KEY STATE", "c-2 unknown", "forgotten; a repeat is sent again"}},
		{args: "once ticket c-2 --forget", err: "no write with this key is remembered"},
		{args: "once ticket", stdout: []string{"KEY STATE", "c-1 ok", "c-3 under_way"}},
		{args: "once ticket --forget", err: "--forget needs the key of a write"},
		{args: "once tikcet", err: "there is no api tikcet; there are: ticket"},
		{args: "once", err: "arg"},
	} {
		stdout, _, err := caddyWith(t, "", strings.Fields(test.args)...)
		if (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %v", test.args, err)
		}
		var lines []string
		for line := range strings.Lines(stdout) {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
		if len(lines) != len(test.stdout) {
			t.Errorf("%s: %q", test.args, stdout)
			continue
		}
		for i, line := range lines {
			if !strings.HasPrefix(line, test.stdout[i]) {
				t.Errorf("%s: line %q, want %q", test.args, line, test.stdout[i])
			}
		}
	}
}
