package mask_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/switchboard-ivr/switchboard/internal/mask"
)

// A token was shown in clear where an API echoed it escaped in a body that isn't read.
func TestEscapedSecrets(t *testing.T) {
	const token = "Zm9v+YmFySECRETA/SECRETTOKEN+abcSECRETB/defSECRETC=="
	replaced := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(token) }
	every := func(format string) string {
		var b strings.Builder
		for _, c := range []byte(token) {
			fmt.Fprintf(&b, format, c)
		}
		return b.String()
	}
	for name, tc := range map[string]struct{ in, want string }{
		"HTML of Go":            {"<p>bad token " + replaced("+", "&#43;") + "</p>", "<p>bad token ***</p>"},
		"HTML of mustache":      {"<p>bad " + replaced("/", "&#x2F;", "=", "&#x3D;") + "</p>", "<p>bad ***</p>"},
		"HTML of named":         {replaced("/", "&sol;", "+", "&plus;", "=", "&equals;") + "!", "***!"},
		"HTML without a sign":   {replaced("+", "&#43"), "***"},
		"HTML in a comment":     {"<!-- " + replaced("+", "&#43;") + " -->", "<!-- *** -->"},
		"JSON of PHP":           {`{"t":"` + replaced("/", `\/`) + `","q":`, `{"t":"***","q":`},
		"JSON for HTML":         {`{"t":"` + replaced("+", `\u002b`, "=", `\u003D`) + `","q":`, `{"t":"***","q":`},
		"JavaScript":            {"var t='" + replaced("+", `\x2b`) + "'", "var t='***'"},
		"JSON twice":            {`{"e":"{\"t\":\"` + replaced("/", `\\/`) + `\"}`, `{"e":"{\"t\":\"***\"}`},
		"HTML of a JSON":        {"<pre>{&quot;t&quot;:&quot;" + replaced("/", `\/`, "+", "&#43;") + "&quot;</pre>", "<pre>{&quot;t&quot;:&quot;***&quot;</pre>"},
		"percent":               {"bad token " + url.QueryEscape(token), "bad token ***"},
		"percent of everything": {"a=" + every("%%%02x") + "&z=%zz", "a=***&z=%zz"},
		"percent twice":         {"bad token " + url.QueryEscape(url.QueryEscape(token)) + " so", "bad token *** so"},
		"references":            {"<t>" + every("&#%d;") + "</x>", "<t>***</x>"},
		"hex references":        {"<t>" + every("&#x%X;") + "</x>", "<t>***</x>"},
		"CDATA":                 {"<t>" + token[:10] + "<![CDATA[" + token[10:20] + "]]>" + token[20:] + "</x>", "<t>***</x>"},
		"a comment":             {"<t>" + token[:10] + "<!-- x -->" + replaced("+", "&#43;")[14:] + "</x>", "<t>***</x>"},
		"base64":                {"bad header " + base64.StdEncoding.EncodeToString([]byte("Bearer "+token)) + "!", "bad header ***=!"},
		"base64 for URLs":       {"x=1 " + base64.RawURLEncoding.EncodeToString([]byte("u:"+token)) + "!", "x=1 ***!"},
		"base64 in lines":       {"> " + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 40)))[:50] + "\r\n" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 40) + token))[50:] + " <", "> ***= <"},
		"base64 in JSON":        {`{"h":"` + strings.ReplaceAll(base64.StdEncoding.EncodeToString([]byte("??>"+token)), "/", `\/`) + `",`, `{"h":"***==",`},
		"cut off":               {`{"t":"` + token[:40], `{"t":"***`},
		"cut off, eight bytes":  {"bad " + token[:8], "bad ***"},
		"cut off in an escape":  {"bad " + replaced("/", "&#x2F;")[:18], "bad ***"},
		"cut off in base64":     {"bad " + base64.StdEncoding.EncodeToString([]byte("Bearer " + token))[:40], "bad ***"},
		"cut off, escaped":      {`{"t":"` + replaced("/", `\/`)[:30], `{"t":"***`},
		"as it is":              {"<" + token + ">", "<***>"},
		"a number":              {`<r tel="138&#48;0138000"><x`, `<r tel="***00"><x`},
		"a number in CDATA":     {`<p>13800<![CDATA[138000]]></p><x`, `<p>***00]]></p><x`},
		"a number behind \\n":   {`{"a":"\n13800138000`, `{"a":"\n***00`},
		"an address":            {"to ann&#64;example.com,", "to ***@***,"},
	} {
		if got := mask.Body(tc.in, []string{token}); got != tc.want {
			t.Errorf("%s: Body(%q)\n got %q\nwant %q", name, tc.in, got, tc.want)
		}
	}
}

// What looks like an escape and isn't one of a secret stays.
func TestEscapesStay(t *testing.T) {
	secrets := []string{"Zm9v+YmFySECRETA/SECRETTOKEN", "pass word", "%41%42%43"}
	for _, in := range []string{
		"<html><head><title>502 Bad Gateway</title></head><body>a &amp; b&nbsp;&#8226; 50% of 20 &lt;p&gt;</body></html>",
		`{"a":"\u4e2d\/\n\"x\\","when":"2026-11-23T12:42:01Z`,
		"a=1&b=%20x+y&c=%E4%BD%A0%zz%",
		"<!-- <!-- ]]> <![CDATA[ & \\ %",
		"/usr/share/nginx/html/Zm9v YmFy SECRETA TOKEN",
		"cut off within Zm9v+Ym",
		"12345678-1234-1234-1234-123456789012 &amp; 1656143373.12",
		"a text of several words that is as long as a run of base64 has to be",
	} {
		if got := mask.Body(in, secrets); got != in {
			t.Errorf("Body(%q) = %q", in, got)
		}
	}
	if got := mask.Hide("", "ends with Zm9v+YmFy", secrets); got != "ends with Zm9v+YmFy" {
		t.Errorf("a text that isn't cut off: %q", got)
	}
}

