package mask_test

import (
	"encoding/hex"
	"regexp"
	"testing"

	"github.com/switchboard-ivr/switchboard/internal/mask"
)

func TestTextHides(t *testing.T) {
	for in, want := range map[string]string{
		// numbers
		"13800138000":                             "***00",
		"no customer for 13800138000 yet":         "no customer for ***00 yet",
		"+86 138-0013-8001":                       "+***01",
		"(555) 123-4567":                          "(***67",
		"1.555.123.4567":                          "***67",
		"01 23 45 67 89":                          "***89",
		"call_13800138000":                        "call_***00",
		"电话13800138000。":                          "电话***00。",
		"sip:+8613800138000@pbx.example.com":      "sip:***@***",
		"sip:+8613800138000@10.0.0.1:5060":        "sip:+***00@10.0.0.1:5060",
		`{"tel":13800138000}`:                     `{"tel":***00}`,
		"12345678 1234":                           "***34",
		"2026-11-23 13800138000":                  "2026-11-23 ***00",
		"12:42:01.123456789":                      "12:42:01.***89",
		"10.0.0.1 13800138000":                    "10.0.0.1 ***00",
		"port 8080 192.168.100.200 or 5551234567": "port 8080 192.168.100.200 or ***67",
		"1656143373.1234567":                      "***67",
		"1656143373":                              "***73",
		"1380-01-13800":                           "***00",
		"%1234567":                                "%***67",

		// addresses
		"zhang.san+x@example.com":       "***@***",
		"to zhang@example.com.":         "to ***@***.",
		"a@b@c.com":                     "***@***",
		"root@localhost":                "***@***",
		"张三@例子.中国":                      "***@***",
		"zhang@10.0.0.1.example.com":    "***@***",
		"zhang%40example.com":           "***@***",
		"<zhang@example.com>":           "<***@***>",
		"postgres://u:p@10.0.0.1/crm":   "postgres://***@10.0.0.1/crm",
		"x://u:p@10.0.0.1,x://a:b@10.1": "x://***@10.0.0.1,x://***@10.1",
		"https://u:p?w@h":               "https://u:p?***@***",

		// secrets
		`Get "https://x/y?tel=%2B8613800138000&access_token=abc": EOF`: `Get "https://x/y?tel=***00&access_token=***": EOF`,
		"token=abc":                                          "token=***",
		"sign-in failed (app_secret=s3cr3t, x)":              "sign-in failed (app_secret=*** x)",
		`{"access_token":"abc","code":"000000"}`:             `{"access_token":"***","code":"000000"}`,
		`{\"app_key\":\"abc\",\"n\":1}`:                      `{\"app_key\":\"***\",\"n\":1}`,
		`{"password" : "a\"b", "x":"y"}`:                     `{"password" : "***", "x":"y"}`,
		`{"secret":12,"pin":34}`:                             `{"secret":***,"pin":***}`,
		`{"tel":"1001","email":""}`:                          `{"tel":"***","email":""}`,
		`{"secret":"abc`:                                     `{"secret":"***`,
		`{"secret":"abc\`:                                    `{"secret":"***\`,
		`{"token":\`:                                         `{"token":\`,
		"Authorization: Bearer abcDEF123":                    "Authorization: Bearer ***",
		"Basic dXNlcjpwYXNz and Bearer a1b2c3":               "Basic *** and Bearer ***",
		"Zoho-oauthtoken 1000.aa.bb":                         "Zoho-oauthtoken ***",
		"bearer thisisaverylongwordwithoutany":               "bearer ***",
		"got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln back": "got *** back",
		"/x;token=abc/y":                                     "/x;token=***",
		"//h/cb#access_token=abc":                            "//h/cb#access_token=***",
	} {
		if got := mask.Text(in); got != want {
			t.Errorf("Text(%q)\n got %q\nwant %q", in, got, want)
		}
	}
}

func TestTextLeaves(t *testing.T) {
	for _, in := range []string{
		"",
		"handled request",
		"CA2f5d6e8b1234567812345678123456ab",
		"12345678-1234-1234-1234-123456789012",
		"4bf92f3577b34da6a3ce929d0e0e4736",
		"00-12345678901234567890123456789012-1234567890123456-01",
		"1656143373.12",
		"pbx-1656143373.12",
		"a84b4c76e66710@192.168.1.10",
		"1-4711@127.0.0.1",
		"dial tcp 192.168.100.200:8080: connect: connection refused",
		"2026-11-23T12:42:01.123Z",
		"2026-11-23 12:42:01.123456 +0800",
		"2026/11/23 12:42:01",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.6099.109 Safari/537.36",
		"took 1500000000ns",
		"token crm: unreachable",
		"bearer token refused",
		"Basic auth",
		"retry from=cache to=api",
		"50% of 20",
		"a=1&b=%20x+y",
		"?tel=&token=",
		"[::1]:8080",
		"admin@[::1]",
		"@",
		`"a":{"b":[1]}`,
		`"token":{"b":[1]}`,
		`"token":null`,
		`"token"`,
		`"a" "b" :`,
		`{"from":"  "}`,
		"eyJshort",
		"/switchboard/apis/order/test",
	} {
		if got := mask.Text(in); got != in {
			t.Errorf("Text(%q) = %q, want it unchanged", in, got)
		}
	}
}

func TestURI(t *testing.T) {
	for in, want := range map[string]string{
		"/ivr/order?tel=13800138000":                     "/ivr/order?tel=***00",
		"/ivr/order?tel=%2B86138%200013%208000&vip=1":    "/ivr/order?tel=***00&vip=1",
		"/ivr/order?q=138+0013+8000":                     "/ivr/order?q=***00",
		"/ivr/order?caller=1001&x=1001":                  "/ivr/order?caller=***&x=1001",
		"/ivr?From=%3C13800138000%3E&Called=zhang":       "/ivr?From=***00&Called=***",
		"/ivr?email=zhang%40example.com":                 "/ivr?email=***",
		"/ivr?q=zhang%40example.com":                     "/ivr?q=***@***",
		"/customers/13800138000/orders":                  "/customers/***00/orders",
		"/customers/%2B8613800138000":                    "/customers/%2B***00",
		"/customers/zhang%40example.com/x":               "/customers/***@***/x",
		"/a?access%5Ftoken=abc&sign=ff&app_key=k":        "/a?access%5Ftoken=***&sign=***&app_key=***",
		"/a?user[password]=abc":                          "/a?user[password]=***",
		"/a?next=https%3A%2F%2Fx%3Ftoken%3Dabc%26a%3Db":  "/a?next=https://x%3Ftoken%3D***%26a%3Db",
		"/a?q=%2531%2533%2538%2530%2530%2531%2533%2538":  "/a?q=***38",
		"/a?q=%252525252525253133383030313338":           "/a?q=***",
		"/a?tel=13800138000;token=x":                     "/a?tel=***00;token=***",
		"/a?tel=&token=&email=+":                         "/a?tel=&token=&email=+",
		"/a?uniqueid=1656143373.12&CallSid=CAff00ff00ff": "/a?uniqueid=1656143373.12&CallSid=CAff00ff00ff",
		"/a?q=%E4%BD%A0%zz%":                             "/a?q=%E4%BD%A0%zz%",
		"/a?tel=***00":                                   "/a?tel=***00",
		`/a?q="&tel=1001`:                                `/a?q="&tel=***`,
		"*":                                              "*",
		"":                                               "",
	} {
		if got := mask.URI(in); got != want {
			t.Errorf("URI(%q)\n got %q\nwant %q", in, got, want)
		}
	}
}

func TestValue(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"tel", "13800138000", "***00"},
		{"tel", "1001", "***"},
		{"tel", "***00", "***00"},
		{"X-Api-Key", "abc", "***"},
		{"sign", " ", " "},
		{"nick", "Zhang 13800138000", "Zhang ***00"},
		{"nick", "Zhang", "Zhang"},
	} {
		if got := mask.Value(c.name, c.in); got != c.want {
			t.Errorf("Value(%q, %q) = %q, want %q", c.name, c.in, got, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{
		"access_token", "refreshToken", "X-Access-Token", "token", "sign", "signature", "app_key", "X-API-Key", "key",
		"client_secret", "PASSWORD", "user[passwd]", "Sec-WebSocket-Key", "Proxy-Authorization",
	} {
		if !mask.Secret(name) {
			t.Errorf("Secret(%q) = false", name)
		}
	}
	for _, name := range []string{"tel", "Phone", "phoneNo", "mobile_phone", "From", "caller-id", "ivr_customer_number", "email"} {
		if !mask.Personal(name) {
			t.Errorf("Personal(%q) = false", name)
		}
	}
	for _, name := range []string{"", "id", "nick", "uniqueid", "CallSid", "call_id", "hotel", "telegramId", "timestamp", "Content-Length"} {
		if mask.Secret(name) || mask.Personal(name) {
			t.Errorf("%q counts as secret or personal", name)
		}
	}
}

var (
	email   = regexp.MustCompile(`[A-Za-z0-9._+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}`)
	number  = regexp.MustCompile(`[0-9]{7,}`)
	escapes = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	allowed = regexp.MustCompile(`[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}` +
		`|[0-9]{2}-[0-9a-fA-F]{32}-[0-9a-fA-F]{16}-[0-9a-fA-F]{2}|(1[5-9]|2[01])[0-9]{8}\.[0-9]{1,6}`)
)

// leak returns a telephone number or an address that is still in s.
func leak(s string) string {
	if m := email.FindString(s); m != "" {
		return m
	}
	s = allowed.ReplaceAllString(s, "-")
	for _, m := range number.FindAllStringIndex(s, -1) {
		before, after := m[0] == 0 || !letter(s[m[0]-1]), m[1] == len(s) || !letter(s[m[1]])
		if before && after {
			return s[m[0]:m[1]]
		}
	}
	return ""
}

func letter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// decoded is an independent reading of percent-encoding.
func decoded(s string) string {
	return escapes.ReplaceAllStringFunc(s, func(e string) string {
		b, _ := hex.DecodeString(e[1:])
		return string(b)
	})
}

// FuzzMask: whatever comes in, no number that stands alone and no address is
// left, in either reading of the text.
func FuzzMask(f *testing.F) {
	for _, s := range []string{
		"/ivr/order?tel=%2B8613800138000&access_token=abc#x",
		`Get "https://u:p@x/y?tel=13800138000": dial tcp 10.0.0.1:80`,
		`{"tel":"138-0013-8000","a":{"email":"z@example.com"}}`,
		"1656143373.12 12345678-1234-1234-1234-123456789012 2026-11-23T12:00:00Z",
		"Bearer eyJhbGciOiJIUzI1NiJ9.e30.sig %2540 a%40b.com +86 (138) 0013.8000",
		"%31%33%38%30%30%31%33%38 138+0013+8000;tel=1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		for name, fn := range map[string]func(string) string{"Text": mask.Text, "URI": mask.URI} {
			out := fn(in)
			if l := leak(out); l != "" {
				t.Errorf("%s(%q) = %q leaves %q", name, in, out, l)
			}
			if l := leak(decoded(out)); l != "" {
				t.Errorf("%s(%q) = %q leaves %q when decoded", name, in, out, l)
			}
		}
	})
}

func BenchmarkTextPlain(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		mask.Text("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36")
	}
}

func BenchmarkURI(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		mask.URI("/ivr/order?tel=%2B8613800138000&vip=1&access_token=abcdef&uniqueid=1656143373.12")
	}
}
