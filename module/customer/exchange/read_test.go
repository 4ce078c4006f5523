package exchange

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/module/customer"
)

// rowsOf reads a text whole: "line:id" of customers, "line!reason" of others.
func rowsOf(text string, format Format) (got []string, err error) {
	rows, _, _, err := open(strings.NewReader(text), format)
	if err != nil {
		return nil, err
	}
	for {
		r, err := rows.next()
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		if r.reason != nil {
			got = append(got, string(rune('0'+r.line))+"!"+r.reason.Error())
		} else {
			got = append(got, string(rune('0'+r.line))+":"+r.record.ID+"|"+r.record.Tel+"|"+r.record.Nickname+"|"+r.record.Custom["x"])
		}
	}
}

func TestReading(t *testing.T) {
	long := strings.Repeat("n", MaxRow)
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"plain":               {"id,tel,nick\nC1,138,Ann\n", []string{"2:C1|138|Ann|"}},
		"no end of line":      {"id,tel,nick\nC1,138,Ann", []string{"2:C1|138|Ann|"}},
		"crlf":                {"id,tel,nick\r\nC1,138,Ann\r\n\r\nC2,,\r\n", []string{"2:C1|138|Ann|", "4:C2|||"}},
		"byte order mark":     {"\ufeffid,tel,nick\nC1,138,Ann\n", []string{"2:C1|138|Ann|"}},
		"quotes":              {"\"id\",tel,nick\n\"C1\",\"1,3\",\"say \"\"hi\"\"\"\n", []string{`2:C1|1,3|say "hi"|`}},
		"a cell of two lines": {"id,nick\nC1,\"a\r\nb\"\nC2,c\n", []string{"2:C1||a\r\nb|", "4:C2||c|"}},
		"custom":              {"x,id\n1,C1\n,C2\n", []string{"2:C1|||1", "3:C2|||"}},
		"ours are passed":     {"_line,_reason,id,_row\n7,x,C1,\n", []string{"2:C1|||"}},
		"spreadsheet":         {"id,tel\nC1,'+86138\n", []string{"2:C1|+86138||"}},
		"blanks":              {" id , tel \n C1 , 138 \n", []string{"2:C1|138||"}},
		"no id":               {"id,tel\n,138\nC2,1\n", []string{"2!the id is missing", "3:C2|1||"}},
		"cells":               {"id,tel\nC1\nC2,1,2\nC3,3\n", []string{"2!the row has 1 cells, the header has 2", "3!the row has 3 cells, the header has 2", "4:C3|3||"}},
		"a bare quote":        {"id,tel\nC1,1\"2\nC2,3\n", []string{"2!" + errBareQuote.Error(), "3:C2|3||"}},
		"behind a quote":      {"id,tel\nC1,\"1\"2\nC2,3\n", []string{"2!" + errAfter.Error(), "3:C2|3||"}},
		"an open quote":       {"id,tel\nC1,1\nC2,\"3\nC3,4\n", []string{"2:C1|1||", "3!" + errOpen.Error()}},
		"too long":            {"id,nick\nC1," + long + "\nC2,a\n", []string{"2!" + errLong.Error(), "3:C2||a|"}},
		"too long a value":    {"id,nick\nC1," + long[:5000] + "\nC2,a\n", []string{"2!nick is too long", "3:C2||a|"}},
		"nul":                 {"id,nick\nC1,a\x00\n", []string{"2!nick holds a NUL byte"}},
		"not utf-8":           {"id,nick\nC1,\xd5\xc5\xc8\xfd\n", []string{"2!nick is not UTF-8"}},
		"only a header":       {"id,nick\n", nil},

		// As spreadsheets write them.
		"blank rows":             {"id,tel,nick\nC1,1,a\n,,\n\"\", ,\t\nC2,2,b\n,,,,\n,\n", []string{"2:C1|1|a|", "5:C2|2|b|"}},
		"blank rows before":      {",,\n\n,\nid,tel\nC1,1\n", []string{"5:C1|1||"}},
		"blank header cells":     {"id,tel,,\nC1,1,,\nC2,2\nC3,3,,,\nC4,4,x,\n", []string{"2:C1|1||", "3:C2|2||", "4:C3|3||", "5!the row has 4 cells, the header has 2"}},
		"blank cells behind":     {"id,tel\nC1,1,,\n", []string{"2:C1|1||"}},
		"a text as a formula":    {"id,tel,nick,x\n=\"0C1\",=\"13800138000\",\"=\"\"007\"\"\",\"'=\"\"=1\"\"\"\n", []string{`2:0C1|13800138000|007|="=1"`}},
		"a formula of more":      {"id,tel\nC1,=\"1\"&\"2\"\nC2,=A1\n", []string{"2!" + errBareQuote.Error(), "3:C2|=A1||"}},
		"a number of a sheet":    {"id,tel,x\nC1,13800138000.0,1.0\nC2,'13800138000,'1\n", []string{"2:C1|13800138000||1.0", "3:C2|13800138000||'1"}},
		"a number that has lost": {"id,tel\nC1,1.38001E+10\n", []string{"2:C1|1.38001E+10||"}},

		"array":              {`[{"id":"C1","tel":1},{"id":"C2","nick":"],[{\"}"}]`, []string{"1:C1|1||", `2:C2||],[{"}|`}},
		"array, pretty":      {"\ufeff\r\n[\r\n  {\r\n    \"id\": \"C1\",\n    \"tel\": 13800138000.0\n  },\n  {\"id\": \"C2\"}\n]\n", []string{"1:C1|13800138000||", "2:C2|||"}},
		"array, empty":       {"[ ]\n", nil},
		"array, last comma":  {`[{"id":"C1"},]`, []string{"1:C1|||"}},
		"array, odd rows":    {`[{"id":"C1"},,7,{"id":7,"x":[1,{"a":"]"}]},{"id":"C2"},{"tel":"1"},{"id"],{"id":"C3"}]`, []string{"1:C1|||", "2!" + errObject.Error(), "3!" + errObject.Error(), "4!" + errObject.Error(), "5:C2|||", "6!the id is missing", "7!" + errObject.Error(), "8:C3|||"}},
		"array, a long row":  {`[{"id":"C1","x":"` + long + `"},{"id":"C2"}]`, []string{"1!" + errLong.Error(), "2:C2|||"}},
		"array, not a field": {`[{"id":"C1","a=b":"1"}]`, []string{"1!a custom field's id is no name of its own"}},

		"json":          {`{"id":"C1","tel":13800138000,"nick":"Ann","x":true,"email":null}` + "\n\n" + `{"id":7}`, []string{"1:C1|13800138000|Ann|true", "3:7|||"}},
		"json numbers":  {`{"id":9007199254740993,"x":1.10}`, []string{"1:9007199254740993|||1.10"}},
		"json crlf":     {"{\"id\":\"C1\"}\r\n{\"id\":\"C2\"}\r\n", []string{"1:C1|||", "2:C2|||"}},
		"json broken":   {"{\"id\":\"C1\"\n{\"id\":\"C2\"}\n[]\n\"C3\"\n{\"id\":\"C4\"} {}\n", []string{"1!" + errObject.Error(), "2:C2|||", "3!" + errObject.Error(), "4!" + errObject.Error(), "5!" + errObject.Error()}},
		"json nested":   {`{"id":"C1","x":{"a":1}}` + "\n" + `{"id":"C2","x":[]}`, []string{"1!" + errObject.Error(), "2!" + errObject.Error()}},
		"json twice":    {`{"id":"C1","id":"C2"}`, []string{"1!a field stands there twice"}},
		"json ours":     {`{"_line":3,"id":"C1","_line":4}`, []string{"1:C1|||"}},
		"json no utf-8": {"{\"id\":\"\xff\"}", []string{"1!the row is not UTF-8"}},
		"json custom":   {`{"id":"C1","a=b":"1"}`, []string{"1!a custom field's id is no name of its own"}},
		"json too long": {`{"id":"C1","x":"` + long + "\"}\n{\"id\":\"C2\"}", []string{"1!" + errLong.Error(), "2:C2|||"}},
	} {
		got, err := rowsOf(test.text, Detect)
		if err != nil || strings.Join(got, "\n") != strings.Join(test.want, "\n") {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, test.want)
		}
	}
}