func TestEscapedSecretsInDocuments(t *testing.T) {
	doc := map[string]any{"page": "<p>a&#43;kokon+12</p>", "a%2Bkokon%2B12": "x", "raw": "tel 138&#48;0138000"}
	want := map[string]any{"page": "<p>***</p>", "***": "x", "raw": "tel ***00"}
	if got := mask.Document(doc, []string{"a+kokon+12"}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

// A long body is looked at as far as it can be shown.
func TestLongBody(t *testing.T) {
	const token = "SECRETTOKENabcdef0123456789"
	long := `"ticket":"` + strings.Repeat("x", 16<<10-30) + `" ` + token + strings.Repeat(" more", 100_000)
	if got := mask.Body(long, []string{token}); strings.Contains(got, "SECRET") || !strings.HasSuffix(got, "…") || len(got) > 5000 {
		t.Errorf("%d bytes: %s", len(got), got[:min(len(got), 200)])
	}
	if got := mask.Body(strings.Repeat("é ", 50_000), []string{token}); !strings.HasPrefix(got, "é é") || len(got) > 5000 || !utf8.ValidString(got) {
		t.Errorf("%d bytes", len(got))
	}
}

// escapings write a text in other ways, and read what was written.
var escapings = []struct {
	name        string
	write, read func(string) string
}{
	{"raw", func(s string) string { return s }, func(s string) string { return s }},
	{"HTML", html.EscapeString, html.UnescapeString},
	{"references", each("&#%d;"), html.UnescapeString},
	{"percent", url.QueryEscape, decoded},
	{"each %", each("%%%02X"), decoded},
	{"JSON", func(s string) string {
		text, _ := json.Marshal(s)
		return strings.ReplaceAll(string(text[1:len(text)-1]), "/", `\/`)
	}, unquoted},
	{"base64", func(s string) string { return base64.StdEncoding.EncodeToString([]byte("Bearer " + s)) }, unbase64},
	{"base64 for URLs", func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte("u:" + s)) }, unbase64},
	{"a comment", func(s string) string { return s[:len(s)/2] + "<!-- x -->" + s[len(s)/2:] }, func(s string) string { return strings.ReplaceAll(s, "<!-- x -->", "") }},
	{"CDATA", func(s string) string { return "<![CDATA[" + s[:len(s)/2] + "]]>" + s[len(s)/2:] }, func(s string) string { return strings.ReplaceAll(s, "]]>", "") }},
}

func each(format string) func(string) string {
	return func(s string) string {
		var b strings.Builder
		for _, c := range []byte(s) {
			fmt.Fprintf(&b, format, c)
		}
		return b.String()
	}
}

func unquoted(s string) string {
	var out string
	if json.Unmarshal([]byte(`"`+s+`"`), &out) != nil {
		return ""
	}
	return out
}

func unbase64(s string) string {
	var all string
	for word := range strings.FieldsSeq(s) {
		word = strings.NewReplacer("-", "+", "_", "/", "=", "").Replace(word)
		text, _ := base64.RawStdEncoding.DecodeString(word)
		all += string(text)
	}
	return all
}

// FuzzEscapedSecret: however a secret is escaped in a body, it is not shown, neither as
// it is nor escaped.
func FuzzEscapedSecret(f *testing.F) {
	f.Add("Zm9v+YmFySECRETA/SECRETTOKEN==", "<p>bad token ", "</p>")
	f.Add(`pa"ss <w>or&d\/`, `{"a":"`, `"}`)
	f.Add("%41&#66;\\u0043 +", "a=", "&b=1")
	f.Add("13800138000", "", "")
	f.Fuzz(func(t *testing.T, secret, before, after string) {
		if len(secret) < 8 || len(secret) > 500 || len(before) > 100 || strings.TrimSpace(secret) != secret || strings.Contains(before+after, secret) {
			return
		}
		for _, c := range []byte(secret) {
			if c < ' ' || c > '~' {
				return
			}
		}
		// what stands beside it must not change how it is read
		before, after = strings.TrimRight(before, `&\%<`)+" ", " "+after
		if got := mask.Body(before+secret[:len(secret)-1], []string{secret}); len(secret) > 8 && !strings.Contains(before, secret[:8]) && strings.Contains(got, secret[:8]) {
			t.Errorf("Body(%q) = %q shows the beginning of %q", before+secret[:len(secret)-1], got, secret)
		}
		for _, as := range escapings {
			written := as.write(secret)
			got := mask.Body(before+written+after, []string{secret})
			if strings.Contains(got, written) || strings.Contains(got, secret) {
				t.Errorf("%s: Body(%q) = %q shows %q", as.name, before+written+after, got, secret)
			}
			if strings.Contains(as.read(got), secret) && !strings.Contains(as.read(before+after), secret) {
				t.Errorf("%s: Body(%q) = %q shows %q when it is read", as.name, before+written+after, got, secret)
			}
		}
	})
}

func BenchmarkBody(b *testing.B) {
	text := strings.Repeat(`<p>a &amp; b\/c %20 2026-11-23 <b>Internal server error</b></p>`, 1000)
	secrets := []string{strings.Repeat("s3cr3t+", 10), "another/secret=="}
	for b.Loop() {
		mask.Body(text, secrets)
	}
}
