package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/goleak"

	"github.com/switchboard-ivr/switchboard/integration/storetest"
	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/customer/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, path string) *store {
	t.Helper()
	s := newStore(path, customer.Env{Region: storetest.Region})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	path := ""
	storetest.Run(t, func(t *testing.T, fresh bool) customer.Writer {
		if fresh {
			path = filepath.Join(t.TempDir(), "a folder", "odd ?#%.db")
		}
		return open(t, path)
	})
}

// Nobody else on the machine reads customers, and nothing is there before the
// first use.
func TestTheFileIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "customers.db")
	s := open(t, path)
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("before the first use: %v", err)
	}
	storetest.Put(t, s, storetest.People()...)
	storetest.IDs(t, s, map[string]any{"id": "C1"}, 1)
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) < 2 {
		t.Fatalf("files: %v %v", files, err)
	}
	for _, file := range append(files, filepath.Dir(path)) {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is %v", filepath.Base(file), info.Mode())
		}
	}
}

// A statement of a reader can't write, nor reach another file.
func TestReadersOnlyRead(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "customers.db"))
	storetest.Put(t, s, storetest.People()...)
	for _, text := range []string{
		"DELETE FROM " + schema.Customers, "INSERT INTO " + schema.Imports + " VALUES ('a', 1)", "DROP TABLE " + schema.Customers,
		"ATTACH DATABASE '" + filepath.Join(dir, "other.db") + "' AS other", "PRAGMA query_only = 0; DELETE FROM " + schema.Customers,
		"CREATE TEMP TABLE t (x)", "SELECT load_extension('x')",
	} {
		if _, err := s.reader.ExecContext(t.Context(), text); err == nil {
			t.Errorf("%s was done", text)
		}
	}
	if n, err := s.Count(t.Context()); err != nil || n != int64(len(storetest.People())) {
		t.Errorf("afterwards: %d %v", n, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "other.db")); err == nil {
		t.Error("another file was made")
	}
}

// No lookup reads more than the rows that it finds.
func TestNoLookupScans(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "customers.db"))
	storetest.Put(t, s, storetest.Many(5000)...)
	if _, err := s.writer.ExecContext(t.Context(), "ANALYZE"); err != nil {
		t.Fatal(err)
	}
	for _, q := range storetest.Queries() {
		newest, key := s.finder.Newest(q)
		list, args := s.finder.Find(q, 2)
		for text, args := range map[string][]any{newest: key, list: args} {
			for _, detail := range plan(t, s, text, args) {
				if strings.HasPrefix(detail, "SCAN "+schema.Customers) || text == newest && strings.Contains(detail, "ORDER BY") {
					t.Errorf("%v: %s", q, detail)
				}
			}
		}
	}
}

// plan is how SQLite runs a statement, step by step.
func plan(t *testing.T, s *store, text string, args []any) (steps []string) {
	t.Helper()
	rows, err := s.writer.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, detail)
	}
	if err := rows.Err(); err != nil || len(steps) == 0 {
		t.Fatalf("%d steps, %v", len(steps), err)
	}
	return steps
}

// A store that can't be opened says so, and works once it can.
func TestAStoreThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	obstacle := filepath.Join(dir, "sub")
	if err := os.WriteFile(obstacle, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, filepath.Join(obstacle, "customers.db"))
	if _, err := s.Count(t.Context()); !errors.Is(err, customer.ErrUnavailable) || strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	storetest.Put(t, s, storetest.People()...)
}

// Tables of a newer program are left alone.
func TestANewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "customers.db")
	s := open(t, path)
	storetest.Put(t, s, storetest.People()...)
	if _, err := s.writer.ExecContext(t.Context(), "UPDATE "+schema.Schema+" SET version = 99"); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, path).Count(t.Context()); !errors.Is(err, customer.ErrUnavailable) || !strings.Contains(err.Error(), "version 99") {
		t.Errorf("got %v", err)
	}
}

// While another process writes, lookups go on.
func TestReadingWhileSomeoneWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "customers.db")
	s := open(t, path)
	storetest.Put(t, s, storetest.People()...)
	tx, err := s.writer.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(t.Context(), "DELETE FROM "+schema.Customers); err != nil {
		t.Fatal(err)
	}
	if got := storetest.IDs(t, open(t, path), map[string]any{"id": "C1"}, 1); got != "C1" {
		t.Errorf("got %q", got)
	}
}

func TestSettings(t *testing.T) {
	t.Setenv("SQLITE_TEST_DIR", "/srv/customers")
	for text, want := range map[string]string{
		"sqlite /srv/c.db":                      "sqlite /srv/c.db",
		"sqlite {env.SQLITE_TEST_DIR}/c.db":     "sqlite /srv/customers/c.db",
		"sqlite":                                "sqlite " + filepath.Join(caddy.AppDataDir(), "switchboard", "customers.db"),
		"sqlite a b":                            "error: wrong argument count",
		"sqlite a.db {\n x\n}":                  "error: unrecognized subdirective",
		"sqlite :memory:":                       "error: have to be in a file",
		"sqlite {env.SQLITE_TEST_NO_SUCH}/a.db": "error: path",
	} {
		var s SQLite
		err := s.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
		if err == nil {
			err = s.Provision(caddy.Context{})
		}
		if reason, refused := strings.CutPrefix(want, "error: "); refused {
			if err == nil || !strings.Contains(strings.ToLower(err.Error()), reason) {
				t.Errorf("%s: got %v, want %s", text, err, reason)
			}
			continue
		}
		if err != nil || s.Location() != want {
			t.Errorf("%s: got %s %v", text, s.Location(), err)
		}
	}
	a, b := SQLite{path: "/a"}, SQLite{path: "/b"}
	if a.Identity() == b.Identity() {
		t.Error("two files are one store")
	}
}
