package document

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/internal/xmlval"
)

const (
	formType  = "application/x-www-form-urlencoded"
	errorPage = `<!DOCTYPE html><html><body>502 Bad Gateway</body></html>`
	xhtml     = `<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd"><html xmlns="http://www.w3.org/1999/xhtml"></html>`
)

func TestRead(t *testing.T) {
	t.Parallel()
	object := func(members ...any) any {
		m := map[string]any{}
		for i := 0; i < len(members); i += 2 {
			m[members[i].(string)] = members[i+1]
		}
		return m
	}
	one := object("a", "1")
	for _, tc := range []struct {
		name, as, contentType, text string
		want                        any
		err                         error
	}{
		{"JSON", "", "application/json", `{"a":"1"}`, one, nil},
		{"JSON without a type", "", "", `{"a":"1"}`, one, nil},
		{"JSON called text", "", "text/html", `{"a":"1"}`, one, nil},
		{"JSON called XML", "", "text/xml", ` {"a":"1"}`, one, nil},
		{"JSON called a form", "", formType, `{"a":"1"}`, one, nil},
		{"broken JSON called a form", "", formType, `{"a":`, nil, jsonval.ErrSyntax},
		{"XML", "", "text/xml", `<a>1</a>`, one, nil},
		{"XML of an application", "", "Application/XML; charset=utf-8", "\n<a>1</a>", one, nil},
		{"XML of a kind", "", "application/soap+XML;action=x", `<a>1</a>`, one, nil},
		{"a part of a page called XML", "", "text/xml", `<center><h1>502 Bad Gateway</h1></center>`, nil, jsonval.ErrSyntax},
		{"a body called XML", "", "text/xml", `<body>Service unavailable</body>`, nil, jsonval.ErrSyntax},
		{"a head called XML", "", "text/xml", `<?xml version="1.0"?><!-- x --><HEAD><title>502</title></HEAD>`, nil, jsonval.ErrSyntax},
		{"a SOAP body", "", "text/xml", `<s:Body xmlns:s="x">1</s:Body>`, object("Body", "1"), nil},
		{"a page within XML", "", "text/xml", `<a><![CDATA[<html></html>]]></a>`, object("a", "<html></html>"), nil},
		{"XML that nobody announces", "", "text/plain", `<a>1</a>`, nil, jsonval.ErrSyntax},
		{"an image of XML", "", "image/svg+xml", `<svg/>`, nil, jsonval.ErrSyntax},
		{"broken XML", "", "text/xml", `<a>`, nil, xmlval.ErrCutOff},
		{"a page called XML", "", "text/xml", errorPage, nil, jsonval.ErrSyntax},
		{"XHTML", "", "application/xhtml+xml", xhtml, nil, jsonval.ErrSyntax},
		{"XHTML without a document type", "", "text/xml", `<HTML><body/></HTML>`, nil, jsonval.ErrSyntax},
		{"text called XML", "", "text/xml", `OK`, nil, jsonval.ErrSyntax},
		{"a form", "", formType, "a=1\n", one, nil},
		{"a form that nobody announces", "", "text/plain", `a=1`, nil, jsonval.ErrSyntax},
		{"nothing", "", formType, " \n", nil, jsonval.ErrEmpty},

		{"json", "json", "text/xml", `{"a":"1"}`, one, nil},
		{"json of XML", "json", "text/xml", `<a>1</a>`, nil, jsonval.ErrSyntax},
		{"xml", "xml", "text/plain", `<a>1</a>`, one, nil},
		{"xml of JSON", "xml", "text/xml", `{"a":"1"}`, nil, jsonval.ErrSyntax},
		{"xml of a page", "xml", "text/html", errorPage, nil, jsonval.ErrSyntax},
		{"xml of a body", "xml", "text/html", `<body><id>1</id></body>`, object("body", object("id", "1")), nil},
		{"xml of the body of a page", "xml", "text/html", `<body bgcolor="white"> <center><h1>502</h1></center></body>`, nil, jsonval.ErrSyntax},
		{"xml of a part of a page", "xml", "text/xml", `<center><h1>502 Bad Gateway</h1></center>`, nil, jsonval.ErrSyntax},
		{"xml of another document type", "xml", "", `<!DOCTYPE a><a/>`, nil, xmlval.ErrDTD},
		{"xml of nothing", "xml", "", "", nil, jsonval.ErrEmpty},
		{"form", "form", "text/html", "a=1&b=%E5%BC%A0+%26&b=&b=3&c&&d=x;y=z", object("a", "1", "b", []any{"张 &", "", "3"}, "c", "", "d", "x;y=z"), nil},
		{"a broken form", "form", "", "a=%zz", nil, ErrForm},
		{"a form in another charset", "form", "", "a=%D5%C5", nil, ErrForm},
		{"form of JSON", "form", "", `{"a":"1"}`, nil, jsonval.ErrSyntax},
		{"an error called a form", "", formType, "Internal server error", nil, jsonval.ErrSyntax},
		{"an error with a sign called a form", "", formType, "Internal server error: code=500", nil, jsonval.ErrSyntax},
		{"form of one word", "form", "", "OK", nil, jsonval.ErrSyntax},
		{"form without a name", "form", "", "=OK", nil, jsonval.ErrSyntax},
		{"form of an error and a page", "form", "", `Error <html lang="en"></html>`, nil, jsonval.ErrSyntax},
		{"form of a page behind a pair", "form", "", `a=1 <html lang="en"></html>`, nil, jsonval.ErrSyntax},
		{"form of a page", "form", "", errorPage, nil, jsonval.ErrSyntax},
		{"text", "text", "application/json", " {\"a\":1}\r\n", `{"a":1}`, nil},
		{"text of tags", "text", "", `<ok/>`, `<ok/>`, nil},
		{"text of a page", "text", "text/plain", errorPage, nil, jsonval.ErrSyntax},
		{"text of a heading", "text", "text/html", "<h1>Service unavailable</h1>", nil, jsonval.ErrSyntax},
		{"text of a body", "text", "text/plain", "\n<BODY>Service unavailable</BODY>", nil, jsonval.ErrSyntax},
		{"text of a part of a page", "text", "", "<center><h1>502 Bad Gateway</h1></center>", nil, jsonval.ErrSyntax},
		{"text of an error and a page", "text", "", "Error <html><body>502</body></html>", nil, jsonval.ErrSyntax},
		{"text called HTML", "text", "text/html", "OK, 1 < 2", "OK, 1 < 2", nil},
		{"text of nothing", "text", "", " ", nil, jsonval.ErrEmpty},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			reader := Reader{As: tc.as}
			v, err := reader.Read(tc.contentType, []byte(tc.text), jsonval.Limits{})
			if !reflect.DeepEqual(v, tc.want) || !errors.Is(err, tc.err) {
				t.Errorf("got %#v, %v; want %#v, %v", v, err, tc.want, tc.err)
			}
		})
	}
}

