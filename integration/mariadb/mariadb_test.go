package mariadb

import (
	"database/sql"
	"testing"
)

// What is written stays when the server stops and comes back.
func TestServer(t *testing.T) {
	s, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	db, err := sql.Open("mysql", s.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE kept (n INT) ENGINE=InnoDB"); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if db.Ping() == nil {
		t.Error("a server that was stopped answers")
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("INSERT INTO kept VALUES (1)"); err != nil {
		t.Error(err)
	}
}
