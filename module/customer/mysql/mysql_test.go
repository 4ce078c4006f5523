package mysql

import (
	"context"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/switchboard-ivr/switchboard/module/customer"
)

func provision(t *testing.T, m *MySQL) error {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	return m.Provision(ctx)
}

func TestMySQL(t *testing.T) {
	t.Setenv("CRM_DSN", "crm:s3cret@tcp(db:3306)/crm")
	m := new(MySQL)
	if err := m.UnmarshalCaddyfile(caddyfile.NewTestDispenser("mysql {env.CRM_DSN} {\nfind tel `SELECT * FROM c WHERE phone IN (:variants)`\nrecord `{id: .no}`\n}")); err != nil {
		t.Fatal(err)
	}
	if err := provision(t, m); err != nil {
		t.Fatal(err)
	}
	if m.DSN != "{env.CRM_DSN}" || m.Location() != "mysql db:3306/crm" || strings.Contains(m.Identity(), "s3cret") {
		t.Errorf("%s, %s, %s", m.DSN, m.Location(), m.Identity())
	}
	s, err := m.Open(customer.Env{}) // connects to nothing
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.(customer.Writer); ok {
		t.Error("it writes")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	before := m.Identity()
	m.Record = "{id: .other}"
	if m.Identity() == before {
		t.Error("another record is the same store")
	}
}

func TestMySQLRefuses(t *testing.T) {
	for text, says := range map[string]string{
		"mysql":                     "takes one DSN",
		"mysql a b":                 "takes one DSN",
		"mysql x":                   "has no find",
		"mysql x {\nrecord .\n}":    "has no find",
		"mysql x {\nfinds tel x\n}": "unrecognized subdirective 'finds'",
		"mysql x {\nfind tel x\n}":  "no query",
	} {
		if err := new(MySQL).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, not %q", text, err, says)
		}
	}
	for dsn, says := range map[string]string{"": "needs a DSN", "{env.UNSET_DSN}": "UNSET_DSN", "s3cret": "write user:password@tcp", "crm@tcp(db)/crm": "no find"} {
		if err := provision(t, &MySQL{DSN: dsn}); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, not %q", dsn, err, says)
		}
	}
}