func TestFormLimits(t *testing.T) {
	t.Parallel()
	reader := Reader{As: "form"}
	if _, err := reader.Read("", []byte("a=1&b&c"), jsonval.Limits{Nodes: 2}); !errors.Is(err, jsonval.ErrTooLarge) {
		t.Errorf("three pairs where two are allowed: %v", err)
	}
	if _, err := reader.Read("", []byte("a=1"+strings.Repeat("&", 100)), jsonval.Limits{}); err != nil {
		t.Error(err)
	}
}

// An XML declaration names the charset where nothing else does.
func TestDeclaredEncoding(t *testing.T) {
	t.Parallel()
	gbk := func(s string) string {
		out, err := simplifiedchinese.GBK.NewEncoder().String(s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, tc := range []struct{ name, contentType, body, want, err string }{
		{"GBK", "text/xml", gbk(`<?xml version="1.0" encoding="GBK"?><a>张</a>`), `<?xml version="1.0" encoding="GBK"?><a>张</a>`, ""},
		{"in single quotes, with blanks", "text/xml", gbk("<?xml version = '1.0'\nencoding = 'gb2312' standalone='yes'?><a>张</a>"), "<?xml version = '1.0'\nencoding = 'gb2312' standalone='yes'?><a>张</a>", ""},
		{"Content-Type before it", "text/xml; charset=gbk", gbk(`<?xml version="1.0" encoding="UTF-8"?><a>张</a>`), `<?xml version="1.0" encoding="UTF-8"?><a>张</a>`, ""},
		{"UTF-16 in UTF-8", "text/xml", `<?xml version="1.0" encoding="utf-16"?><a>张</a>`, `<?xml version="1.0" encoding="utf-16"?><a>张</a>`, ""},
		{"not what it says", "text/xml", "<?xml version='1.0' encoding='GBK'?><a>\xff</a>", "", "not GBK, which its XML declaration says it is"},
		{"unknown", "text/xml", `<?xml version="1.0" encoding="klingon"?><a/>`, "", `charset "klingon" in its XML declaration is unknown`},
		{"in an attribute of the root", "text/xml", `<a encoding="klingon"/>`, `<a encoding="klingon"/>`, ""},
		{"in an instruction", "text/xml", `<?xml-x  encoding="klingon"?><a/>`, `<?xml-x  encoding="klingon"?><a/>`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := UTF8(tc.contentType, []byte(tc.body), limit, nil)
			if string(got) != tc.want || err == nil != (tc.err == "") || err != nil && err.Error() != tc.err {
				t.Errorf("got %q, %v; want %q, %s", got, err, tc.want, tc.err)
			}
		})
	}
}

// FuzzRead reads anything as anything: it doesn't panic, and every error is one that
// is documented.
func FuzzRead(f *testing.F) {
	f.Add("form", "", "a=1&a=2&b=%E5%BC%A0+x&&=")
	f.Add("xml", "text/xml", "<a b='1'>x</a>")
	f.Add("text", "text/plain", errorPage)
	f.Add("", formType, `{"a":1}`)
	f.Add("", "application/xhtml+xml", xhtml)
	f.Fuzz(func(t *testing.T, as, contentType, body string) {
		text, err := UTF8(contentType, []byte(body), limit, nil)
		if err != nil {
			return
		}
		reader := Reader{As: as}
		v, err := reader.Read(contentType, text, jsonval.Limits{})
		if err == nil {
			if _, err := jsonval.Encode(nil, v, jsonval.Limits{Bytes: 8 << 20}); err != nil {
				t.Fatal(err)
			}
			return
		}
		_, broken := errors.AsType[xmlval.Error](err)
		if !broken && !errors.Is(err, ErrForm) && !errors.Is(err, jsonval.ErrSyntax) && !errors.Is(err, jsonval.ErrEmpty) && !errors.Is(err, jsonval.ErrTooLarge) {
			t.Fatal(err)
		}
		if v != nil {
			t.Fatalf("%v beside an error", v)
		}
	})
}

// A page is recognized where the programs look at nothing in it, too.
func TestPageBesideThePart(t *testing.T) {
	t.Parallel()
	part := new(jsonval.Part)
	part.Member("Envelope").Member("Body")
	reader := Reader{As: XML, Part: part}
	if v, err := reader.Read("", []byte(`<HTML><x/></HTML>`), jsonval.Limits{}); !errors.Is(err, jsonval.ErrSyntax) {
		t.Errorf("got %v, %v", v, err)
	}
}
