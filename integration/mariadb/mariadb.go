// Package mariadb runs a MariaDB server for tests, on loopback, with its data in
// a folder of its own.
package mariadb

import (
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver
)

// The user, password and database that a server has.
const (
	User     = "crm"
	Password = "pass-of-crm"
	Database = "crm"
)

// startTime is how long a server may take to come or to go.
const startTime = 60 * time.Second

// Server is a MariaDB server.
type Server struct {
	dir  string
	port int
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

// Start makes a new database and starts a server over it. What it needs is the
// package mariadb-server (integration/tools/install.sh).
func Start() (*Server, error) {
	dir, err := os.MkdirTemp("", "mariadb-")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir}
	if err := s.install(); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	if s.port, err = freePort(); err == nil {
		err = s.Resume()
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// DSN is where the database is, in the driver's spelling.
func (s *Server) DSN() string {
	return fmt.Sprintf("%s:%s@tcp(127.0.0.1:%d)/%s", User, Password, s.port, Database)
}

// URL is the same as a URL.
func (s *Server) URL() string {
	return fmt.Sprintf("mysql://%s:%s@127.0.0.1:%d/%s", User, Password, s.port, Database)
}

func (s *Server) install() error {
	setup := fmt.Sprintf("CREATE DATABASE IF NOT EXISTS %s;\nCREATE USER IF NOT EXISTS '%s'@'%%' IDENTIFIED BY '%s';\nGRANT ALL ON *.* TO '%s'@'%%';\n",
		Database, User, Password, User)
	if err := os.WriteFile(filepath.Join(s.dir, "setup.sql"), []byte(setup), 0o644); err != nil {
		return err
	}
	uid, gid, err := s.owner()
	if err != nil {
		return err
	}
	if err := errors.Join(os.Chmod(s.dir, 0o755), os.Chown(s.dir, int(uid), int(gid))); err != nil {
		return err
	}
	out, err := s.command("mariadb-install-db", "--no-defaults", "--datadir="+filepath.Join(s.dir, "data"), "--skip-test-db").CombinedOutput()
	if err != nil {
		return fmt.Errorf("mariadb-install-db: %w\n%s", err, out)
	}
	return nil
}

// owner is whom the server runs as: it refuses to be root.
func (s *Server) owner() (uid, gid uint32, err error) {
	if os.Getuid() != 0 {
		return uint32(os.Getuid()), uint32(os.Getgid()), nil //nolint:gosec // they come from 32 bits
	}
	u, err := user.Lookup("mysql")
	if err != nil {
		return 0, 0, fmt.Errorf("mariadb-server is not installed: %w", err)
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return 0, 0, err
	}
	m, err := strconv.ParseUint(u.Gid, 10, 32)
	return uint32(n), uint32(m), err
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = s.dir
	if uid, gid, err := s.owner(); err == nil && os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	}
	return cmd
}

// Resume starts the server, if it is stopped, and waits until it answers.
func (s *Server) Resume() error {
	if s.cmd != nil {
		return nil
	}
	log, err := os.Create(filepath.Join(s.dir, "server.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := s.command("mariadbd", "--no-defaults", "--datadir="+filepath.Join(s.dir, "data"), "--bind-address=127.0.0.1",
		"--port="+strconv.Itoa(s.port), "--socket="+filepath.Join(s.dir, "sock"), "--pid-file="+filepath.Join(s.dir, "pid"),
		"--init-file="+filepath.Join(s.dir, "setup.sql"), "--skip-name-resolve", "--skip-log-bin", "--performance-schema=off",
		"--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0", "--innodb-fast-shutdown=2")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait()
	}()
	s.cmd, s.done = cmd, done
	return s.await()
}

func (s *Server) await() error {
	db, err := sql.Open("mysql", s.DSN())
	if err != nil {
		return err
	}
	defer db.Close()
	deadline := time.After(startTime)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if db.Ping() == nil {
			return nil
		}
		select {
		case <-s.done:
			return fmt.Errorf("mariadbd ended:\n%s", s.log())
		case <-deadline:
			return fmt.Errorf("mariadbd does not answer:\n%s", s.log())
		case <-tick.C:
		}
	}
}

func (s *Server) log() []byte {
	text, _ := os.ReadFile(filepath.Join(s.dir, "server.log"))
	return text
}

// Stop ends the server and keeps its data.
func (s *Server) Stop() error {
	if s.cmd == nil {
		return nil
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-s.done:
		s.cmd = nil
		return nil
	case <-time.After(startTime):
		return errors.New("mariadbd does not stop")
	}
}

// Close ends the server and removes its data.
func (s *Server) Close() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		<-s.done
		s.cmd = nil
	}
	_ = os.RemoveAll(s.dir)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
