package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/harness"
)

const directorySite = `{
	admin {ADMIN}
	log {
		format switchboard
	}
	switchboard {
		customers sqlite {DIR}/customers.db
		region CN
	}
}
http://localhost:{PORT} {
	bind 127.0.0.1
	log {
		format switchboard
	}
	customer_lookup /ivr/customer {
		auth key {env.IVR_KEY}
		fields id nick isVip tel
	}
	customer_lookup /ivr/everything {
		auth none
	}
}
`

const zhang = `{"id":"C1001","tel":"13800138000","email":"Zhang@Example.com","nick":"张三","isVip":"1","lineid":"line-7","field_9":"gold"}`

func startDirectory(t *testing.T) *harness.Caddy {
	t.Helper()
	return harness.Start(t, harness.Config{Caddyfile: directorySite, Env: []string{"IVR_KEY=ivr-key-of-the-test"}})
}

func putCustomer(t *testing.T, caddy *harness.Caddy, id, object string) {
	t.Helper()
	got := harness.Do(t, harness.Request(t, http.MethodPut, "http://"+caddy.Admin+"/switchboard/customers/"+id, "application/json", object))
	if got.Status/100 != 2 {
		t.Fatalf("putting %s: %d %s", id, got.Status, got.Body)
	}
}

func lookUp(t *testing.T, caddy *harness.Caddy, method, path, kind, body string) harness.Answer {
	t.Helper()
	req := harness.Request(t, method, caddy.URL(path), kind, body)
	req.Header.Set("X-Api-Key", "ivr-key-of-the-test")
	return harness.Do(t, req)
}

// A customer is found by each of the four parameters, however they come and
// however a number is spelled: always the same object.
func TestACustomerIsFound(t *testing.T) {
	caddy := startDirectory(t)
	putCustomer(t, caddy, "C1001", zhang)
	const want = `{"id":"C1001","isVip":"1","nick":"张三","tel":"13800138000"}`
	for name, test := range map[string]struct{ method, query, kind, body string }{
		"by id":                   {"GET", "?id=C1001", "", ""},
		"by number":               {"GET", "?tel=13800138000", "", ""},
		"by number, with zero":    {"GET", "?tel=013800138000", "", ""},
		"by international number": {"GET", "?tel=%2B86%20138-0013-8000", "", ""},
		"by SIP URI":              {"GET", "?tel=sip:%2B8613800138000@host", "", ""},
		"by display name":         {"GET", "?tel=%22Zhang%22%20%3C13800138000%3E", "", ""},
		"by email":                {"GET", "?email=zhang@example.COM", "", ""},
		"by account":              {"GET", "?thirdAccountId=line-7", "", ""},
		"by all of them":          {"GET", "?id=C1001&tel=13800138000&email=zhang@example.com&thirdAccountId=line-7", "", ""},
		"by form":                 {"POST", "", "application/x-www-form-urlencoded", "tel=13800138000"},
		"by json":                 {"POST", "", "application/json", `{"tel":13800138000}`},
		"in the query of a POST":  {"POST", "?tel=13800138000", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := lookUp(t, caddy, test.method, "/ivr/customer"+test.query, test.kind, test.body)
			if got.Status != 200 || got.Body != want {
				t.Errorf("got %d %s", got.Status, got.Body)
			}
		})
	}
	for _, query := range []string{"", "?tel=", "?tel=8001", "?tel=anonymous", "?tel=%2B266696687", "?id=c1001", "?id=%25", "?thirdAccountId=line%5F7", "?id=C1001&tel=13900139000"} {
		if got := lookUp(t, caddy, "GET", "/ivr/customer"+query, "", ""); got.Status != 200 || got.Body != "null" {
			t.Errorf("%s: got %d %s, want null", query, got.Status, got.Body)
		}
	}
}

// Without the key nobody looks anybody up, and what can't be read is a 4xx.
func TestTheDirectoryIsNotOpen(t *testing.T) {
	caddy := startDirectory(t)
	putCustomer(t, caddy, "C1001", zhang)
	got := harness.Do(t, harness.Request(t, "GET", caddy.URL("/ivr/customer?id=C1001"), "", ""))
	if got.Status != 401 || strings.Contains(got.Body, "C1001") {
		t.Errorf("got %d %s, want 401", got.Status, got.Body)
	}
	for name, test := range map[string]struct {
		query  string
		status int
	}{
		"256 bytes":  {"?id=" + strings.Repeat("x", 256), 400},
		"a megabyte": {"?id=" + strings.Repeat("x", 1<<20), 431}, // Caddy's own
		"not UTF-8":  {"?id=%ff", 400},
		"a NUL byte": {"?id=%00", 400},
		"bad escape": {"?id=%zz", 400},
		"twice":      {"?id=a&id=b", 400},
	} {
		if got := lookUp(t, caddy, "GET", "/ivr/customer"+test.query, "", ""); got.Status != test.status {
			t.Errorf("%s: got %d %s, want %d", name, got.Status, got.Body, test.status)
		}
	}
	if got := lookUp(t, caddy, "POST", "/ivr/customer", "application/json", `{"id":"`+strings.Repeat("x", 1<<20)+`"}`); got.Status != 413 {
		t.Errorf("a megabyte: got %d", got.Status)
	}
}

