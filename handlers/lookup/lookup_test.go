package lookup

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/internal/phone"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/customer"
	_ "github.com/switchboard-ivr/switchboard/module/customer/sqlite"
)

// people is a directory in memory.
type people struct {
	records []*customer.Record
	err     error
	hang    bool
	country string // default CN
}

func (p *people) Region() phone.Region { return phone.Region{Country: cmp.Or(p.country, "CN")} }

func (p *people) Find(ctx context.Context, q customer.Query, limit int) ([]*customer.Record, error) {
	if p.hang {
		<-ctx.Done()
		return nil, fmt.Errorf("%w: %w", customer.ErrUnavailable, ctx.Err())
	}
	var found []*customer.Record
	for _, r := range p.records {
		if matches(r, q) && len(found) < limit {
			found = append(found, r)
		}
	}
	return found, p.err
}

func matches(r *customer.Record, q customer.Query) bool {
	for _, c := range q {
		switch c.Param {
		case customer.ByID:
			if r.ID != c.Key {
				return false
			}
		case customer.ByTel:
			if customer.TelKey(r.Tel, phone.Region{Country: "CN"}) != c.Key {
				return false
			}
		default:
			if customer.EmailKey(r.Email) != c.Key {
				return false
			}
		}
	}
	return true
}

var (
	ann  = &customer.Record{ID: "C1", Tel: "13800138000", Email: "Ann@example.com", RealName: "Ann", VIP: "1", Custom: map[string]string{"field_7": "gold"}}
	bob  = &customer.Record{ID: "C2", Tel: "13900139000", Nickname: "Bob", Blacklisted: "1"}
	bob2 = &customer.Record{ID: "C3", Tel: "13900139000", Nickname: "Robert"}
)

// provision makes a handler of l over a directory in memory.
func provision(t *testing.T, l *Lookup, dir *people) *Lookup {
	t.Helper()
	cfg := new(caddy.Config)
	if err := json.Unmarshal([]byte(`{"admin":{"disabled":true},"apps":{"switchboard":{}}}`), cfg); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if l.Auth == nil {
		l.Auth = &endpoint.Auth{Mode: "none"}
	}
	if err := l.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	l.directory = dir
	return l
}

func ask(l *Lookup, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server))
	_ = l.ServeHTTP(w, r, nil)
	return w
}

func get(query string) *http.Request {
	return httptest.NewRequest(http.MethodGet, "/ivr/customer?"+query, nil)
}

