package usertables

import (
	"errors"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/customer/dbconn"
)

var contacts = []string{
	"DROP TABLE IF EXISTS contacts",
	"CREATE TABLE contacts (contact_no BIGINT, phone VARCHAR(40), mail VARCHAR(80), name VARCHAR(80), code VARCHAR(40))",
	"INSERT INTO contacts VALUES (9007199254740993, '138-0013-8000', 'A@example.com', 'one', 'a%')",
	"INSERT INTO contacts VALUES (9007199254740992, '(010) 6552 9988', 'b@example.com', 'two', 'ab')",
	"INSERT INTO contacts VALUES (0, '+86 10 6552 9988', 'b@example.com', 'three', 'it''s')",
	"INSERT INTO contacts VALUES (12, '138', 'c@example.com', 'four', '12')",
}

var byContacts = Tables{
	Find: map[customer.Param]string{
		"tel":            "SELECT * FROM contacts WHERE phone IN (:variants) ORDER BY contact_no DESC",
		"id":             "SELECT * FROM contacts WHERE contact_no = :raw",
		"email":          "SELECT * FROM contacts WHERE lower(mail) = lower(:raw) ORDER BY contact_no",
		"thirdAccountId": "SELECT * FROM contacts WHERE code = :raw",
	},
	Record: "{id: .contact_no, nick: .name, tel: .phone, code}",
}

func TestFind(t *testing.T) {
	for _, p := range places(t, contacts...) {
		s := p.open(t, byContacts)
		for _, tt := range []struct {
			params map[string]any
			want   string
		}{
			{map[string]any{"tel": "+86 138-0013-8000"}, "one"},
			{map[string]any{"tel": "013800138000"}, "one"},
			{map[string]any{"tel": "sip:13800138000@host"}, "one"},
			{map[string]any{"tel": "01065529988"}, "two three"},
			{map[string]any{"tel": "13900139000"}, ""},
			{map[string]any{"id": "9007199254740993"}, "one"},
			{map[string]any{"id": "9007199254740992"}, "two"},
			{map[string]any{"id": "0"}, "three"},
			{map[string]any{"email": "B@Example.com"}, "three two"},
			{map[string]any{"tel": "01065529988", "email": "b@example.com"}, "two three"},
			{map[string]any{"tel": "01065529988", "id": "0"}, "three"},
			{map[string]any{"tel": "01065529988", "id": "0", "thirdAccountId": "it's"}, "three"},
			{map[string]any{"tel": "01065529988", "id": "12"}, ""},
			// Not by accident, and not by intent.
			{map[string]any{"id": "abc"}, ""},
			{map[string]any{"id": "12abc"}, ""},
			{map[string]any{"id": "12 OR 1=1"}, ""},
			{map[string]any{"id": "99999999999999999999999"}, ""},
			{map[string]any{"thirdAccountId": "' OR 1=1 --"}, ""},
			{map[string]any{"thirdAccountId": "'; DROP TABLE contacts; --"}, ""},
			{map[string]any{"thirdAccountId": `\' OR 1=1 #`}, ""},
			{map[string]any{"thirdAccountId": "%"}, ""},
			{map[string]any{"thirdAccountId": "a_"}, ""},
			{map[string]any{"thirdAccountId": "a%"}, "one"},
			{map[string]any{"thirdAccountId": "it's"}, "three"},
		} {
			records, err := find(t.Context(), t, s, tt.params)
			if err != nil {
				t.Errorf("%v: %v: %v", p.kind, tt.params, err)
				continue
			}
			var names []string
			for _, r := range records {
				names = append(names, r.Nickname)
			}
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("%v: %v finds %q, not %q", p.kind, tt.params, got, tt.want)
			}
		}
		records, err := find(t.Context(), t, s, map[string]any{"id": "9007199254740993"})
		if err != nil || len(records) != 1 || records[0].ID != "9007199254740993" || records[0].Custom["code"] != "a%" {
			t.Errorf("%v: %+v, %v", p.kind, records, err)
		}
	}
}

