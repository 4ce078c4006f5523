package integration

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
	"github.com/switchboard-ivr/switchboard/integration/postgres"
)

const postgresSite = `{
	admin {ADMIN}
	grace_period 5s
	switchboard {
		customers postgres {env.CRM_DSN}
		region CN
	}
}
http://localhost:{PORT} {
	bind 127.0.0.1
	customer_lookup /ivr/customer {
		auth none
		fields id nick
		budget 1s
	}
	customer_lookup /ivr/default {
		auth none
		fields id nick
		budget 1s
		not_found blank
		on_failure default
		status_field _status
	}
}
`

// The demo's customers in a real PostgreSQL: imported, found, found again after
// reloads under load, refused in time while the server is away, found when it is back.
func TestADirectoryInPostgres(t *testing.T) {
	db, err := postgres.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	env := []string{"CRM_DSN=" + db.DSN()}
	caddy := harness.Start(t, harness.Config{Caddyfile: postgresSite, Env: env})
	sample := filepath.Join(harness.Root(t), "caddyfile-examples", "customers.csv")
	config := filepath.Join(caddy.Dir, "Caddyfile")
	if out, err := caddy.Command("switchboard", "customers", "import", sample, "--config", config, "--adapter", "caddyfile"); err != nil {
		t.Fatalf("importing: %v\n%s", err, out)
	} else if strings.Contains(out, db.DSN()) {
		t.Errorf("the import shows the DSN: %s", out)
	}
	const want = `{"id":"C1001","nick":"张三"}`
	ask := func(path string) harness.Answer {
		return harness.Do(t, harness.Request(t, http.MethodGet, caddy.URL(path), "", ""))
	}
	found := func(when string) {
		t.Helper()
		if got := ask("/ivr/customer?tel=013800138000"); got.Status != 200 || got.Body != want {
			t.Errorf("%s: got %d %s", when, got.Status, got.Body)
		}
	}
	found("imported")

	done := make(chan struct{})
	var asked atomic.Int64
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				req := harness.Request(t, http.MethodGet, caddy.URL("/ivr/customer?id=C1001"), "", "")
				got, err := harness.Try(req)
				if err != nil { // Caddy may reset a connection during a reload: docs/guides/operations.md
					req.Close = true
					got, err = harness.Try(req)
				}
				if err != nil || got.Status != 200 || got.Body != want {
					t.Errorf("during a reload: %d %s %v", got.Status, got.Body, err)
				}
				asked.Add(1)
			}
		})
	}
	for i := range 10 {
		if err := caddy.Load(strings.Replace(postgresSite, "grace_period 5s", "grace_period "+string(rune('3'+i%2))+"s", 1)); err != nil {
			t.Error(err)
		}
		enough := asked.Load() + 50
		harness.Eventually(t, 10*time.Second, "lookups after a reload", func() bool { return asked.Load() > enough })
	}
	close(done)
	group.Wait()

	if err := db.Stop(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if got := ask("/ivr/customer?id=C1001"); got.Status != 503 && got.Status != 504 {
		t.Errorf("stopped: got %d %s", got.Status, got.Body)
	}
	if got := ask("/ivr/default?id=C1001"); got.Status != 200 || !strings.HasPrefix(got.Body, `{"_status":"`) || !strings.HasSuffix(got.Body, `","id":"","nick":""}`) {
		t.Errorf("stopped, by default: got %d %s", got.Status, got.Body)
	}
	if took := time.Since(begin); took > 4*time.Second { // two budgets of one second
		t.Errorf("it took %v", took)
	}
	if err := db.Resume(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 10*time.Second, "the directory to be back", func() bool {
		return ask("/ivr/customer?id=C1001").Status == 200
	})
	found("resumed")
}

// Adapting and validating open nothing: no file, no connection.
func TestValidatingOpensNoDirectory(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "Caddyfile")
	for name, store := range map[string]string{
		"sqlite":   "sqlite " + dir + "/customers.db",
		"postgres": "postgres postgres://crm@127.0.0.1:1/crm",
		"default":  "sqlite",
	} {
		text := "{\n\tadmin off\n\tswitchboard {\n\t\tcustomers " + store + "\n\t}\n}\nhttp://localhost:9 {\n\tcustomer_lookup {\n\t\tauth none\n\t}\n}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := harness.Command(t, dir, nil, "validate", "--config", file, "--adapter", "caddyfile"); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	databases, err := filepath.Glob(filepath.Join(dir, "*.db*"))
	if err != nil || len(databases) > 0 {
		t.Errorf("validating made %v", databases)
	}
	if _, err := os.Stat(filepath.Join(dir, "data", "caddy", "switchboard")); err == nil {
		t.Error("validating made the default directory's folder")
	}
}