// A file that can't be meant is refused before a customer is stored.
func TestRefusedFiles(t *testing.T) {
	for text, want := range map[string]string{
		"":                   "the file is empty",
		"\xff\xfei\x00d\x00": "iconv",
		"\xfe\xff\x00i\x00d": "UTF-16",
		"i\x00d\x00,\x00":    "UTF-16",
		"\x00i\x00d\x00,":    "UTF-16",
		"PK\x03\x04\x14\x00\x06\x00[Content_Types].xml":                            ".xlsx",
		"PK\x03\x04\x14\x00\x00\x00xl/workbook.xml":                                "CSV UTF-8",
		"PK\x03\x04\x14\x00mimetypeapplication/vnd.oasis.opendocument.spreadsheet": ".ods",
		"PK\x03\x04\x14\x00customers.csv":                                          "ZIP archive",
		"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00":                                     ".xls",
		"\x1f\x8b\x08\x00":                                                         "zcat FILE |",
		"BZh91AY&SY":                                                               "bzip2",
		"\xfd7zXZ\x00":                                                             "xz",
		"\x28\xb5\x2f\xfd\x04":                                                     "zstd",
		"%PDF-1.7\n":                                                               "PDF",
		"SQLite format 3\x00":                                                      "find",
		"\r\n<html><table>":                                                        "HTML",
		"[{\"id\":\"C1\"}":                                                         "cut off",
		"[{\"id\":\"C1\"":                                                          "cut off",
		"[\"":                                                                      "cut off",
		"[{\"id\":\"C1\"}] {\"id\":\"C2\"}":                                        "follows the JSON array",
		",,\n,\n":                                                                  "the file is empty",
		"id,tel,,nick\n":                                                           "column 3 of the header",
		"tel,nick\n1,2\n":                                                          "no column id",
		"id,tel,id\n":                                                              "the second is column 3",
		"id,x,x\n":                                                                 "the second is column 3",
		"id,,nick\n":                                                               "column 2 of the header",
		"id;tel;nick\nC1;1;2\n":                                                    "column 1 of the header",
		"id,a=b\n":                                                                 "column 2 of the header",
		"id,\"tel\nC1,1\n":                                                         "a quote is not closed",
		"id,\xd5\xc5\n":                                                            "column 2 of the header",
		"C1,13800138000,Ann\n":                                                     "no column id",
		"id,tel,nick\rC1,1,2\r":                                                    "column 3 of the header",
		strings.Repeat("x", 2e6):                                                   "longer than 1 MiB",
	} {
		_, err := rowsOf(text, Detect)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		} else if strings.Contains(err.Error(), "13800138000") {
			t.Errorf("the error holds a value: %v", err)
		}
	}
}

