package call_test

import (
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/internal/call"
)

// An unencoded plus before a number was a blank, and +65 6234 5678 the customer
// (656) 234-5678 in the US.
func TestRawPlus(t *testing.T) {
	for name, c := range map[string]struct{ raw, want string }{
		"as Asterisk sends it":       {"+13802138000", "+13802138000"},
		"encoded":                    {"%2B13802138000", "+13802138000"},
		"an encoded blank":           {"%2013802138000", " 13802138000"},
		"with blanks":                {"+86+138+0013+8000", "+86 138 0013 8000"},
		"with encoded blanks":        {"+86%20138%200013%208000", "+86 138 0013 8000"},
		"with signs":                 {"+1+(650)+253-0000", "+1 (650) 253-0000"},
		"with encoded signs":         {"+1%20%28650%29%20253%2D0000", "+1 (650) 253-0000"},
		"with dots":                  {"+1.650.253.0000", "+1.650.253.0000"},
		"with a trunk prefix":        {"+44+(0)20+7946+0018", "+44 (0)20 7946 0018"},
		"five digits":                {"+12345", "+12345"},
		"sixteen digits":             {"+1234567890123456", "+1234567890123456"},
		"a SIP URI":                  {"sip:+6562345678@10.0.0.1:5060;user=phone", "sip:+6562345678@10.0.0.1:5060;user=phone"},
		"a SIP URI in capitals":      {"SIPS:+6562345678@host", "SIPS:+6562345678@host"},
		"a tel URI":                  {"tel:+65-6234-5678", "tel:+65-6234-5678"},
		"a channel's number":         {"whatsapp:+6562345678", "whatsapp:+6562345678"},
		"an encoded colon":           {"whatsapp%3A+6562345678", "whatsapp:+6562345678"},
		"a SIP URI with a blank":     {"sip:%20+6562345678@host", "sip: +6562345678@host"},
		"a URI behind a blank":       {"+sip:+6562345678@host", " sip:+6562345678@host"},
		"an address with a name":     {"%22Ann%22+%3Csip:+6562345678@host%3E", `"Ann" <sip:+6562345678@host>`},
		"a number in brackets":       {"%22Ann%22+<+6562345678>", `"Ann" <+6562345678>`},
		"too few digits":             {"+1234", " 1234"},
		"too many digits":            {"+12345678901234567", " 12345678901234567"},
		"a word":                     {"+hello", " hello"},
		"a number and a word":        {"+13802138000+ext", " 13802138000 ext"},
		"a sum":                      {"1+13802138000", "1 13802138000"},
		"behind a blank":             {"%20+13802138000", " +13802138000"},
		"before a blank":             {"+%2013802138000", "+ 13802138000"},
		"two":                        {"++13802138000", " +13802138000"},
		"behind what can't be seen":  {"%E2%80%AA+6562345678%E2%80%AC", "\u202a+6562345678\u202c"},
		"another scheme":             {"note:+13802138000", "note: 13802138000"},
		"a sentence":                 {"call+13802138000", "call 13802138000"},
		"a list":                     {"+13802138000,+13802138001", " 13802138000, 13802138001"},
		"a sum of money":             {"+12,345.00", " 12,345.00"},
		"blank":                      {"+", " "},
		"behind a tel URI's number":  {"tel:13802138000+1", "tel:13802138000 1"},
		"full-width digits":          {"+%EF%BC%91%EF%BC%92345", "+１２345"},
		"a parenthesis first":        {"+(65)62345678", "+(65)62345678"},
		"an extension":               {"+16502530000x12", " 16502530000x12"},
		"a scheme without a number":  {"tel:+", "tel: "},
		"brackets without a number":  {"<+", "< "},
		"a scheme and then anything": {"sip:+alice@host", "sip: alice@host"},
	} {
		for from, in := range map[string]*call.Input{
			"query": read(t, "GET", "tel="+c.raw, "", ""),
			"form":  read(t, "POST", "", formType, "tel="+c.raw),
		} {
			want := any(c.want)
			if strings.TrimSpace(c.want) == "" {
				want = nil
			}
			if got := in.Params["tel"]; got != want {
				t.Errorf("%s, %s: %q, want %q", name, from, got, c.want)
			}
			sent := in.Query
			if from == "form" {
				sent = in.Form
			}
			if got := sent["tel"]; got != c.want {
				t.Errorf("%s, $request.%s: %q, want %q", name, from, got, c.want)
			}
		}
	}
}

// Names keep their blanks, each value of a repeated name has its own plus, and
// JSON and multipart forms, which don't encode blanks, are as they were.
func TestRawPlusElsewhere(t *testing.T) {
	if got := read(t, "GET", "+13802138000=+13802138000&t=+12345&t=%2012345", "", "").Params; !reflect.DeepEqual(got, m{
		" 13802138000": "+13802138000", "t": []any{"+12345", " 12345"},
	}) {
		t.Errorf("query: %#v", got)
	}
	if _, err := call.ReadInput(request("GET", "tel=+13802138000%00", "", ""), call.Limits{}); err == nil {
		t.Error("a NUL byte is accepted")
	}
	if got := read(t, "POST", "", jsonType, `{"tel":" 6562345678"}`).Params["tel"]; got != " 6562345678" {
		t.Errorf("JSON: %q", got)
	}
	body := "--b\r\nContent-Disposition: form-data; name=\"tel\"\r\n\r\n 6562345678\r\n--b--\r\n"
	if got := read(t, "POST", "", "multipart/form-data; boundary=b", body).Params["tel"]; got != " 6562345678" {
		t.Errorf("multipart: %q", got)
	}
}

// Whatever a value is, only the one plus of a telephone number differs from what
// net/url makes of it.
func FuzzRawPlus(f *testing.F) {
	for _, s := range []string{"+13802138000", "%2B13802138000", "sip:+6562345678@host", "%22A%22+%3C+6562345678%3E", "++1", "tel%3a+1-2(3)4.5", "a+b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		raw = strings.ReplaceAll(raw, "&", "")
		plain, err := url.QueryUnescape(raw)
		if err != nil || plain == "" {
			return
		}
		in, err := call.ReadInput(request("GET", "v="+raw, "", ""), call.Limits{})
		if err != nil {
			return
		}
		got, ok := in.Query["v"].(string)
		if !ok || len(got) != len(plain) {
			t.Fatalf("%q is %q, not %q", raw, in.Query["v"], plain)
		}
		changed := 0
		for i := range len(got) {
			if got[i] != plain[i] {
				changed++
				if got[i] != '+' || plain[i] != ' ' {
					t.Errorf("%q is %q, not %q", raw, got, plain)
				}
			}
		}
		if changed > 1 {
			t.Errorf("%q: %d signs of %q have changed", raw, changed, plain)
		}
	})
}

func read(t *testing.T, method, query, contentType, body string) *call.Input {
	t.Helper()
	in, err := call.ReadInput(request(method, query, contentType, body), call.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return in
}
