package usertables

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/integration/mariadb"
	server "github.com/switchboard-ivr/switchboard/integration/postgres"
	"github.com/switchboard-ivr/switchboard/internal/phone"
	"github.com/switchboard-ivr/switchboard/module/customer"
)

// What all tests of this package share.
var (
	maria *mariadb.Server
	pg    *server.Server
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		code := withServers(m.Run)
		if err := goleak.Find(); code == 0 && err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}())
}

func withServers(run func() int) int {
	var err error
	if maria, err = mariadb.Start(); err == nil {
		defer maria.Close()
		pg, err = server.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer pg.Close()
	return run()
}

// place is where the tables of a test are.
type place struct {
	kind Kind
	dsn  string
}

// places are all kinds of databases. Each has the statements run.
func places(t *testing.T, statements ...string) []place {
	t.Helper()
	all := []place{{Postgres, pg.DSN()}, {MySQL, maria.DSN()}, {SQLite, filepath.Join(t.TempDir(), "a b%?#.db")}}
	for _, p := range all {
		p.exec(t, statements...)
	}
	return all
}

func (p place) exec(t *testing.T, statements ...string) {
	t.Helper()
	name, dsn := [...]string{"pgx", "mysql", "sqlite"}[p.kind], p.dsn
	if p.kind == SQLite {
		dsn = "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(dsn)
	}
	db, err := sql.Open(name, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%v: %s: %v", p.kind, s, err)
		}
	}
}

func (p place) open(t *testing.T, tables Tables) customer.Store {
	t.Helper()
	l, err := tables.Compile(p.kind, zap.NewNop())
	if err != nil {
		t.Fatalf("%v: %v", p.kind, err)
	}
	env := customer.Env{Region: china, Logger: zap.NewNop()}
	s, err := [...]func(*Lookup, string, customer.Env) (customer.Store, error){OpenPostgres, OpenMySQL, OpenSQLite}[p.kind](l, p.dsn, env)
	if err != nil {
		t.Fatalf("%v: %v", p.kind, err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

var china = phone.Region{Country: "CN"}

func find(ctx context.Context, t *testing.T, s customer.Store, params map[string]any) ([]*customer.Record, error) {
	t.Helper()
	q, err := customer.NewQuery(params, china)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return s.Find(ctx, q, 5)
}

// query runs a query that no `find` holds.
func (s *store) query(ctx context.Context, sql string, limit int) ([]map[string]any, error) {
	db, err := s.database()
	if err != nil {
		return nil, err
	}
	return db.query(ctx, sql, nil, limit)
}