func TestAnswers(t *testing.T) {
	hostile := &customer.Record{ID: "C4", Remark: "x\" & \"1\r\n\\ok"}
	long := &customer.Record{ID: "C5", Remark: strings.Repeat("x", 4095)}
	asterisk := endpoint.Settings{For: "asterisk"}
	dir := &people{records: []*customer.Record{ann, bob2, bob, hostile, long}}
	short := []string{"id", "nick", "isVip", "isblack", "field_7"}
	for name, test := range map[string]struct {
		lookup  Lookup
		query   string
		status  int
		body    string
		outcome string
	}{
		"found, required fields filled": {
			Lookup{Fields: append([]string{"sexName", "userStatusName"}, short...)},
			"tel=13800138000", 200,
			`{"field_7":"gold","id":"C1","isVip":"1","isblack":"0","nick":"Ann","sexName":"Unknown","userStatusName":"normal"}`, "ok",
		},
		"a blacklisted one":            {Lookup{Fields: []string{"isblack", "userStatusName"}}, "id=C2", 200, `{"isblack":"1","userStatusName":"blacklist"}`, "ok"},
		"empty as null":                {Lookup{Fields: []string{"id", "isVip"}, Empty: "null"}, "id=C2", 200, `{"id":"C2","isVip":null}`, "ok"},
		"empty left out":               {Lookup{Fields: []string{"id", "isVip"}, Empty: "omit"}, "id=C2", 200, `{"id":"C2"}`, "ok"},
		"nothing asked":                {Lookup{}, "", 200, `null`, "not_found"},
		"only blanks asked":            {Lookup{}, "tel=%20&id=", 200, `null`, "not_found"},
		"nobody":                       {Lookup{}, "tel=13700137000", 200, `null`, "not_found"},
		"a withheld number":            {Lookup{}, "tel=anonymous", 200, `null`, "not_found"},
		"an extension":                 {Lookup{}, "tel=8001", 200, `null`, "not_found"},
		"nobody, blank":                {Lookup{Fields: short, NotFound: "blank"}, "id=no", 200, `{"field_7":"","id":"","isVip":"","isblack":"","nick":""}`, "not_found"},
		"nobody, 404":                  {Lookup{NotFound: "404"}, "id=no", 404, `null`, "not_found"},
		"several, the newest":          {Lookup{Fields: []string{"id"}}, "tel=13900139000", 200, `{"id":"C3"}`, "ok"},
		"several, none":                {Lookup{Multiple: "none"}, "tel=13900139000", 200, `null`, "ambiguous"},
		"all that is given must match": {Lookup{}, "tel=13900139000&id=C1", 200, `null`, "not_found"},
		"an envelope":                  {Lookup{Fields: []string{"id"}, Envelope: true}, "id=C1", 200, `{"code":"000000","data":{"id":"C1"}}`, "ok"},
		"an envelope around nobody":    {Lookup{Envelope: true}, "id=no", 200, `{"code":"000000","data":null}`, "not_found"},
		"with the outcome":             {Lookup{Fields: []string{"id"}, NotFound: "blank", Settings: endpoint.Settings{StatusField: "_status"}}, "id=no", 200, `{"_status":"not_found","id":""}`, "not_found"},
		"for Asterisk":                 {Lookup{Fields: []string{"id", "remark"}, Settings: asterisk}, "id=C4", 200, `{"id":"C4","remark":"x' & '1  /ok"}`, "ok"},
		"for Asterisk, nobody":         {Lookup{Fields: []string{"id"}, Settings: asterisk}, "id=no", 200, `{"id":""}`, "not_found"},
		"for Asterisk, several":        {Lookup{Fields: []string{"id"}, Settings: asterisk}, "tel=13900139000", 200, `{"id":""}`, "ambiguous"},
		"for Asterisk, too long":       {Lookup{Fields: []string{"id", "remark"}, Settings: asterisk}, "id=C5", 200, `{"id":"","remark":""}`, "too_large"},
		"for Asterisk, an envelope":    {Lookup{Fields: []string{"id"}, Envelope: true, Settings: asterisk}, "id=C1", 200, `{"code":"000000","data_id":"C1"}`, "ok"},
		"for Asterisk, a bad request":  {Lookup{Settings: asterisk}, "id=a&id=b", 400, `{"error":{"message":"bad parameter: id is not one text","outcome":"bad_request"}}`, "bad_request"},
		"what is written wins":         {Lookup{Fields: []string{"id"}, NotFound: "null", Multiple: "newest", Settings: endpoint.Settings{For: "asterisk", Format: "json"}}, "tel=13900139000", 200, `{"id":"C3"}`, "ok"},
		"what is written wins, nobody": {Lookup{Fields: []string{"id"}, NotFound: "404", Settings: asterisk}, "id=no", 404, `{"value":""}`, "not_found"},
		"for Twilio, nobody":           {Lookup{Fields: []string{"id"}, NotFound: "null", Settings: endpoint.Settings{For: "twilio"}}, "id=no", 200, `{"value":null}`, "not_found"},
		"as a form":                    {Lookup{Fields: []string{"id", "nick"}, Settings: endpoint.Settings{Format: "form"}}, "id=C2", 200, `id=C2&nick=Bob`, "ok"},
		"as text":                      {Lookup{Fields: []string{"nick"}, Settings: endpoint.Settings{Format: "text"}}, "id=C2", 200, `Bob`, "ok"},
		"too long":                     {Lookup{}, "id=" + strings.Repeat("x", 256), 400, `{"error":{"message":"bad parameter: id is longer than 255 characters","outcome":"bad_request"}}`, "bad_request"},
		"twice":                        {Lookup{}, "id=a&id=b", 400, `{"error":{"message":"bad parameter: id is not one text","outcome":"bad_request"}}`, "bad_request"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ask(provision(t, &test.lookup, dir), get(test.query))
			if got.Code != test.status || got.Body.String() != test.body {
				t.Errorf("got %d %s\nwant %d %s", got.Code, got.Body, test.status, test.body)
			}
			if said := got.Header().Get("Proxy-Status"); !strings.Contains(said, `details="`+test.outcome+`"`) {
				t.Errorf("Proxy-Status: %s, want %s", said, test.outcome)
			}
		})
	}
}

// All fields are in every answer, under the protocol's spelling.
func TestAllFields(t *testing.T) {
	got := ask(provision(t, new(Lookup), &people{records: []*customer.Record{ann}}), get("id=C1"))
	var object map[string]string
	if err := json.Unmarshal(got.Body.Bytes(), &object); err != nil {
		t.Fatal(err)
	}
	if len(object) != 32 || object["provice_name"] != "" || object["email"] != "Ann@example.com" {
		t.Errorf("got %d fields: %v", len(object), object)
	}
}

