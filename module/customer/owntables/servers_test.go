package owntables

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/integration/mariadb"
	"github.com/switchboard-ivr/switchboard/internal/phone"
	"github.com/switchboard-ivr/switchboard/module/customer"
)

// What all tests of this package share.
var (
	maria *mariadb.Server
	pg    *postgresServer
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
		pg, err = startPostgres()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer pg.close()
	return run()
}

// postgresServer is a PostgreSQL 15 with its data in a folder of its own.
type postgresServer struct {
	dir  string
	port int
}

const postgresBin = "/usr/lib/postgresql/15/bin/"

func startPostgres() (*postgresServer, error) {
	dir, err := os.MkdirTemp("", "pg-")
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &postgresServer{dir, l.Addr().(*net.TCPAddr).Port}
	if err := l.Close(); err != nil {
		return nil, err
	}
	if u, err := user.Lookup("postgres"); err == nil && os.Getuid() == 0 {
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			return nil, err
		}
	}
	if err := p.run("initdb", "-D", p.data(), "-A", "trust", "-U", "crm", "-N", "-E", "UTF8", "--locale=C"); err != nil {
		return nil, err
	}
	return p, p.start()
}

func (p *postgresServer) data() string { return filepath.Join(p.dir, "data") }

func (p *postgresServer) run(name string, args ...string) error {
	cmd := exec.Command(postgresBin+name, args...)
	cmd.Dir = p.dir
	if u, err := user.Lookup("postgres"); err == nil && os.Getuid() == 0 {
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	log := filepath.Join(p.dir, "out")
	out, err := os.Create(log)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(log)
		return fmt.Errorf("%s: %w\n%s", name, err, text)
	}
	return nil
}

func (p *postgresServer) start() error {
	return p.run("pg_ctl", "-D", p.data(), "-w", "-l", filepath.Join(p.dir, "log"), "-o",
		fmt.Sprintf("-p %d -k %s -h 127.0.0.1 -F", p.port, p.dir), "start")
}

func (p *postgresServer) stop() error {
	return p.run("pg_ctl", "-D", p.data(), "-w", "-m", "fast", "stop")
}

func (p *postgresServer) close() {
	_ = p.run("pg_ctl", "-D", p.data(), "-w", "-m", "immediate", "stop")
	_ = os.RemoveAll(p.dir)
}

func (p *postgresServer) dsn() string {
	return fmt.Sprintf("postgres://crm@127.0.0.1:%d/postgres", p.port)
}

// place is where the tables of a test are.
type place struct {
	kind Kind
	dsn  string
}

// places are all kinds of databases. Each has the statements run.
func places(t *testing.T, statements ...string) []place {
	t.Helper()
	all := []place{{Postgres, pg.dsn()}, {MySQL, maria.DSN()}, {SQLite, filepath.Join(t.TempDir(), "a b%?#.db")}}
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
