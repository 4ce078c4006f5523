package issuer

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestProvision(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	t.Setenv("PARTNER_KEY", testKey)
	t.Setenv("PARTNER_SECRET", testSecret)
	configured := func() *Issuer {
		return &Issuer{Clients: []Client{{"{env.PARTNER_KEY}", "{env.PARTNER_SECRET}"}}}
	}
	first, second, other := configured(), configured(), configured()
	for _, i := range []*Issuer{first, second} {
		if err := i.Provision(ctx, "pooled"); err != nil {
			t.Fatal(err)
		}
	}
	if err := other.Provision(ctx, "pooled-too"); err != nil {
		t.Fatal(err)
	}
	if first.state != second.state {
		t.Error("a reload forgets what was known")
	}
	if first.state == other.state {
		t.Error("two issuers share what they know")
	}
	if first.name != "pooled" || first.RefusalStatus() != 401 {
		t.Errorf("%s, %d", first.name, first.RefusalStatus())
	}
	if first.Clients[0].Secret != "{env.PARTNER_SECRET}" {
		t.Error("the secret was written into the configuration")
	}
	for _, i := range []*Issuer{first, first, second, other, new(Issuer), nil} {
		if err := i.Cleanup(); err != nil {
			t.Error(err)
		}
	}
	if held(t, "pooled") {
		t.Error("a reference is left")
	}
}

// held reports whether somebody holds an issuer's state.
func held(t *testing.T, name string) bool {
	t.Helper()
	held, err := states.Hold(name, func() (*state, error) { return newState(), nil })
	if err != nil {
		t.Fatal(err)
	}
	held.Release()
	return !held.New
}

func TestProvisionRefuses(t *testing.T) {
	t.Setenv("EMPTY", "")
	t.Setenv("BAD_KEY", "two words s3cret-canary")
	fine := []Client{{testKey, testSecret}}
	for _, c := range []struct {
		name   string
		issuer string
		config *Issuer
		want   string
	}{
		{"no client", "p", &Issuer{}, "write `client KEY SECRET`"},
		{"name", "p/q", &Issuer{Clients: fine}, "name of an issuer"},
		{"errors", "p", &Issuer{Clients: fine, Errors: 403}, "use 401 or 200"},
		{"lifetime too short", "p", &Issuer{Clients: fine, Lifetime: caddy.Duration(29 * time.Second)}, "lifetime: 29s; use 30s to 400d"},
		{"lifetime too long", "p", &Issuer{Clients: fine, Lifetime: caddy.Duration(401 * 24 * time.Hour)}, "use 30s to 400d"},
		{"lifetime negative", "p", &Issuer{Clients: fine, Lifetime: -1}, "use 30s to 400d"},
		{"key empty", "p", &Issuer{Clients: []Client{{"", testSecret}}}, "client 1: key: it is empty"},
		{"key unset", "p", &Issuer{Clients: []Client{{"{env.UNSET_HERE}", testSecret}}}, "client 1: key: {env.UNSET_HERE} is not set, or is empty"},
		{"key charset", "p", &Issuer{Clients: []Client{fine[0], {"{env.BAD_KEY}", testSecret}}}, "client 2: a key is"},
		{"secret empty", "p", &Issuer{Clients: []Client{{testKey, ""}}}, "client 1: secret: it is empty"},
		{"secret unset", "p", &Issuer{Clients: []Client{{testKey, "{env.EMPTY}"}}}, "{env.EMPTY} is not set, or is empty"},
		{"secret file", "p", &Issuer{Clients: []Client{{testKey, "{file./nowhere/at/all}"}}}, "{file./nowhere/at/all} is not set"},
		{"secret with braces", "p", &Issuer{Clients: []Client{{testKey, "a{s3cret-canary}b"}}}, "write a brace that is meant as one"},
		{"the same line twice", "p", &Issuer{Clients: []Client{fine[0], fine[0]}}, "client 2: the same key with the same secret"},
		{"three secrets", "p", &Issuer{Clients: []Client{fine[0], {testKey, nextSecret}, {testKey, otherSec}}}, "client 3: a third secret"},
		{"accept", "p", &Issuer{Clients: fine, Accept: &Accept{In: "cookie"}}, "use `header` or `query`"},
		{"accept nothing", "p", &Issuer{Clients: fine, Accept: &Accept{}}, "use `header` or `query`"},
		{"accept a header with a blank", "p", &Issuer{Clients: fine, Accept: &Accept{In: "header", Name: "X T"}}, "name of a header"},
		{"accept without a hole", "p", &Issuer{Clients: fine, Accept: &Accept{In: "header", Template: "Bearer"}}, "must hold {token} once"},
		{"accept with two holes", "p", &Issuer{Clients: fine, Accept: &Accept{In: "header", Template: "{token}{token}"}}, "must hold {token} once"},
		{"accept a query without name", "p", &Issuer{Clients: fine, Accept: &Accept{In: "query"}}, "name of the parameter"},
		{"accept a query with template", "p", &Issuer{Clients: fine, Accept: &Accept{In: "query", Name: "t", Template: "{token}"}}, "and nothing else"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
			defer cancel()
			i := c.config
			err := i.Provision(ctx, c.issuer)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			} else if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error holds a secret: %v", err)
			}
			if err := i.Cleanup(); err != nil {
				t.Error(err)
			}
			if held(t, c.issuer) {
				t.Error("a reference is left")
			}
		})
	}
}

func TestProvisionWarns(t *testing.T) {
	t.Setenv("SHORT", "short")
	t.Setenv("LONG", testSecret)
	core, logs := observer.New(zapcore.WarnLevel)
	i := &Issuer{
		Clients: []Client{{"a", "{env.SHORT}"}, {"b", "{env.LONG}"}, {"c", testSecret}},
		logger:  zap.New(core),
	}
	if err := i.prepare("p"); err != nil {
		t.Fatal(err)
	}
	all := logs.All()
	if len(all) != 2 {
		t.Fatalf("%d warnings: %v", len(all), all)
	}
	for n, want := range []struct{ message, client string }{{"less than 16", "a"}, {"stands in the configuration", "c"}} {
		if !strings.Contains(all[n].Message, want.message) || all[n].ContextMap()["client"] != want.client {
			t.Errorf("warning %d: %s %v", n, all[n].Message, all[n].ContextMap())
		}
	}
}

// GODEBUG=fips140=only makes MD5 panic: this test runs itself with it.
func TestProvisionUnderFIPS(t *testing.T) {
	if os.Getenv("ISSUER_FIPS_CHILD") != "" {
		err := (&Issuer{Clients: []Client{{testKey, testSecret}}, logger: nop}).prepare("p")
		if err == nil || !strings.Contains(err.Error(), "fips140=only") {
			t.Errorf("%v", err)
		}
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProvisionUnderFIPS$", "-test.v")
	child.Env = append(os.Environ(), "ISSUER_FIPS_CHILD=1", "GODEBUG=fips140=only")
	out, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}
