package usertables

import (
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/module/customer"
)

// What looks like a bind and is none stays as it is.
func TestRender(t *testing.T) {
	t.Parallel()
	values := map[string][]string{bindRaw: {"R"}, bindE164: {"E"}, bindNational: {"N"}, bindDigits: {"D"}, bindVariants: {"1", "2", "3"}}
	for _, tt := range []struct {
		kind      Kind
		sql, want string
		args      string
	}{
		{Postgres, "SELECT * FROM t WHERE a = :raw", "SELECT * FROM t WHERE a = $1", "R"},
		{MySQL, "SELECT * FROM t WHERE a = :raw", "SELECT * FROM t WHERE a = ?", "R"},
		{SQLite, "SELECT * FROM t WHERE a = :raw ;  -- end\n", "SELECT * FROM t WHERE a = ? ", "R"},
		{Postgres, "select 1 where a in (:variants) or b=:e164 and c=:e164", "select 1 where a in ($1, $2, $3) or b=$4 and c=$5", "1 2 3 E E"},
		{MySQL, "WITH x AS (SELECT 1) SELECT * FROM x WHERE a IN(:variants) AND b=:national", "WITH x AS (SELECT 1) SELECT * FROM x WHERE a IN(?, ?, ?) AND b=?", "1 2 3 N"},
		{Postgres, "SELECT a::text, ':raw', \":raw\" FROM t WHERE a::bigint = :digits::bigint", "SELECT a::text, ':raw', \":raw\" FROM t WHERE a::bigint = $1::bigint", "D"},
		{Postgres, "SELECT $$:raw$$, $a$ :raw $$ $a$ FROM t WHERE a = :raw", "SELECT $$:raw$$, $a$ :raw $$ $a$ FROM t WHERE a = $1", "R"},
		{Postgres, `SELECT E'\':raw', 'it''s :raw', '\' FROM t WHERE a = :raw`, `SELECT E'\':raw', 'it''s :raw', '\' FROM t WHERE a = $1`, "R"},
		{Postgres, "SELECT /* :raw /* ; */ ? */ a ? 'b', a #> '{c}' FROM t -- :raw ;\nWHERE a = :raw", "SELECT /* :raw /* ; */ ? */ a ? 'b', a #> '{c}' FROM t -- :raw ;\nWHERE a = $1", "R"},
		{Postgres, "SELECT `a` , a[1:2], e'x' FROM t WHERE a = :raw", "SELECT `a` , a[1:2], e'x' FROM t WHERE a = $1", "R"},
		{MySQL, `SELECT "\":raw", ':raw\'', ` + "`:raw`" + ` FROM t # :raw` + "\nWHERE @a := 1 AND 5--1 = 6 AND a = :raw", `SELECT "\":raw", ':raw\'', ` + "`:raw`" + ` FROM t # :raw` + "\nWHERE @a := 1 AND 5--1 = 6 AND a = ?", "R"},
		{MySQL, "SELECT 1 -- :raw\n/* :raw */ FROM t WHERE a = :raw --", "SELECT 1 -- :raw\n/* :raw */ FROM t WHERE a = ? --", "R"},
		{SQLite, `SELECT [a:raw], "b:raw", ` + "`c:raw`" + ` FROM t WHERE '\' = a OR a = :raw`, `SELECT [a:raw], "b:raw", ` + "`c:raw`" + ` FROM t WHERE '\' = a OR a = ?`, "R"},
		{SQLite, "SELECT replace(a, 'x', 'y'), updated_at FROM t WHERE a = :raw ORDER BY deleted", "SELECT replace(a, 'x', 'y'), updated_at FROM t WHERE a = ? ORDER BY deleted", "R"},
		{SQLite, `SELECT "update", 1e5 FROM été WHERE a = :raw`, `SELECT "update", 1e5 FROM été WHERE a = ?`, "R"},
	} {
		s, err := parse(tt.kind, customer.ByTel, tt.sql)
		if err != nil {
			t.Errorf("%v: %s: %v", tt.kind, tt.sql, err)
			continue
		}
		got, args := s.render(values)
		if given := join(args); got != tt.want || given != tt.args {
			t.Errorf("%v: %s\nis  %s with %s\nnot %s with %s", tt.kind, tt.sql, got, given, tt.want, tt.args)
		}
	}
}

