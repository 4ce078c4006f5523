package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	server "github.com/switchboard-ivr/switchboard/integration/postgres"
	"github.com/switchboard-ivr/switchboard/integration/storetest"
	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/customer/dbconn"
	"github.com/switchboard-ivr/switchboard/module/customer/schema"
)

// db is a real server, which all tests of this package share.
var db *server.Server

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if db, err = server.Start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer db.Close()
		code := m.Run()
		if err := goleak.Find(); code == 0 && err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}())
}

var databases atomic.Int64

// database makes a new, empty one.
func database(t *testing.T) (dsn string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.DSN())
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("test%d", databases.Add(1))
	_, err = conn.Exec(t.Context(), "CREATE DATABASE "+name)
	if err := errors.Join(err, conn.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(db.DSN(), "postgres") + name
}

func open(t *testing.T, dsn string) *store {
	t.Helper()
	s := newStore(dsn, customer.Env{Region: storetest.Region})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	dsn := ""
	storetest.Run(t, func(t *testing.T, fresh bool) customer.Writer {
		if fresh {
			dsn = database(t)
		}
		return open(t, dsn)
	})
}

// No lookup reads more than the rows that it finds.
func TestNoLookupScans(t *testing.T) {
	s := open(t, database(t))
	storetest.Put(t, s, storetest.Many(20_000)...)
	if _, err := s.pool.Exec(t.Context(), "ANALYZE"); err != nil {
		t.Fatal(err)
	}
	for _, q := range storetest.Queries() {
		text, args := s.finder.Find(q, 2)
		rows, err := s.pool.Query(t.Context(), "EXPLAIN "+text, args...)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(plan) == 0 {
			t.Fatal(err)
		}
		if strings.Contains(strings.Join(plan, "\n"), "Seq Scan on "+schema.Customers) {
			t.Errorf("%v scans:\n%s", q, strings.Join(plan, "\n"))
		}
	}
}

// A server that restarts under load costs nobody an answer; one that is gone is
// unavailable within the deadline.
func TestRestartUnderLoad(t *testing.T) {
	s := open(t, database(t))
	s.timeout, s.patience = 20*time.Second, time.Minute // a busy machine starts servers slowly
	storetest.Put(t, s, storetest.People()...)
	q := customer.Query{{Param: customer.ByID, Raw: "C1", Key: "C1"}}
	done := make(chan struct{})
	var asked, failed atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				found, err := s.Find(context.Background(), q, 1)
				if err == nil && len(found) != 1 {
					t.Errorf("%d found", len(found))
				}
				asked.Add(1)
				if err != nil {
					failed.Add(1)
					t.Error(err)
				}
			}
		})
	}
	restart := func() {
		for asked.Load() < 100 { // it is under load
			if _, err := s.Find(t.Context(), q, 1); err != nil {
				t.Error(err)
			}
		}
		if err := errors.Join(db.Stop(), db.Resume()); err != nil {
			t.Error(err)
		}
	}
	restart()
	close(done)
	group.Wait()
	if found, err := s.Find(t.Context(), q, 1); err != nil || len(found) != 1 {
		t.Errorf("afterwards: %v %v", found, err)
	}

	if err := db.Stop(); err != nil {
		t.Fatal(err)
	}
	s.patience = dbconn.Patience
	for name, limit := range map[string]time.Duration{"with a deadline": 300 * time.Millisecond, "without one": time.Minute} {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		begin := time.Now()
		_, err := s.Find(ctx, q, 1)
		cancel()
		if took := time.Since(begin); !errors.Is(err, customer.ErrUnavailable) || took > min(limit, s.patience)+2*time.Second {
			t.Errorf("stopped, %s: %v after %v", name, err, took)
		}
	}
	if err := db.Resume(); err != nil {
		t.Fatal(err)
	}
	if found, err := s.Find(t.Context(), q, 1); err != nil || len(found) != 1 {
		t.Errorf("resumed: %v %v", found, err)
	}
}

// A command has no deadline of its own. It once waited for ever, in silence, for
// a database that was down.
func TestADatabaseThatIsDown(t *testing.T) {
	s := open(t, "postgres://crm@127.0.0.1:1/crm")
	begin := time.Now()
	_, err := s.Count(context.Background())
	if took := time.Since(begin); !errors.Is(err, customer.ErrUnavailable) || took > dbconn.Patience+dbconn.ConnectTimeout {
		t.Errorf("got %v after %v", err, took)
	}
}

