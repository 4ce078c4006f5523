package switchboard_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/once"
)

// writingAPI is an API whose writes happen once.
type writingAPI struct {
	fakeAPI
	store *once.Store
}

func (a *writingAPI) Writes() *once.Store { return a.store }

// An operator sees what became of writes, with masked keys, and settles them.
func TestWritesOverTheAdminAPI(t *testing.T) {
	cfg, socket := directoryConfig(t, "")
	app := run(t, cfg)
	dir := t.TempDir()
	api := &writingAPI{store: once.NewStore(&certmagic.FileStorage{Path: dir}, "ticket", [32]byte{1}, zap.NewNop())}
	if err := app.RegisterAPI("ticket", "f", api); err != nil {
		t.Fatal(err)
	}
	if err := app.RegisterAPI("order", "f", new(fakeAPI)); err != nil {
		t.Fatal(err)
	}
	client, err := adminapi.New("unix/" + socket)
	if err != nil {
		t.Fatal(err)
	}

	now := time.Now()
	record := func(key string, age time.Duration, outcome, cause call.Outcome) {
		t.Helper()
		r := &once.Record{Key: key, Attempt: "a", Sent: now.Add(-age), Until: now.Add(time.Minute - age), Expires: now.Add(time.Hour), Outcome: outcome, Cause: cause}
		if outcome.Answered() {
			r.Answer = []byte(`{"ticket":"s3cret"}`)
		}
		if err := api.store.Save(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	record("c-1", time.Second, "", "")
	record("13800138000", 2*time.Second, call.OK, "")
	record("c-3", 3*time.Second, call.Unknown, call.Timeout)
	record("c-4", time.Hour, "", "")

	list, err := client.Writes(t.Context(), "ticket")
	if err != nil || len(list.Writes) != 4 || list.More || list.Unreadable != 0 {
		t.Fatalf("%+v, %v", list, err)
	}
	for i, want := range []adminapi.Write{
		{Key: "c-1", State: adminapi.WriteUnderWay},
		{State: adminapi.WriteAnswered, Outcome: "ok"},
		{Key: "c-3", State: adminapi.WriteUnknown, Reason: "it ended as timeout"},
		{Key: "c-4", State: adminapi.WriteUnknown, Reason: "the process that sent it was stopped"},
	} {
		got := list.Writes[i]
		if want.Key != "" && got.Key != want.Key || got.State != want.State || got.Outcome != want.Outcome || got.Reason != want.Reason || got.Sent.IsZero() || got.Expires.IsZero() {
			t.Errorf("%+v, want %+v", got, want)
		}
		if strings.Contains(got.Key, "138001") {
			t.Errorf("a key in clear: %s", got.Key)
		}
	}

	one, err := client.Write(t.Context(), "ticket", "c-3")
	if err != nil || one.State != adminapi.WriteUnknown || one.Forgotten {
		t.Errorf("%+v, %v", one, err)
	}
	if _, err := client.ForgetWrite(t.Context(), "ticket", "c-1"); status(err) != http.StatusConflict || !strings.Contains(err.Error(), "the write is under way") {
		t.Errorf("forgetting a write that is under way: %v", err)
	}
	was, err := client.ForgetWrite(t.Context(), "ticket", "c-3")
	if err != nil || was.State != adminapi.WriteUnknown || !was.Forgotten {
		t.Errorf("%+v, %v", was, err)
	}
	for what, ask := range map[string]func() error{
		"404 no write with this key is remembered": func() error { _, err := client.Write(t.Context(), "ticket", "c-3"); return err },
		"404 no write with this key":               func() error { _, err := client.ForgetWrite(t.Context(), "ticket", "c-3"); return err },
		"409 api order has no `once`":              func() error { _, err := client.Writes(t.Context(), "order"); return err },
		"409 api order has no":                     func() error { _, err := client.ForgetWrite(t.Context(), "order", "c-3"); return err },
		"404 there is no api nope":                 func() error { _, err := client.Write(t.Context(), "nope", "c-3"); return err },
		"400 the body doesn't name a write":        func() error { _, err := client.Write(t.Context(), "ticket", ""); return err },
	} {
		err := ask()
		if code, says, _ := strings.Cut(what, " "); code != strconv.Itoa(status(err)) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", what, err)
		}
	}

	// one that can't be read
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, _ error) error {
		if d != nil && !d.IsDir() && strings.Contains(path, "switchboard-once") {
			return os.WriteFile(path, []byte("{"), 0o600)
		}
		return nil
	})
	if list, err = client.Writes(t.Context(), "ticket"); err != nil || len(list.Writes) != 0 || list.Unreadable != 3 {
		t.Errorf("%+v, %v", list, err)
	}
	if one, err = client.Write(t.Context(), "ticket", "c-4"); err != nil || one.State != adminapi.WriteUnknown || !strings.Contains(one.Reason, "can't be read") {
		t.Errorf("%+v, %v", one, err)
	}
	if was, err = client.ForgetWrite(t.Context(), "ticket", "c-4"); err != nil || !was.Forgotten {
		t.Errorf("%+v, %v", was, err)
	}

	// a storage that fails
	api.store = once.NewStore(&certmagic.FileStorage{Path: "/dev/null"}, "ticket", [32]byte{1}, zap.NewNop())
	_, listErr := client.Writes(t.Context(), "ticket")
	_, oneErr := client.Write(t.Context(), "ticket", "c-4")
	if status(listErr) != http.StatusServiceUnavailable || status(oneErr) != http.StatusServiceUnavailable {
		t.Errorf("%v, %v", listErr, oneErr)
	}
}