func join(args []any) string {
	var texts []string
	for _, a := range args {
		texts = append(texts, a.(string))
	}
	return strings.Join(texts, " ")
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	all := []Kind{Postgres, MySQL, SQLite}
	for _, tt := range []struct {
		kinds     []Kind
		param     customer.Param
		sql, says string
	}{
		{all, "id", "", "is empty"},
		{all, "id", " -- nothing", "is empty"},
		{all, "id", "DELETE FROM t WHERE a = :raw", "no query"},
		{all, "id", "ATTACH 'x' AS y", "no query"},
		{all, "id", "PRAGMA writable_schema = :raw", "no query"},
		{all, "id", "CALL p(:raw)", "no query"},
		{all, "id", "(SELECT 1 WHERE 1 = :raw)", "no query"},
		{all, "id", ";", "second statement|is empty|no query"},
		{all, "id", "SELECT 1 WHERE a = :raw; DELETE FROM t", "second statement"},
		{all, "id", "SELECT 1 WHERE a = :raw;; SELECT 2", "second statement"},
		{all, "id", "WITH d AS (DELETE FROM t WHERE a = :raw RETURNING *) SELECT * FROM d", "DELETE is for statements that write"},
		{all, "id", "WITH d AS (SELECT 1) UPDATE t SET a = :raw", "UPDATE is for"},
		{all, "id", "SELECT * INTO copy FROM t WHERE a = :raw", "INTO is for"},
		{all, "id", "SELECT a FROM t WHERE a = :raw INTO OUTFILE '/x'", "INTO is for"},
		{all, "id", "SELECT * FROM t", "without a bind"},
		{all, "id", "SELECT * FROM t WHERE a = ':raw'", "without a bind"},
		{all, "id", "SELECT * FROM t WHERE a = :Raw", ":Raw is no bind"},
		{all, "id", "SELECT * FROM t WHERE a = :id", ":id is no bind; known are :raw"},
		{all, "tel", "SELECT * FROM t WHERE a = :tel", ":variants"},
		{all, "id", "SELECT * FROM t WHERE a IN (:variants)", ":variants is for telephone numbers; id has :raw"},
		{all, "email", "SELECT * FROM t WHERE a = :e164", "telephone numbers"},
		{all, "id", "SELECT 'a FROM t WHERE a = :raw", "quote is not closed"},
		{all, "id", `SELECT "a FROM t WHERE a = :raw`, "quote is not closed"},
		{all, "id", "SELECT /* a FROM t WHERE a = :raw", "comment is not closed"},
		{all, "id", "SELECT '\x00' FROM t WHERE a = :raw", "NUL"},
		{[]Kind{Postgres}, "id", "SELECT /* /* */ FROM t WHERE a = :raw", "comment is not closed"},
		{[]Kind{Postgres}, "id", "SELECT * FROM t WHERE a = $1", "$1 is no bind"},
		{[]Kind{Postgres}, "id", "SELECT $a$ FROM t WHERE a = :raw", "quote is not closed"},
		{[]Kind{MySQL, SQLite}, "id", "SELECT * FROM t WHERE a = ?", "? is no bind"},
		{[]Kind{MySQL, SQLite}, "id", "SELECT `a FROM t WHERE a = :raw", "quote is not closed"},
		{[]Kind{MySQL}, "id", "SELECT 1 /*! INTO OUTFILE '/x' */ FROM t WHERE a = :raw", "would execute"},
		{[]Kind{MySQL}, "id", "SELECT 1 /*M!100100 INTO OUTFILE '/x' */ FROM t WHERE a = :raw", "would execute"},
		{[]Kind{SQLite}, "id", "SELECT * FROM t WHERE a = @a", "@a is no bind"},
		{[]Kind{SQLite}, "id", "SELECT * FROM t WHERE a = $a", "$a is no bind"},
		{[]Kind{SQLite}, "id", "SELECT [a FROM t WHERE a = :raw", "quote is not closed"},
	} {
		for _, kind := range tt.kinds {
			_, err := parse(kind, tt.param, tt.sql)
			if err == nil {
				t.Errorf("%v takes %s", kind, tt.sql)
				continue
			}
			said := false
			for want := range strings.SplitSeq(tt.says, "|") {
				said = said || strings.Contains(err.Error(), want)
			}
			if !said {
				t.Errorf("%v: %s: %v; not %q", kind, tt.sql, err, tt.says)
			}
		}
	}
}

