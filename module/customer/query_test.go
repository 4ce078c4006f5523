package customer_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/switchboard-ivr/switchboard/internal/phone"
	"github.com/switchboard-ivr/switchboard/module/customer"
)

var china = phone.Region{Country: "CN", AreaCode: "010"}

func TestNewQuery(t *testing.T) {
	for name, test := range map[string]struct {
		params map[string]any
		keys   string // "param=key", joined; or
		err    string
		nobody bool
	}{
		"nothing":                  {params: nil, nobody: true},
		"blanks":                   {params: map[string]any{"id": " ", "tel": "", "email": nil}, nobody: true},
		"others":                   {params: map[string]any{"name": "Ann"}, nobody: true},
		"an id as it is":           {params: map[string]any{"id": " Ab-1 "}, keys: "id=Ab-1"},
		"an id as a number":        {params: map[string]any{"id": json.Number("9007199254740993")}, keys: "id=9007199254740993"},
		"a number":                 {params: map[string]any{"tel": "+86 138-0013-8000"}, keys: "tel=+8613800138000"},
		"with a trunk prefix":      {params: map[string]any{"tel": "013800138000"}, keys: "tel=+8613800138000"},
		"as a number of JSON":      {params: map[string]any{"tel": json.Number("13800138000")}, keys: "tel=+8613800138000"},
		"as an int":                {params: map[string]any{"tel": 13800138000}, keys: "tel=+8613800138000"},
		"a SIP URI":                {params: map[string]any{"tel": "sip:+8613800138000@host;user=phone"}, keys: "tel=+8613800138000"},
		"a display name":           {params: map[string]any{"tel": `"Zhang" <sip:13800138000@host>`}, keys: "tel=+8613800138000"},
		"a local number":           {params: map[string]any{"tel": "62785001"}, keys: "tel=+861062785001"},
		"an extension":             {params: map[string]any{"tel": "8001"}, keys: "tel=", nobody: true},
		"anonymous":                {params: map[string]any{"tel": "anonymous"}, keys: "tel=", nobody: true},
		"unknown":                  {params: map[string]any{"tel": "unknown"}, keys: "tel=", nobody: true},
		"restricted":               {params: map[string]any{"tel": "Restricted"}, keys: "tel=", nobody: true},
		"withheld, as Twilio":      {params: map[string]any{"tel": "+266696687"}, keys: "tel=", nobody: true},
		"an email":                 {params: map[string]any{"email": " Ann@Example.COM"}, keys: "email=ann@example.com"},
		"no email":                 {params: map[string]any{"email": "ann"}, keys: "email=", nobody: true},
		"no email either":          {params: map[string]any{"email": "a b@example.com"}, keys: "email=", nobody: true},
		"an account":               {params: map[string]any{"thirdAccountId": "oX_1"}, keys: "thirdAccountId=oX_1"},
		"several":                  {params: map[string]any{"tel": "13800138000", "id": "1"}, keys: "id=1 tel=+8613800138000"},
		"several, one nobody's":    {params: map[string]any{"tel": "8001", "id": "1"}, keys: "id=1 tel=", nobody: true},
		"255 characters":           {params: map[string]any{"id": strings.Repeat("x", 255)}, keys: "id=" + strings.Repeat("x", 255)},
		"255 signs of three bytes": {params: map[string]any{"id": strings.Repeat("张", 255)}, keys: "id=" + strings.Repeat("张", 255)},
		"256 bytes":                {params: map[string]any{"id": strings.Repeat("x", 256)}, err: "bad parameter: id is longer than 255 characters"},
		"a list":                   {params: map[string]any{"tel": []any{"1", "2"}}, err: "bad parameter: tel is not one text"},
		"an object":                {params: map[string]any{"tel": map[string]any{}}, err: "bad parameter: tel is not one text"},
		"a boolean":                {params: map[string]any{"email": true}, err: "bad parameter: email is not one text"},
		"a fraction":               {params: map[string]any{"id": json.Number("1.5")}, err: "bad parameter: id is not a whole number"},
		"an exponent":              {params: map[string]any{"id": json.Number("1e3")}, err: "bad parameter: id is not a whole number"},
		"not UTF-8":                {params: map[string]any{"id": "\xff"}, err: "bad parameter: id is not UTF-8 text"},
		"a NUL byte":               {params: map[string]any{"email": "a\x00@b"}, err: "bad parameter: email is not UTF-8 text"},
		"a wildcard is a letter":   {params: map[string]any{"id": "%"}, keys: "id=%"},
	} {
		t.Run(name, func(t *testing.T) {
			q, err := customer.NewQuery(test.params, china)
			if test.err != "" {
				if err == nil || err.Error() != test.err || !errors.Is(err, customer.ErrParam) {
					t.Errorf("got %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var keys []string
			for _, c := range q {
				keys = append(keys, string(c.Param)+"="+c.Key)
			}
			if got := strings.Join(keys, " "); got != test.keys || q.Nobody() != test.nobody {
				t.Errorf("got %s, nobody %v", got, q.Nobody())
			}
		})
	}
}

func TestWithoutARegion(t *testing.T) {
	q, err := customer.NewQuery(map[string]any{"tel": "13800138000"}, phone.Region{})
	if err != nil || !q.Nobody() {
		t.Errorf("a national number without a region: %v %v", q, err)
	}
}

// Whatever is asked, no error repeats it, and keys are bounded, valid text.
func FuzzNewQuery(f *testing.F) {
	for _, s := range []string{"13800138000", "sip:+86@", `"x" <tel:+1;phone-context=+86>`, "a@b", "\x00", "%ff", strings.Repeat("1", 300)} {
		f.Add(s, s, s, s)
	}
	f.Fuzz(func(t *testing.T, id, tel, email, account string) {
		q, err := customer.NewQuery(map[string]any{"id": id, "tel": tel, "email": email, "thirdAccountId": account}, china)
		if err != nil {
			if !errors.Is(err, customer.ErrParam) || len(err.Error()) > 80 {
				t.Errorf("%v", err)
			}
			return
		}
		for _, c := range q {
			if c.Raw == "" || utf8.RuneCountInString(c.Key) > customer.MaxKey+8 || !utf8.ValidString(c.Key) {
				t.Errorf("%s: %q from %q", c.Param, c.Key, c.Raw)
			}
			if c.Param == customer.ByTel && c.Key != "" && (c.Key[0] != '+' || strings.Trim(c.Key[1:], "0123456789") != "") {
				t.Errorf("%q is no E.164", c.Key)
			}
		}
	})
}