// What the database refuses, and what record can't use, was "the directory is
// unavailable". It is named by its code and by the statement, and says nothing of
// the data.
func TestFindFails(t *testing.T) {
	const byPhone = "SELECT * FROM contacts WHERE phone IN (:variants)"
	tel := func(sql string) map[customer.Param]string { return map[customer.Param]string{"tel": sql} }
	for _, p := range places(t, contacts...) {
		for name, tt := range map[string]struct {
			tables Tables
			kind   error
			says   [3]string // PostgreSQL, MariaDB, SQLite
		}{
			"no such table": {
				Tables{Find: tel("SELECT * FROM missing WHERE a = :raw")},
				customer.ErrMismatch,
				[3]string{"find tel: PostgreSQL refuses with SQLSTATE 42P01: a table doesn't exist", "find tel: the database refuses with error 1146: a table doesn't exist", "find tel: SQLite refuses: no such table: missing"},
			},
			"no such column": {
				Tables{Find: tel("SELECT * FROM contacts WHERE missing = :raw")},
				customer.ErrMismatch,
				[3]string{"SQLSTATE 42703", "error 1054", "SQLite refuses: no such column: missing"},
			},
			"a syntax error": {
				Tables{Find: tel("SELECT FROM WHERE :raw")},
				customer.ErrMismatch,
				[3]string{"SQLSTATE 42601", "error 1064", `SQLite refuses: near "FROM": syntax error`},
			},
			"no such function": {
				Tables{Find: tel("SELECT load_extension(:raw)")},
				customer.ErrMismatch,
				[3]string{"SQLSTATE 42883", "error 1305", "SQLite refuses: "},
			},
			"a function that quotes the value": {
				Tables{Find: tel("SELECT json_extract('{}', :raw) AS id")},
				customer.ErrMismatch,
				[3]string{"SQLSTATE 42883", "record gives no id", "SQLite refuses with code 1: "},
			},
			"a column of numbers": {
				Tables{Find: tel("SELECT contact_no AS id FROM contacts WHERE contact_no IN (13800138000, :variants)")},
				customer.ErrMismatch,
				[3]string{"find tel: PostgreSQL refuses with SQLSTATE 22P02: a text was compared with a column of another type; cast the column to text", "find tel: warning 1292: a text was compared", ""},
			},
			"no id": {
				Tables{Find: tel(byPhone), Record: "{nick: .name}"},
				customer.ErrMismatch,
				[3]string{"find tel: record gives no id", "find tel: record gives no id", "find tel: record gives no id"},
			},
			"a program fails": {
				Tables{Find: tel(byPhone), Record: "{id: (.name | tonumber)}"},
				customer.ErrMismatch,
				[3]string{"find tel: record: ", "find tel: record: ", "find tel: record: "},
			},
			"a field that is none": {
				Tables{Find: tel(byPhone), Record: `{id: .name, isVip: "maybe"}`},
				customer.ErrMismatch,
				[3]string{"record: isVip is neither", "record: isVip is neither", "record: isVip is neither"},
			},
			"a column of 2 MB": {
				Tables{Find: tel([]string{
					"SELECT name AS id, repeat('x', 2000000) AS photo FROM contacts WHERE phone IN (:variants)",
					"SELECT name AS id, REPEAT('x', 2000000) AS photo FROM contacts WHERE phone IN (:variants)",
					"SELECT name AS id, hex(zeroblob(1000000)) AS photo FROM contacts WHERE phone IN (:variants)",
				}[p.kind])},
				customer.ErrTooLarge,
				[3]string{"find tel: column photo holds more than 1 MiB", "find tel: column photo holds more than 1 MiB", "find tel: column photo holds more than 1 MiB"},
			},
		} {
			s := p.open(t, tt.tables)
			s.(*store).timeout = 20 * time.Second // on a busy machine
			_, err := find(t.Context(), t, s, map[string]any{"tel": "13800138000"})
			if says := tt.says[p.kind]; says == "" {
				if err != nil {
					t.Errorf("%v: %s: %v", p.kind, name, err)
				}
			} else if !errors.Is(err, tt.kind) || errors.Is(err, customer.ErrUnavailable) || !strings.Contains(err.Error(), says) {
				t.Errorf("%v: %s: %v, not %q", p.kind, name, err, says)
			}
			if err != nil && (strings.Contains(err.Error(), "one") || strings.Contains(err.Error(), "138")) {
				t.Errorf("%v: %s: the error holds data: %v", p.kind, name, err)
			}
		}
		s := p.open(t, Tables{Find: map[customer.Param]string{"id": byContacts.Find["id"]}, Record: byContacts.Record})
		if found, err := find(t.Context(), t, s, map[string]any{"id": "12", "tel": "13800138000"}); err != nil || len(found) != 0 {
			t.Errorf("%v: a parameter without find: %v, %v", p.kind, found, err)
		}
	}
}

// Who isn't let in has no connection: that is unavailable, with the code.
func TestNoConnection(t *testing.T) {
	for _, p := range places(t, contacts...) {
		says := ""
		switch p.kind {
		case Postgres:
			p.dsn = regexp.MustCompile(`/[a-z0-9_]+(\?|$)`).ReplaceAllString(p.dsn, "/missing$1")
			says = "find tel: PostgreSQL refuses with SQLSTATE 3D000: the database in the DSN doesn't exist"
		case MySQL:
			p.dsn = regexp.MustCompile(`/[a-z0-9_]+(\?|$)`).ReplaceAllString(p.dsn, "/missing$1")
			says = "find tel: the database refuses with error 1049: the database in the DSN doesn't exist"
		case SQLite:
			p.dsn += ".missing"
			says = "find tel: SQLite refuses with code 14: "
		}
		_, err := find(t.Context(), t, p.open(t, byContacts), map[string]any{"tel": "13800138000"})
		if !errors.Is(err, customer.ErrUnavailable) || errors.Is(err, customer.ErrMismatch) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v, not %q", p.kind, err, says)
		}
	}
}

