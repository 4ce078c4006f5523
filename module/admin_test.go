package switchboard_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/internal/cache"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	_ "github.com/switchboard-ivr/switchboard/module/customer/sqlite"
)

// directoryConfig is a configuration with a directory and an admin API at a
// socket.
func directoryConfig(t *testing.T, customers string) (cfg *caddy.Config, socket string) {
	t.Helper()
	dir, err := os.MkdirTemp(storage, "") //nolint:usetesting // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "s")
	text := fmt.Sprintf("{\n\tadmin unix/%s\n\tstorage file_system %s\n\tswitchboard {\n%s\n\t}\n}\n",
		socket, dir, strings.ReplaceAll(customers, "{DIR}", dir))
	return adapted(t, text), socket
}

// answers are some that the app's cache keeps.
type answers struct {
	t     *testing.T
	cache *cache.Cache
}

func keptAnswers(t *testing.T, app *switchboard.App) answers {
	t.Helper()
	c, err := app.Cache()
	if err != nil {
		t.Fatal(err)
	}
	return answers{t, c}
}

func (a answers) fill() {
	for _, group := range []string{switchboard.LookupName, "order"} {
		a.cache.Put(group, a.cache.Key([]byte(group)), &cache.Entry{Text: []byte("{}"), Fresh: time.Now().Add(time.Hour)})
	}
	a.cache.Wait()
	if !a.has(switchboard.LookupName) || !a.has("order") {
		a.t.Fatal("the cache keeps nothing")
	}
}

func (a answers) has(group string) bool {
	_, ok := a.cache.Get(a.cache.Key([]byte(group)))
	return ok
}

func TestOneCustomerOverTheAdminAPI(t *testing.T) {
	cfg, socket := directoryConfig(t, "customers sqlite {DIR}/c.db\nregion CN")
	app := run(t, cfg)
	kept := keptAnswers(t, app)
	client, err := adminapi.New("unix/" + socket)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"C1", "a/b c?d", "张三", "%2F", "'; DROP TABLE switchboard_customers; --", "\r\nX-Evil: 1"} {
		wantStatus := 0
		kept.fill()
		if id == "\r\nX-Evil: 1" {
			continue // cut to X-Evil: 1, which is another one
		}
		if _, err := client.PutCustomer(t.Context(), id, []byte(`{"nick":"Ann","tel":13800138000,"x":"=1"}`)); status(err) != wantStatus {
			t.Errorf("%q: %v", id, err)
		}
		if kept.has(switchboard.LookupName) || !kept.has("order") {
			t.Errorf("%q: a customer who changes is forgotten in lookups, and nothing else is", id)
		}
		d, err := client.Directory(t.Context())
		if err != nil || d.Count != 1 || !strings.HasPrefix(d.Store, "sqlite /") {
			t.Errorf("%q: %+v, %v", id, d, err)
		}
		record, err := client.Customer(t.Context(), id)
		if err != nil || !strings.Contains(string(record), `"tel":"13800138000","nick":"Ann","x":"=1"}`) {
			t.Errorf("%q: %s, %v", id, record, err)
		}
		gone, err := client.DeleteCustomer(t.Context(), id)
		if err != nil || !gone.Existed {
			t.Errorf("%q: %+v, %v", id, gone, err)
		}
		if kept.has(switchboard.LookupName) || kept.has("order") {
			t.Errorf("%q: answers are left of a customer who was erased", id)
		}
		if gone, err = client.DeleteCustomer(t.Context(), id); err != nil || gone.Existed {
			t.Errorf("%q again: %+v, %v", id, gone, err)
		}
		if _, err := client.Customer(t.Context(), id); status(err) != http.StatusNotFound {
			t.Errorf("%q after its deletion: %v", id, err)
		}
	}
	for body, want := range map[string]int{
		``: 400, `[]`: 400, `{"id":"C2"}`: 400, `{"isVip":"13800138000"}`: 400, `{"nick":{}}`: 400,
		`{"nick":"` + strings.Repeat("x", 5000) + `"}`: 400, `{"nick":"` + strings.Repeat("x", 1<<20) + `"}`: 413,
	} {
		_, err := client.PutCustomer(t.Context(), "C1", []byte(body))
		if status(err) != want || strings.Contains(err.Error(), "13800138000") {
			t.Errorf("%.40s: %v, want %d", body, err, want)
		}
	}
	if _, err := client.Customer(t.Context(), strings.Repeat("x", 300)); status(err) != http.StatusBadRequest {
		t.Errorf("a long id: %v", err)
	}
	if _, err := client.Customer(t.Context(), " "); status(err) != http.StatusBadRequest {
		t.Errorf("a blank id: %v", err)
	}
}

func status(err error) int {
	if refusal, ok := err.(*adminapi.Error); ok { //nolint:errorlint // it is never wrapped
		return refusal.Status
	}
	if refusal, ok := err.(caddy.APIError); ok { //nolint:errorlint // as above
		return refusal.HTTPStatus
	}
	if err != nil {
		return -1
	}
	return 0
}

// Without a directory, or without an instance, the client says so.
func TestNoDirectoryOverTheAdminAPI(t *testing.T) {
	cfg, socket := directoryConfig(t, "")
	run(t, cfg)
	client, err := adminapi.New("unix/" + socket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.DeleteCustomer(t.Context(), "C1"); status(err) != http.StatusNotFound || !strings.Contains(err.Error(), "no customer directory") {
		t.Errorf("without a directory: %v", err)
	}
	for _, r := range (switchboard.Admin{}).Routes() {
		if !strings.HasPrefix(r.Pattern, "/switchboard/") {
			t.Errorf("a route at %s", r.Pattern)
		}
	}
	nobody, err := adminapi.New("unix/" + socket + ".none")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nobody.Directory(t.Context()); err == nil || !strings.Contains(err.Error(), adminapi.ErrNobody.Error()) {
		t.Errorf("nobody listens: %v", err)
	}
}