// A lookup that waits, for a lock here, ends in time and leaves nothing behind.
func TestASlowDatabase(t *testing.T) {
	dsn := database(t)
	s := open(t, dsn)
	storetest.Put(t, s, storetest.People()...)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE "+schema.Customers); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err = s.Find(ctx, customer.Query{{Param: customer.ByID, Raw: "C1", Key: "C1"}}, 1)
	if took := time.Since(begin); !errors.Is(err, customer.ErrUnavailable) || took > 2*time.Second {
		t.Errorf("got %v after %v", err, took)
	}
	if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if got := storetest.IDs(t, s, map[string]any{"id": "C1"}, 1); got != "C1" {
		t.Errorf("afterwards: %q", got)
	}
}

// What PostgreSQL refuses is told by its code, and without any value.
func TestErrorsHoldNoData(t *testing.T) {
	s := open(t, database(t))
	storetest.Put(t, s, storetest.People()...)
	if _, err := s.pool.Exec(t.Context(), "ALTER TABLE "+schema.Customers+" ADD CHECK (nickname <> 'secret-nick')"); err != nil {
		t.Fatal(err)
	}
	err := s.Put(t.Context(), []*customer.Record{{ID: "secret-id", Nickname: "secret-nick"}}, nil)
	if !errors.Is(err, customer.ErrUnavailable) || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "23514") {
		t.Errorf("got %v", err)
	}
	if _, err := s.pool.Exec(t.Context(), "UPDATE "+schema.Customers+" SET custom = 'no json'"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Find(t.Context(), customer.Query{{Param: customer.ByID, Raw: "C1", Key: "C1"}}, 1); !errors.Is(err, customer.ErrUnavailable) {
		t.Errorf("a broken row: %v", err)
	}
	if _, err := s.pool.Exec(t.Context(), "UPDATE "+schema.Schema+" SET version = 99"); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, s.pool.Config().ConnString()).Count(t.Context()); !errors.Is(err, customer.ErrUnavailable) || !strings.Contains(err.Error(), "version 99") {
		t.Errorf("a newer schema: %v", err)
	}
}

func TestSettings(t *testing.T) {
	t.Setenv("POSTGRES_TEST_DSN", "postgres://crm:s3cret@db.example.com:5433/crm")
	for text, want := range map[string]string{
		"postgres {env.POSTGRES_TEST_DSN}":            "postgres db.example.com:5433/crm",
		"postgres \"host=db.example.com dbname=crm\"": "postgres db.example.com:5432/crm",
		"postgres":                          "error: takes one DSN",
		"postgres a b":                      "error: takes one DSN",
		"postgres {env.POSTGRES_TEST_NONE}": "error: DSN",
		"postgres postgres://crm:s3cret@host:port/x":                            "error: can't be read",
		"postgres {env.POSTGRES_TEST_DSN} {\n x\n}":                             "error: unrecognized subdirective",
		"postgres {env.POSTGRES_TEST_DSN} {\n record .\n}":                      "error: write a find, too",
		"postgres {env.POSTGRES_TEST_DSN} {\n find tel `DELETE FROM x`\n}":      "error: find tel",
		"postgres {env.POSTGRES_TEST_DSN} {\n find tel `SELECT :e164 AS id`\n}": "postgres db.example.com:5433/crm",
	} {
		var p Postgres
		err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
		if err == nil {
			ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
			err = p.Provision(ctx)
			cancel()
		}
		if reason, refused := strings.CutPrefix(want, "error: "); refused {
			if err == nil || !strings.Contains(err.Error(), reason) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s: got %v, want %s", text, err, reason)
			}
			continue
		}
		if err != nil || p.Location() != want {
			t.Errorf("%s: got %s %v", text, p.Location(), err)
		}
	}
}

// A store that nobody asks has no goroutine; the package's check for leaks would
// find one.
func TestAStoreThatIsNotAsked(t *testing.T) {
	if s := newStore(db.DSN(), customer.Env{}); s.pool != nil || s.Close() != nil {
		t.Error("it has connections")
	}
	s := newStore("postgres://host:port/x", customer.Env{})
	if _, err := s.Count(t.Context()); !errors.Is(err, customer.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// With find, the store reads tables of the user's own and writes nothing.
func TestOwnTables(t *testing.T) {
	dsn := database(t)
	p := Postgres{DSN: dsn}
	p.Find = map[customer.Param]string{customer.ByID: "SELECT :raw::text AS id, 'Ann' AS nick"}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	if err := p.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	s, err := p.Open(customer.Env{Region: storetest.Region})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if _, ok := s.(customer.Writer); ok {
		t.Error("tables of the user's own can be written")
	}
	if got := storetest.IDs(t, s, map[string]any{"id": "C7"}, 1); got != "C7" {
		t.Errorf("got %q", got)
	}
	own := Postgres{DSN: dsn}
	if err := own.Provision(ctx); err != nil || own.Identity() == p.Identity() {
		t.Errorf("two stores are one: %v", err)
	}
}