// A slow query ends in time, on the server too.
func TestSlow(t *testing.T) {
	all := places(t, contacts...)
	for i, slow := range []string{
		"SELECT pg_sleep(30)::text AS id WHERE :raw::text <> ''",
		"SELECT SLEEP(30) AS id FROM contacts WHERE :raw <> ''",
		"WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT max(id) AS id FROM n WHERE :raw <> ''",
	} {
		start := time.Now()
		_, err := find(t.Context(), t, all[i].open(t, Tables{Find: map[customer.Param]string{"id": slow}}), map[string]any{"id": "x"})
		if took := time.Since(start); !errors.Is(err, customer.ErrUnavailable) || took > 2500*time.Millisecond {
			t.Errorf("%v: %v after %v", all[i].kind, err, took)
		}
	}
	left := all[0].open(t, Tables{Find: map[customer.Param]string{"id": "SELECT 1 AS id FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(30)%' AND state = 'active' AND :raw::text <> ''"}})
	deadline := time.Now().Add(10 * time.Second)
	for {
		records, err := find(t.Context(), t, left, map[string]any{"id": "x"})
		if err != nil {
			t.Fatal(err)
		}
		if len(records) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the server still sleeps")
		}
	}
}

// A server that restarts under load costs time, but no answer; one that stays
// away is told in time.
func TestRestart(t *testing.T) {
	all := places(t, contacts...)
	for i, server := range []struct{ stop, start func() error }{{pg.Stop, pg.Resume}, {maria.Stop, maria.Resume}} {
		p := all[i]
		s := p.open(t, byContacts)
		s.(*store).timeout, s.(*store).patience = 20*time.Second, time.Minute // a busy machine starts servers slowly
		var stopped, before sync.WaitGroup
		done := make(chan struct{})
		before.Add(8)
		for range 8 {
			stopped.Go(func() {
				for first := true; ; first = false {
					records, err := find(t.Context(), t, s, map[string]any{"tel": "13800138000"})
					if err != nil || len(records) != 1 {
						t.Errorf("%v: %d, %v", p.kind, len(records), err)
					}
					if first {
						before.Done()
					}
					select {
					case <-done:
						return
					default:
					}
				}
			})
		}
		before.Wait()
		begin := time.Now()
		if err := errors.Join(server.stop(), server.start()); err != nil {
			t.Fatal(err)
		}
		t.Logf("%v: away for %v", p.kind, time.Since(begin))
		close(done)
		stopped.Wait()
		if err := server.stop(); err != nil {
			t.Fatal(err)
		}
		s = p.open(t, byContacts)
		begin = time.Now()
		_, err := find(t.Context(), t, s, map[string]any{"tel": "13800138000"})
		if took := time.Since(begin); !errors.Is(err, customer.ErrUnavailable) || took > dbconn.Patience+2*time.Second {
			t.Errorf("%v: stopped: %v after %v", p.kind, err, took)
		}
		if err := server.start(); err != nil {
			t.Fatal(err)
		}
		if records, err := find(t.Context(), t, s, map[string]any{"tel": "13800138000"}); err != nil || len(records) != 1 {
			t.Errorf("%v: after it came back: %v, %v", p.kind, records, err)
		}
	}
}

// A server that takes a connection and says nothing, as one does that starts,
// was not asked: the query is put to it again, on another connection.
func TestASilentServer(t *testing.T) {
	for _, p := range places(t, contacts...)[:2] {
		server := address.FindString(p.dsn)
		s := place{p.kind, strings.Replace(p.dsn, server, silentAtFirst(t, server), 1)}.open(t, byContacts)
		if records, err := find(t.Context(), t, s, map[string]any{"tel": "13800138000"}); err != nil || len(records) != 1 {
			t.Errorf("%v: %v, %v", p.kind, records, err)
		}
	}
}

var address = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// silentAtFirst is a way to a server whose first connection leads nowhere.
func silentAtFirst(t *testing.T, server string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	serving.Go(func() {
		for first := true; ; first = false {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				if first {
					_, _ = io.Copy(io.Discard, c)
					return
				}
				up, err := net.Dial("tcp", server)
				if err != nil {
					t.Error(err)
					return
				}
				defer up.Close()
				serving.Go(func() {
					_, _ = io.Copy(up, c)
					_ = up.Close()
				})
				_, _ = io.Copy(c, up)
			})
		}
	})
	return l.Addr().String()
}

// The connections themselves refuse to write, whatever a statement holds.
func TestReadOnly(t *testing.T) {
	for _, p := range places(t, contacts...) {
		s := p.open(t, byContacts).(*store)
		for _, statement := range []string{"DELETE FROM contacts", "ATTACH DATABASE '/tmp/x.db' AS x", "CREATE TABLE x (a INT)", "SELECT 1; DELETE FROM contacts"} {
			if _, err := s.query(t.Context(), statement, 1); err == nil && statement != "SELECT 1; DELETE FROM contacts" {
				t.Errorf("%v runs %s", p.kind, statement)
			}
		}
		if records, err := find(t.Context(), t, s, map[string]any{"tel": "13800138000"}); err != nil || len(records) != 1 {
			t.Errorf("%v: %v, %v", p.kind, records, err)
		}
	}
}
