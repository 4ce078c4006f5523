package sqlite

import (
	"errors"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/switchboard-ivr/switchboard/module/customer"
)

// A file with tables of the user's own is read only, and not made.
func TestOwnTables(t *testing.T) {
	file := t.TempDir() + "/crm.db"
	s := new(SQLite)
	if err := s.UnmarshalCaddyfile(caddyfile.NewTestDispenser("sqlite " + file + " {\nfind id `SELECT * FROM c WHERE id = :raw`\n}")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	if err := s.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	if ours := (&SQLite{path: s.path}).Identity(); ours == s.Identity() {
		t.Error("tables of the user's own are the same store as ours")
	}
	store, err := s.Open(customer.Env{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, ok := store.(customer.Writer); ok {
		t.Error("it writes")
	}
	q, err := customer.NewQuery(map[string]any{"id": "1"}, customer.Env{}.Region)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Find(t.Context(), q, 1); !errors.Is(err, customer.ErrUnavailable) {
		t.Errorf("a file that is missing: %v", err)
	}
}