func TestSearches(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]bool{
		"SELECT 1 FROM t WHERE a LIKE :raw":                 true,
		"SELECT 1 FROM t WHERE a ilike '%' || :raw":         true,
		"SELECT 1 FROM t WHERE a = :raw":                    false,
		"SELECT 1 FROM t WHERE a = ' like ' AND b = :raw":   false,
		"SELECT 1 FROM t WHERE a LIKE '%' || :digits":       false,
		"SELECT 1 FROM t WHERE b = :raw AND a LIKE 'cust%'": false,
	} {
		s, err := parse(Postgres, customer.ByTel, sql)
		if err != nil {
			t.Fatal(err)
		}
		if s.searches != want {
			t.Errorf("%s: searches is %v", sql, !want)
		}
	}
}

// Whatever a statement is: what isn't a bind is left alone, and there is a value
// for each placeholder.
func FuzzParse(f *testing.F) {
	for _, sql := range []string{
		"SELECT * FROM t WHERE a = :raw", "SELECT a::text, ':raw' FROM t WHERE b IN (:variants);", "SELECT $$:raw$$, E'\\'' WHERE :raw",
		"SELECT /* /* */ */ `:raw`, [b:raw] -- x\n# y\nFROM t WHERE a = :e164", "WITH d AS (SELECT 1) SELECT :digits", "SELECT 'it''s' || :national",
	} {
		for kind := range 3 {
			f.Add(uint8(kind), sql)
		}
	}
	f.Fuzz(func(t *testing.T, k uint8, sql string) {
		kind := Kind(k % 3)
		s, err := parse(kind, customer.ByTel, sql)
		if err != nil {
			return
		}
		var again strings.Builder
		for _, p := range s.pieces {
			again.WriteString(p.text + ":" + p.bind)
		}
		again.WriteString(s.tail)
		if !strings.HasPrefix(sql, again.String()) {
			t.Errorf("%q became %q", sql, again.String())
		}
		if rest := strings.Trim(sql[again.Len():], "; \t\r\n\f\v"); rest != "" && !strings.ContainsAny(rest, "-#/") {
			t.Errorf("%q lost %q", sql, rest)
		}
		rendered, args := s.render(map[string][]string{bindRaw: {"1"}, bindE164: {"1"}, bindNational: {"1"}, bindDigits: {"1"}, bindVariants: {"1", "1"}})
		l, places := &lexer{kind: kind, sql: rendered}, 0
		for {
			token, ok, err := l.next()
			if err != nil {
				t.Fatalf("%q became %q: %v", sql, rendered, err)
			}
			if !ok {
				break
			}
			if token.class == bind || token.class == semicolon {
				t.Errorf("%q became %q", sql, rendered)
			}
			if token.class == placeholder {
				places++
			}
		}
		if places != len(args) {
			t.Errorf("%q became %q, with %d values", sql, rendered, len(args))
		}
	})
}
