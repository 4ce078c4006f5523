package usertables

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/program"
)

func unmarshal(text, define string) (*Tables, error) {
	d := caddyfile.NewTestDispenser("postgres {\n" + text + "\n}")
	if define != "" {
		program.SetDefine(d, define)
	}
	d.Next()
	tables := new(Tables)
	if err := tables.UnmarshalBlock(d, Postgres); err != nil {
		return nil, err
	}
	return tables, nil
}

func TestUnmarshalBlock(t *testing.T) {
	tables, err := unmarshal("find tel `SELECT * FROM c\nWHERE phone IN (:variants)`\nfind id `SELECT * FROM c WHERE a = :raw`\nrecord `{id: .a | f}`", "def f: tostring;")
	if err != nil {
		t.Fatal(err)
	}
	if len(tables.Find) != 2 || !strings.Contains(tables.Find["tel"], ":variants") || !tables.Written() {
		t.Errorf("%+v", tables)
	}
	// The definitions that record calls go with it.
	if _, err := tables.Compile(Postgres, zap.NewNop()); err != nil {
		t.Error(err)
	}
	for text, says := range map[string]string{
		"find tel":                         "find takes a parameter and one SELECT",
		"find tel `SELECT :raw` more":      "find takes a parameter and one SELECT",
		"find phone `SELECT :raw`":         "write id, tel, email or thirdAccountId",
		"find id `SELECT 1`":               "without a bind",
		"find id `DELETE FROM t`":          "no query",
		"record":                           "record takes one jq program",
		"record `{`":                       "record: line 1",
		"record `[.]`":                     "an object",
		"record @missing.jq":               "missing.jq",
		"record .\nrecord .":               "record is already set",
		"find id `SELECT :raw`\nfind id x": "find id is already set",
		"other":                            "unrecognized subdirective 'other' of customers; known are find and record",
	} {
		if _, err := unmarshal(text, ""); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, not %q", text, err, says)
		}
	}
}

func TestCompile(t *testing.T) {
	for says, tables := range map[string]Tables{
		"there is no find": {Record: "."},
		"write id, tel":    {Find: map[customer.Param]string{"phone": "SELECT :raw"}},
		"find id: ":        {Find: map[customer.Param]string{"id": "SELECT 1"}},
		"record: line 1":   {Find: map[customer.Param]string{"id": "SELECT :raw"}, Record: "{"},
	} {
		if _, err := tables.Compile(MySQL, zap.NewNop()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, not %q", tables, err, says)
		}
	}
	core, logs := observer.New(zap.WarnLevel)
	tables := Tables{Find: map[customer.Param]string{"id": "SELECT * FROM t WHERE a LIKE :raw"}}
	if _, err := tables.Compile(SQLite, zap.New(core)); err != nil {
		t.Fatal(err)
	}
	if logs.FilterMessageSnippet("pattern").Len() != 1 || logs.FilterField(zap.String("params", "tel email thirdAccountId")).Len() != 1 {
		t.Errorf("warnings: %v", logs.All())
	}
	other := Tables{Find: map[customer.Param]string{"id": "SELECT * FROM t WHERE b = :raw"}}
	if tables.Digest() == other.Digest() {
		t.Error("other queries have the same digest")
	}
}

// What a DSN holds is in no error.
func TestDSN(t *testing.T) {
	for dsn, want := range map[string]string{
		"crm:s3cret@tcp(db:3307)/crm":            "db:3307/crm",
		"mysql://crm:s3cret@db/crm":              "db:3306/crm",
		"mariadb://crm:s3cret@db:3307/crm?tls=1": "db:3307/crm",
		"crm:s3cret@db/crm":                      "",
		"mysql://crm:s3cret@/crm":                "",
		"mysql://crm:s3cret@db/crm?tls=s3cret":   "",
		"mysql://crm:s3cret%zz@db/crm":           "",
		"s3cret":                                 "",
	} {
		got, err := MySQLLocation(dsn)
		if got != want || (err != nil) != (want == "") || err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %q, %v", dsn, got, err)
		}
	}
	for _, dsn := range []string{"postgres://crm:s3cret@db:port/crm", "host=db port=s3cret"} {
		if _, err := OpenPostgres(nil, dsn, customer.Env{}); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", dsn, err)
		}
	}
}

// A URL leads to the same database.
func TestMySQLURL(t *testing.T) {
	p := places(t, contacts...)[1]
	p.dsn = maria.URL()
	if records, err := find(t.Context(), t, p.open(t, byContacts), map[string]any{"tel": "13800138000"}); err != nil || len(records) != 1 {
		t.Errorf("%v, %v", records, err)
	}
}

func TestText(t *testing.T) {
	l, err := (&Tables{Find: byContacts.Find, Record: `{id: 1, isVip: true, remark: [1, "a"], c: 1.50, n: null, f: (3 / 2)}`}).Compile(SQLite, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.recordOf(t.Context(), map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	if _, known := r.Custom["n"]; known || r.ID != "1" || r.VIP != "1" || r.Remark != `[1,"a"]` || r.Custom["f"] != "1.5" {
		t.Errorf("%+v", r)
	}
}