func TestFormatNames(t *testing.T) {
	for name, want := range map[string]Format{"": Detect, "csv": CSV, "ndjson": NDJSON, "jsonl": NDJSON, "json": JSON} {
		if got, err := ParseFormat(name); got != want || err != nil {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
	if _, err := ParseFormat("xlsx"); err == nil {
		t.Error("xlsx is a format")
	}
}

func TestParseAs(t *testing.T) {
	for text, ok := range map[string]bool{
		`{"tel":"138"}`: true, `{"id":"C1"}`: true, `{"id":" C1 "}`: true, `{"id":"C2"}`: false, `[]`: false, ``: false, `{"isVip":"maybe"}`: false,
	} {
		r, err := ParseAs([]byte(text), "C1")
		if (err == nil) != ok || ok && r.ID != "C1" {
			t.Errorf("%s: %v, %v", text, r, err)
		}
	}
}

func FuzzCSV(f *testing.F) {
	for _, s := range []string{"id,tel\nC1,\"a\"\"b\"\r\n", "\ufeffid,x\n\"C\n1\",'=1", "id\n\"", "id,_row\nC1,\"\r\"\r\n\r\n", ",,\nid,tel,,\n=\"C1\",'138.0,,\n,,,\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) { fuzz(t, text, CSV) })
}

func FuzzNDJSON(f *testing.F) {
	for _, s := range []string{`{"id":"C1","x":1.0}`, "{\"id\":true}\r\n\r\n{}", `{"id":"\ud800"}`, `{"a":[{}]}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) { fuzz(t, text, NDJSON) })
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{`[{"id":"C1","x":1.0}]`, "[\r\n{\"id\":true},,\n{}]", `[{"id":"]\"[\\"},7,[[]],{"id":"C2"},]`, `[`, `[]]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) { fuzz(t, text, JSON) })
}

// Whatever is read can be exported, and read again as the same.
func fuzz(t *testing.T, text string, format Format) {
	t.Helper()
	rows, _, in, err := open(strings.NewReader(text), format)
	if err != nil {
		return
	}
	m := newMemory()
	for last := int64(0); ; {
		r, err := rows.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, errArray) || errors.Is(err, errBehind) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.line <= last || in.offset > int64(len(text)) {
			t.Fatalf("line %d comes after %d, at %d", r.line, last, in.offset)
		}
		last = r.line
		if r.reason == nil {
			m.records[r.record.ID] = r.record
		}
	}
	for _, format := range []Format{CSV, NDJSON} {
		again := newMemory()
		var out strings.Builder
		if _, err := Export(t.Context(), m, &out, format, nil); err != nil {
			t.Fatal(err)
		}
		if result, err := load(t, again, format, out.String()); err != nil || result.Rejected > 0 {
			t.Fatalf("%+v, %v of\n%s", result, err, out.String())
		}
		sameRecords(t, m.records, again.records, format)
	}
}

func sameRecords(t *testing.T, want, got map[string]*customer.Record, format Format) {
	t.Helper()
	if len(want) != len(got) {
		t.Fatalf("%d customers, want %d", len(got), len(want))
	}
	for id, w := range want {
		g := got[id]
		if g == nil {
			t.Fatalf("%q is missing", id)
		}
		for _, f := range customer.Fields {
			if *f.Of(g) != *f.Of(w) {
				t.Errorf("%s: %s is %q, want %q", format, f.Wire, *f.Of(g), *f.Of(w))
			}
		}
		for id, value := range w.Custom {
			if g.Custom[id] != value {
				t.Errorf("%s: %q is %q, want %q", format, id, g.Custom[id], value)
			}
		}
	}
}