// Injection leads nowhere: what is asked for is a value, whatever it looks like,
// and what is stored comes back as it is.
func TestInjectionIntoTheDirectory(t *testing.T) {
	caddy := startDirectory(t)
	putCustomer(t, caddy, "C1001", zhang)
	for _, attempt := range []string{
		"' OR '1'='1", `" OR ""="`, "C1001'--", "C1001; DROP TABLE customers", "%", "_____", "*", "C100?",
		"\r\nX-Evil: 1", "${jndi:ldap://x}", "{env.IVR_KEY}", "../../etc/passwd", "\u2019 or 1=1",
	} {
		for _, param := range []string{"id", "tel", "email", "thirdAccountId"} {
			got := lookUp(t, caddy, "POST", "/ivr/customer", "application/json", fmt.Sprintf(`{%q:%q}`, param, attempt))
			if got.Status != 200 || got.Body != "null" || got.Header.Get("X-Evil") != "" {
				t.Errorf("%s=%q: got %d %s", param, attempt, got.Status, got.Body)
			}
		}
	}
	const odd = `{"id":"C2","nick":"=cmd|' /C calc'!A0","remark":"a\r\nSet-Cookie: x=1 \"quoted\" {env.IVR_KEY}"}`
	putCustomer(t, caddy, "C2", odd)
	got := lookUp(t, caddy, "GET", "/ivr/everything?id=C2", "", "")
	if got.Status != 200 || !strings.Contains(got.Body, `"nick":"=cmd|' /C calc'!A0"`) ||
		!strings.Contains(got.Body, `a\r\nSet-Cookie: x=1 \"quoted\" {env.IVR_KEY}`) || got.Header.Get("Set-Cookie") != "" {
		t.Errorf("got %d %v %s", got.Status, got.Header, got.Body)
	}
	if got := lookUp(t, caddy, "GET", "/ivr/customer?id=C1001", "", ""); !strings.Contains(got.Body, "张三") {
		t.Errorf("after all that: %d %s", got.Status, got.Body)
	}
}

// A customer who is deleted is gone, and no number or email is in any log.
func TestErasureAndLogs(t *testing.T) {
	caddy := startDirectory(t)
	putCustomer(t, caddy, "C1001", zhang)
	lookUp(t, caddy, "GET", "/ivr/customer?tel=13800138000&email=zhang@example.com", "", "")
	got := harness.Do(t, harness.Request(t, http.MethodDelete, "http://"+caddy.Admin+"/switchboard/customers/C1001", "", ""))
	if got.Status/100 != 2 {
		t.Fatalf("deleting: %d %s", got.Status, got.Body)
	}
	if got := lookUp(t, caddy, "GET", "/ivr/customer?id=C1001", "", ""); got.Body != "null" {
		t.Errorf("after deletion: %s", got.Body)
	}
	logs := strings.ToLower(caddy.Logs.String())
	for _, secret := range []string{"13800138000", "zhang@example.com", "ivr-key-of-the-test", "张三"} {
		if strings.Contains(logs, secret) {
			t.Errorf("the log has %s", secret)
		}
	}
}

// A lookup that fails is found again, masked.
func TestAFailedLookupIsTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	caddy := harness.Start(t, harness.Config{Dir: dir, Caddyfile: `{
	admin {ADMIN}
	switchboard {
		customers postgres postgres://crm@127.0.0.1:1/crm
		region CN
	}
}
http://localhost:{PORT} {
	bind 127.0.0.1
	customer_lookup /ivr/customer {
		auth none
		budget 300ms
	}
}
`})
	got := harness.Get(t, caddy.URL("/ivr/customer?tel=13800138000&call_id=c-9"))
	if got.Status/100 != 5 {
		t.Fatalf("got %d %s", got.Status, got.Body)
	}
	out, err := caddy.Command("switchboard", "last", "customer_lookup", "--call", "c-9", "--address", caddy.Admin)
	if err != nil || !strings.Contains(out, "receive") || !strings.Contains(out, "call ") || strings.Contains(out, "13800138000") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := caddy.Command("switchboard", "test", "customer_lookup", "tel=13800138000", "--address", caddy.Admin); err == nil || !strings.Contains(out, "directory") {
		t.Errorf("%v: %s", err, out)
	}
}

// A lookup is kept as an API's answer is, until somebody changes a customer.
func TestLookupsAreKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	caddy := harness.Start(t, harness.Config{Dir: dir, Caddyfile: `{
	admin {ADMIN}
	switchboard {
		customers sqlite ` + dir + `/c.db
		region CN
	}
}
http://localhost:{PORT} {
	bind 127.0.0.1
	customer_lookup /ivr/customer {
		auth none
		fields id nick
		cache 5m {
			not_found 30s
		}
	}
}
`})
	put := func(nick string) {
		t.Helper()
		req := harness.Request(t, "PUT", "http://"+caddy.Admin+"/switchboard/customers/C1", "application/json", `{"nick":"`+nick+`","tel":"13800138000"}`)
		if got := harness.Do(t, req); got.Status != 200 {
			t.Fatalf("got %d %s", got.Status, got.Body)
		}
	}
	put("Ann")
	url := caddy.URL("/ivr/customer?tel=%2B8613800138000")
	hit := func(want string) {
		t.Helper()
		harness.Eventually(t, 5*time.Second, "a hit", func() bool {
			got := harness.Get(t, url)
			if got.Status != 200 || got.Body != want {
				t.Fatalf("got %d %s, want %s", got.Status, got.Body, want)
			}
			return cacheStatus(got) == "switchboard; hit"
		})
	}
	hit(`{"id":"C1","nick":"Ann"}`)
	put("Bea")
	hit(`{"id":"C1","nick":"Bea"}`)
	if out, err := caddy.Command("switchboard", "customers", "delete", "C1", "--address", caddy.Admin); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	hit("null")
}
