package integration

import (
	"database/sql"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/switchboard-ivr/switchboard/integration/harness"
)

const numbersSite = `{
	admin {ADMIN}
	switchboard {
		customers sqlite {DIR}/customers.db
		region US
	}
}
http://localhost:{PORT} {
	bind 127.0.0.1
	customer_lookup /ivr/customer {
		auth none
		fields id
	}
	api /ivr/echo echo {
		auth none
		to http://localhost:{PORT}/crm
		query ` + "`{tel: .tel, sent: ($request.query.tel // $request.form.tel), e164: (.tel | e164(\"US\"))}`" + `
		output ` + "`{tel, sent, e164}`" + `
		default ` + "`{tel: \"\", sent: \"\", e164: \"\"}`" + `
	}
	handle /crm {
		header Content-Type application/json
		respond ` + "`{\"tel\":\"{http.request.uri.query.tel}\",\"sent\":\"{http.request.uri.query.sent}\",\"e164\":\"{http.request.uri.query.e164}\"}`" + `
	}
}
`

// A caller whose plus nobody had encoded was somebody else, who has the same digits
// in the region; numbers from contact lists and of before a renumbering were
// nobody's.
func TestNumbersAsTheyCome(t *testing.T) {
	caddy := harness.Start(t, harness.Config{Caddyfile: numbersSite})
	for id, tel := range map[string]string{
		"SG": "+65 6234 5678", "US": "(656) 234-5678", "CN": "\u202a+86 138 0013 8000\u202c", "MX": "+525512345678", "BR": "+55 11 8123-4567",
	} {
		putCustomer(t, caddy, id, `{"tel":"`+tel+`"}`)
	}
	for name, test := range map[string]struct{ kind, sent, id string }{
		"a raw plus":                 {"", "+6562345678", "SG"},
		"an encoded plus":            {"", "%2B6562345678", "SG"},
		"a raw plus, with blanks":    {"", "+65+6234+5678", "SG"},
		"a raw plus in a SIP URI":    {"", "sip:+6562345678@10.0.0.1", "SG"},
		"a raw plus in a form":       {"application/x-www-form-urlencoded", "+6562345678", "SG"},
		"a blank":                    {"", "%206562345678", "US"},
		"a blank in JSON":            {"application/json", " 6562345678", "US"},
		"a channel's prefix":         {"", "whatsapp:%2B6562345678", "SG"},
		"what can't be seen":         {"", "%E2%80%AA%2B86%C2%A0138%E2%80%8B0013%C2%AD8000%E2%80%AC", "CN"},
		"the old number in Mexico":   {"", "+5215512345678", "MX"},
		"the ninth digit in Brazil":  {"", "+5511981234567", "BR"},
		"the old one":                {"", "+551181234567", "BR"},
		"somebody else's in Brazil":  {"", "+551171234567", ""},
		"an extension of a customer": {"", "+6562345678%3Bext%3D1", ""},
	} {
		req := harness.Request(t, http.MethodGet, caddy.URL("/ivr/customer?tel="+test.sent), "", "")
		switch test.kind {
		case "application/json":
			req = harness.Request(t, http.MethodPost, caddy.URL("/ivr/customer"), test.kind, `{"tel":"`+test.sent+`"}`)
		case "application/x-www-form-urlencoded":
			req = harness.Request(t, http.MethodPost, caddy.URL("/ivr/customer"), test.kind, "tel="+test.sent)
		}
		want := "null"
		if test.id != "" {
			want = `{"id":"` + test.id + `"}`
		}
		if got := harness.Do(t, req); got.Status != 200 || strings.TrimSpace(got.Body) != want {
			t.Errorf("%s: %d %s, want %s", name, got.Status, got.Body, want)
		}
	}
	// Programs see the same.
	for sent, want := range map[string]string{
		"+6562345678":   `"e164":"+6562345678","sent":"+6562345678","tel":"+6562345678"`,
		"%2B6562345678": `"e164":"+6562345678","sent":"+6562345678","tel":"+6562345678"`,
		"a+b":           `"e164":"","sent":"a b","tel":"a b"`,
	} {
		if got := harness.Get(t, caddy.URL("/ivr/echo?tel="+sent)); !strings.Contains(got.Body, want) {
			t.Errorf("%s: %s", sent, got.Body)
		}
	}
}

const ownSite = `{
	admin {ADMIN}
	switchboard {
		customers sqlite {DIR}/crm.db {
			find tel ` + "`SELECT * FROM missing WHERE phone IN (:variants)`" + `
			find id ` + "`SELECT name FROM contacts WHERE no = :raw`" + `
			find email ` + "`SELECT no AS id, hex(zeroblob(1000000)) AS photo FROM contacts WHERE mail = :raw`" + `
		}
		region CN
	}
}
http://localhost:{PORT} {
	bind 127.0.0.1
	customer_lookup /ivr/customer {
		auth none
	}
}
`

// What was wrong with own tables was "the directory is unavailable", with a hint at
// TLS. The log, the test and the last failures say what it is; the caller gets no
// more than the outcome.
func TestOwnTablesSayWhatIsWrong(t *testing.T) {
	caddy := harness.Start(t, harness.Config{Caddyfile: ownSite})
	db, err := sql.Open("sqlite", filepath.Join(caddy.Dir, "crm.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE contacts (no TEXT, name TEXT, mail TEXT); INSERT INTO contacts VALUES ('C1', 'Ann', 'ann@example.com')"); err != nil {
		t.Fatal(err)
	}
	for param, want := range map[string]struct{ outcome, reason string }{
		"tel=13800138000":       {"bad_answer", "find tel: SQLite refuses: no such table: missing"},
		"id=C1":                 {"bad_answer", "find id: record gives no id"},
		"email=ann@example.com": {"too_large", "find email: column photo holds more than 1 MiB"},
	} {
		got := harness.Get(t, caddy.URL("/ivr/customer?"+param))
		if got.Status != 502 || !strings.Contains(got.Body, `"outcome":"`+want.outcome+`"`) || strings.Contains(got.Body, "find") {
			t.Errorf("%s: %d %s", param, got.Status, got.Body)
		}
		for _, command := range [][]string{{"test", "customer_lookup", param}, {"last", "customer_lookup"}} {
			out, _ := caddy.Command(append([]string{"switchboard"}, append(command, "--address", caddy.Admin)...)...)
			if !strings.Contains(out, want.reason) || !strings.Contains(out, want.outcome) || strings.Contains(out, "TLS") || strings.Contains(out, "13800138000") {
				t.Errorf("%s: %v says\n%s", param, command, out)
			}
		}
		if !strings.Contains(caddy.Logs.String(), want.reason) {
			t.Errorf("%s: the log has no %q", param, want.reason)
		}
	}
}
