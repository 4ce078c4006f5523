package postgres

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestServer(t *testing.T) {
	s, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, step := range []struct {
		name string
		do   func() error
		up   bool
	}{{"started", func() error { return nil }, true}, {"stopped", s.Stop, false}, {"resumed", s.Resume, true}} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		conn, err := pgx.Connect(t.Context(), s.DSN())
		if (err == nil) != step.up {
			t.Errorf("%s: connecting: %v", step.name, err)
		}
		if conn != nil {
			_ = conn.Close(t.Context())
		}
	}
}