func TestWaysToAsk(t *testing.T) {
	l := provision(t, &Lookup{Fields: []string{"id"}}, &people{records: []*customer.Record{ann}})
	post := func(kind, body string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/ivr/customer", strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		return r
	}
	for name, test := range map[string]struct {
		r      *http.Request
		status int
	}{
		"a form":            {post("application/x-www-form-urlencoded", "tel=%2B86+138-0013-8000"), 200},
		"json":              {post("application/json", `{"tel":13800138000}`), 200},
		"a query in a POST": {httptest.NewRequest(http.MethodPost, "/?tel=013800138000", nil), 200},
		"another method":    {httptest.NewRequest(http.MethodPut, "/?tel=13800138000", nil), 405},
		"another encoding":  {post("application/json; charset=gbk", `{"tel":"1"}`), 400},
		"another kind":      {post("text/xml", `<tel/>`), 400},
		"not json":          {post("application/json", `{"tel":`), 400},
		"an array":          {post("application/json", `{"tel":["1"]}`), 400},
		"a fraction":        {post("application/json", `{"id":1.5}`), 400},
	} {
		t.Run(name, func(t *testing.T) {
			got := ask(l, test.r)
			if got.Code != test.status {
				t.Errorf("got %d %s, want %d", got.Code, got.Body, test.status)
			}
			if test.status == 200 && got.Body.String() != `{"id":"C1"}` {
				t.Errorf("got %s", got.Body)
			}
			if strings.Contains(got.Body.String(), "gbk") {
				t.Error("the answer repeats what was sent")
			}
		})
	}
}

func TestAStoreThatFails(t *testing.T) {
	down := &people{err: fmt.Errorf("%w: refused", customer.ErrUnavailable)}
	got := ask(provision(t, new(Lookup), down), get("id=C1"))
	if got.Code != 503 || got.Header().Get("Retry-After") != "1" || got.Body.String() != `{"error":{"message":"the customer directory could not be reached","outcome":"unreachable"}}` {
		t.Errorf("got %d %v %s", got.Code, got.Header(), got.Body)
	}
	got = ask(provision(t, &Lookup{Fields: []string{"id"}, NotFound: "blank", Settings: endpoint.Settings{OnFailure: "default"}}, down), get("id=C1"))
	if got.Code != 200 || got.Body.String() != `{"id":""}` {
		t.Errorf("by default: got %d %s", got.Code, got.Body)
	}
	got = ask(provision(t, &Lookup{Fields: []string{"id"}, NotFound: "blank", Settings: endpoint.Settings{OnFailure: "default", StatusField: "_status"}},
		&people{err: errors.New("a row that can't be read")}), get("id=C1"))
	if got.Code != 200 || got.Body.String() != `{"_status":"bad_answer","id":""}` {
		t.Errorf("by default, with the outcome: got %d %s", got.Code, got.Body)
	}
	got = ask(provision(t, &Lookup{Fields: []string{"id"}, Settings: endpoint.Settings{For: "asterisk", StatusField: "_status"}}, down), get("id=C1"))
	if got.Code != 200 || got.Body.String() != `{"_status":"unreachable","id":""}` {
		t.Errorf("for Asterisk: got %d %s", got.Code, got.Body)
	}
	if got := ask(provision(t, &Lookup{Settings: endpoint.Settings{For: "twilio"}}, down), get("id=C1")); got.Code != 503 {
		t.Errorf("for Twilio: got %d %s", got.Code, got.Body)
	}
	broken := &people{err: errors.New("a row that can't be read")}
	if got := ask(provision(t, new(Lookup), broken), get("id=C1")); got.Code != 502 || strings.Contains(got.Body.String(), "row") {
		t.Errorf("a broken answer: got %d %s", got.Code, got.Body)
	}
}

// Whose fault it is shows in the outcome, and what it is in the reason, which goes
// into the log, the trace and the last failures, but not to the caller.
func TestTheReasonOfAFailure(t *testing.T) {
	for name, test := range map[string]struct {
		kind    error
		outcome string
		status  int
		check   string
	}{
		"down":      {customer.ErrUnavailable, "unreachable", 503, "address, user and password"},
		"refused":   {customer.ErrMismatch, "bad_answer", 502, "the statement or the `record`"},
		"too large": {customer.ErrTooLarge, "too_large", 502, "the column that the reason names"},
	} {
		t.Run(name, func(t *testing.T) {
			const reason = "find tel: PostgreSQL refuses with SQLSTATE 42P01"
			l := provision(t, new(Lookup), &people{err: fmt.Errorf("%w: %s", test.kind, reason)})
			core, lines := observer.New(zapcore.WarnLevel)
			l.route.Logger = zap.New(core)
			got := ask(l, get("tel=13800138000"))
			if got.Code != test.status || !strings.Contains(got.Body.String(), `"outcome":"`+test.outcome+`"`) || strings.Contains(got.Body.String(), "SQLSTATE") {
				t.Errorf("got %d %s", got.Code, got.Body)
			}
			if all := lines.All(); len(all) != 1 || !strings.Contains(fmt.Sprint(all[0].ContextMap()["reason"]), reason) {
				t.Errorf("the log has %v", all)
			}
			trace, err := l.Test(t.Context(), adminapi.Test{Method: "GET", Params: map[string]any{"tel": "13800138000"}})
			if err != nil || trace.Outcome != test.outcome || !strings.Contains(trace.Reason, reason) || !strings.Contains(trace.Check, test.check) || strings.Contains(trace.Check, "TLS") {
				t.Errorf("%+v, %v", trace, err)
			}
			found := false
			for _, step := range trace.Steps {
				found = found || step.Step == "call" && step.Outcome == test.outcome && strings.Contains(step.Note, reason)
			}
			if !found {
				t.Errorf("no step says it: %+v", trace.Steps)
			}
		})
	}
}

