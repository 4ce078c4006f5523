// Package postgres runs a PostgreSQL 15 server for tests, on loopback, with its
// data in a folder of its own.
package postgres

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

const programs = "/usr/lib/postgresql/15/bin/"

// Server is a PostgreSQL server.
type Server struct {
	dir  string
	port int
}

// Start makes a new cluster and starts a server over it. What it needs is the
// package postgresql (integration/tools/install.sh).
func Start() (*Server, error) {
	dir, err := os.MkdirTemp("", "pg-")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir}
	if err := s.create(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Server) create() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.port = ln.Addr().(*net.TCPAddr).Port
	if err := ln.Close(); err != nil {
		return err
	}
	if owner := owner(); owner != nil {
		if err := os.Chown(s.dir, int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	if err := s.run("initdb", "-D", s.data(), "-A", "trust", "-U", "crm", "-N", "-E", "UTF8", "--locale=C"); err != nil {
		return err
	}
	return s.Resume()
}

// owner is whom the server runs as: it refuses to be root.
func owner() *syscall.Credential {
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) run(name string, args ...string) error {
	cmd := exec.Command(programs+name, args...)
	cmd.Dir = s.dir
	if owner := owner(); owner != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	}
	// a pipe would stay open as long as the server that pg_ctl leaves behind
	log := filepath.Join(s.dir, "out")
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

// DSN is the address of its database, as a superuser.
func (s *Server) DSN() string { return fmt.Sprintf("postgres://crm@127.0.0.1:%d/postgres", s.port) }

// Stop ends the server, and whatever runs in it; Resume starts it again.
func (s *Server) Stop() error {
	return s.run("pg_ctl", "-D", s.data(), "-w", "-m", "fast", "stop")
}

// Resume starts a server that was stopped.
func (s *Server) Resume() error {
	return s.run("pg_ctl", "-D", s.data(), "-w", "-l", filepath.Join(s.dir, "log"), "-o",
		fmt.Sprintf("-p %d -k %s -h 127.0.0.1 -F", s.port, s.dir), "start")
}

// Close ends the server and removes its data.
func (s *Server) Close() {
	_ = s.run("pg_ctl", "-D", s.data(), "-w", "-m", "immediate", "stop") // it may be stopped already
	_ = os.RemoveAll(s.dir)
}
