package document

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
)

const limit = 1 << 20

// Answers of Chinese, Greek and older APIs were "not one JSON document", with no
// word of their charset.
func TestUTF8(t *testing.T) {
	encoded := func(e encoding.Encoding, s string) string {
		out, err := e.NewEncoder().String(s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	utf16be := unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	utf16le := unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	const zh, el, ja, ko = `{"name":"张三"}`, `{"name":"Γιώργος"}`, `{"name":"山田"}`, `{"name":"김"}`
	for _, c := range []struct{ name, contentType, body, want string }{
		{"nothing named", "", zh, zh},
		{"no charset", "application/json", zh, zh},
		{"utf-8", "application/json; charset=utf-8", zh, zh},
		{"UTF8 in quotes", `application/json;CHARSET="UTF8"`, zh, zh},
		{"utf8mb4", "application/json; charset=utf8mb4", zh, zh},
		{"us-ascii", "application/json; charset=us-ascii", `{"a":1}`, `{"a":1}`},
		{"other parameters", "application/json; odata=verbose; charset=gbk; x=1", encoded(simplifiedchinese.GBK, zh), zh},
		{"no value", "application/json; charset=", zh, zh},
		{"empty", "application/json", "", ""},
		{"empty in GBK", "application/json; charset=GBK", "", ""},
		{"UTF-8 mark", "application/json", byteOrderMark + zh, zh},
		{"UTF-8 mark beside another charset", "application/json; charset=gbk", byteOrderMark + zh, zh},
		{"UTF-8 mark alone", "application/json", byteOrderMark, ""},
		{"UTF-16 marks", "application/json", bigEndian + encoded(utf16be, zh), zh},
		{"UTF-16 marks, little endian", "application/json; charset=utf-8", littleEndian + encoded(utf16le, zh), zh},
		{"utf-16 without a mark", "application/json; charset=utf-16", encoded(utf16le, zh), zh},
		{"utf-16 without a mark, big endian", "application/json; charset=UTF-16", encoded(utf16be, zh), zh},
		{"utf-16be", "application/json; charset=utf-16be", encoded(utf16be, zh), zh},
		{"GBK", "application/json;charset=GBK", encoded(simplifiedchinese.GBK, zh), zh},
		{"GB2312", "application/json;charset=gb2312", encoded(simplifiedchinese.GBK, zh), zh},
		{"CP936", "application/json;charset=CP936", encoded(simplifiedchinese.GBK, zh), zh},
		{"GB18030", "text/html; charset=GB18030", encoded(simplifiedchinese.GB18030, `{"name":"㐀𠀀"}`), `{"name":"㐀𠀀"}`},
		{"Big5", "application/json;charset=Big5", encoded(traditionalchinese.Big5, `{"name":"張"}`), `{"name":"張"}`},
		{"Shift_JIS", "application/json;charset=Shift_JIS", encoded(japanese.ShiftJIS, ja), ja},
		{"EUC-KR", "application/json;charset=EUC-KR", encoded(korean.EUCKR, ko), ko},
		{"windows-1253", "application/json; charset=windows-1253", encoded(charmap.Windows1253, el), el},
		{"ISO-8859-7", "application/json; charset='ISO-8859-7'", encoded(charmap.ISO8859_7, el), el},
		{"ISO-8859-1", "application/json; charset=ISO-8859-1", "{\"name\":\"Jos\xE9\"}", `{"name":"José"}`},
		{"IBM850", "application/json; charset=IBM850", encoded(charmap.CodePage850, `"é"`), `"é"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := UTF8(c.contentType, []byte(c.body), limit, nil)
			if err != nil || string(got) != c.want {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestUTF8Refuses(t *testing.T) {
	for _, c := range []struct{ name, contentType, body, want string }{
		{"GBK that nobody declares", "application/json", "{\"name\":\"\xD5\xC5\xC8\xFD\"}", "not UTF-8"},
		{"GBK declared as utf-8", "application/json;charset=utf-8", "\"\xD5\xC5\"", "not UTF-8"},
		{"after a mark", "", byteOrderMark + "\xD5\xC5", "not UTF-8"},
		{"unknown", "application/json; charset=klingon", `{}`, `charset "klingon" in Content-Type is unknown`},
		{"one that browsers refuse to decode", "application/json; charset=replacement", `{}`, `charset "replacement"`},
		{"long", "application/json; charset=" + strings.Repeat("x", 500), `{}`, `charset "` + strings.Repeat("x", 32) + `..."`},
		{"not printable", "application/json; charset=a\x01b\xFF", `{}`, `charset "a?b?"`},
		{"a hole in GBK", "application/json; charset=gbk", "\"\xD5\xFF\"", "not gbk"},
		{"a byte that windows-1253 doesn't have", "a/b; charset=windows-1253", "\xD2", "not windows-1253"},
		{"half a UTF-16 unit", "application/json", bigEndian + "\x00{\x00", "not UTF-16"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := UTF8(c.contentType, []byte(c.body), limit, nil)
			if got != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q, %v; want an error with %q", got, err, c.want)
			}
		})
	}
	if _, err := UTF8("", []byte("\xFF"), limit, nil); !errors.Is(err, ErrNotUTF8) {
		t.Errorf("%v isn't ErrNotUTF8", err)
	}
}

func TestUTF8Limit(t *testing.T) {
	for _, c := range []struct {
		contentType, body string
		limit             int
		fits              bool
	}{
		{"", "12345", 5, true},
		{"", "123456", 5, false},
		{"", byteOrderMark + "12345", 5, true},
		{"a/b; charset=gbk", "\xD5\xC5\xC8\xFD", 6, true},
		{"a/b; charset=gbk", "\xD5\xC5\xC8\xFD", 5, false},
		{"a/b; charset=windows-874", strings.Repeat("\xA1", 4096), 4096, false},
	} {
		_, err := UTF8(c.contentType, []byte(c.body), c.limit, nil)
		if c.fits && err != nil || !c.fits && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s of %d bytes within %d: %v", c.contentType, len(c.body), c.limit, err)
		}
	}
}

// Every call goes through UTF8: usual answers must cost no copy.
func TestUTF8KeepsTheUsualBody(t *testing.T) {
	body := []byte(`{"name":"张三"}`)
	for _, contentType := range []string{"", "application/json", "application/json;charset=UTF-8", `text/plain; charset="utf-8"`} {
		allocated := testing.AllocsPerRun(100, func() {
			if got, err := UTF8(contentType, body, limit, nil); err != nil || &got[0] != &body[0] {
				t.Fatalf("%s: %q, %v", contentType, got, err)
			}
		})
		if allocated != 0 {
			t.Errorf("%s: %v allocations", contentType, allocated)
		}
	}
}

func TestUTF8Reserves(t *testing.T) {
	full := errors.New("full")
	for _, c := range []struct {
		name, contentType string
		want              error
	}{
		{"UTF-8 needs no copy", "a/b; charset=utf-8", nil},
		{"GBK does", "a/b; charset=gbk", full},
	} {
		if _, err := UTF8(c.contentType, []byte("12345"), limit, func(int) error { return full }); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	for _, body := range []string{strings.Repeat("\x80", 4096), strings.Repeat("1", 4096)} {
		reserved := 0
		got, err := UTF8("a/b; charset=gbk", []byte(body), limit, func(n int) error { reserved = n; return nil })
		if err != nil || cap(got) > reserved+reserved/8 {
			t.Errorf("%d bytes are reserved for %d, %v", reserved, cap(got), err)
		}
	}
}

func FuzzUTF8(f *testing.F) {
	for _, contentType := range []string{
		"", "application/json", "application/json; charset=utf-8", "a/b; charset=gbk", "a/b; charset=GB18030", "a/b;charset=utf-16",
		"a/b; charset=shift_jis", "a/b; charset=iso-2022-jp", "a/b; charset=big5", "a/b; charset=euc-kr", "a/b; charset=windows-1253", "a/b; charset=hz-gb-2312",
	} {
		f.Add(contentType, []byte(`{"name":"José 张三"}`))
		f.Add(contentType, []byte("\xFF\xFE{\x00}\x00"))
		f.Add(contentType, []byte("\xEF\xBB\xBF{}"))
		f.Add(contentType, []byte("\x81\x30\x81\x30~{\x1B$B!!\x1B(B"))
	}
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		was := slices.Clone(body)
		got, err := UTF8(contentType, body, 3*len(body), nil)
		switch {
		case !bytes.Equal(was, body):
			t.Error("the body was changed")
		case errors.Is(err, ErrTooLarge):
			t.Errorf("%q took more than three times its size", body)
		case err == nil && !utf8.Valid(got):
			t.Errorf("%q isn't UTF-8", got)
		case err != nil && (len(err.Error()) > 200 || strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r > '~' })):
			t.Errorf("error %q", err)
		}
		if name := Name(contentType, body); name == "" {
			t.Error("no name")
		}
	})
}