// A caller whose plus nobody encoded was asked for as somebody of the region.
func TestARawPlus(t *testing.T) {
	singapore, america := &customer.Record{ID: "SG", Tel: "+6562345678"}, &customer.Record{ID: "US", Tel: "+16562345678"}
	l := provision(t, &Lookup{Fields: []string{"id"}}, &people{records: []*customer.Record{singapore, america}, country: "US"})
	for raw, want := range map[string]string{
		"tel=+6562345678":               `{"id":"SG"}`,
		"tel=%2B6562345678":             `{"id":"SG"}`,
		"tel=sip:+6562345678@10.0.0.1":  `{"id":"SG"}`,
		"tel=whatsapp:%2B6562345678":    `{"id":"SG"}`,
		"tel=%E2%80%AA%2B6562345678%20": `{"id":"SG"}`,
		"tel=%206562345678":             `{"id":"US"}`,
		"tel=6562345678":                `{"id":"US"}`,
	} {
		if got := ask(l, get(raw)); got.Body.String() != want {
			t.Errorf("%s: %s", raw, got.Body)
		}
	}
}

func TestTheBudget(t *testing.T) {
	l := provision(t, new(Lookup), &people{hang: true})
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		got := ask(l, get("id=C1"))
		if took := time.Since(begin); got.Code != 504 || took != time.Second {
			t.Errorf("got %d after %v", got.Code, took)
		}
	})
}

// The audit says who asked and how it ended, and a hash for whom: the same for
// all spellings of a number, and never the number.
func TestAudit(t *testing.T) {
	t.Setenv("LOOKUP_TEST_AUDIT_KEY", "0123456789abcdef")
	l := provision(t, &Lookup{Audit: &Audit{Key: "{env.LOOKUP_TEST_AUDIT_KEY}"}}, &people{records: []*customer.Record{ann}})
	core, lines := observer.New(zapcore.InfoLevel)
	l.audit.logger = zap.New(core)
	ask(l, get("tel=13800138000"))
	ask(l, get("tel=%2B86+138-0013-8000"))
	ask(l, get("tel=13700137000"))
	var hashes []string
	for _, line := range lines.All() {
		fields := line.ContextMap()
		text := fmt.Sprint(fields)
		if strings.Contains(text, "800138") || strings.Contains(text, "700137") {
			t.Errorf("a number in %s", text)
		}
		hashes = append(hashes, fmt.Sprint(fields["subject"], fields["outcome"]))
	}
	if len(hashes) != 3 || hashes[0] != hashes[1] || hashes[0] == hashes[2] || !strings.HasSuffix(hashes[2], "not_found") {
		t.Errorf("got %v", hashes)
	}
}

func TestRefusedSettings(t *testing.T) {
	none := &endpoint.Auth{Mode: "none"}
	for name, test := range map[string]struct {
		lookup *Lookup
		want   string
	}{
		"no auth":           {new(Lookup), "write `auth issuer NAME`"},
		"unknown empty":     {&Lookup{Settings: endpoint.Settings{Auth: none}, Empty: "x"}, "write blank, null or omit"},
		"unknown not_found": {&Lookup{Settings: endpoint.Settings{Auth: none}, NotFound: "x"}, "write null, blank or 404"},
		"unknown multiple":  {&Lookup{Settings: endpoint.Settings{Auth: none}, Multiple: "x"}, "write newest or none"},
		"a field twice":     {&Lookup{Settings: endpoint.Settings{Auth: none}, Fields: []string{"id", "id"}}, "named twice"},
		"text of many":      {&Lookup{Settings: endpoint.Settings{Auth: none, Format: "text"}}, "name one field"},
		"a short audit key": {&Lookup{Settings: endpoint.Settings{Auth: none}, Audit: &Audit{Key: "short"}}, "shorter than 16 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := new(caddy.Config)
			if err := json.Unmarshal([]byte(`{"admin":{"disabled":true},"apps":{"switchboard":{}}}`), cfg); err != nil {
				t.Fatal(err)
			}
			ctx, err := caddy.ProvisionContext(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := test.lookup.Provision(ctx); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
