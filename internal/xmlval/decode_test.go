package xmlval

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"go.uber.org/goleak"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const xsi = ` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"`

var mapping = []struct {
	name, doc, want string
}{
	{"text is a string", `<a>x</a>`, `{"a":"x"}`},
	{"a number stays text", `<a><n>007</n></a>`, `{"a":{"n":"007"}}`},
	{"empty elements are empty strings", `<a><b/><c></c><d>  </d></a>`, `{"a":{"b":"","c":"","d":""}}`},
	{"an empty root", `<a/>`, `{"a":""}`},
	{"attributes", `<a id="1" b='2'/>`, `{"a":{"@b":"2","@id":"1"}}`},
	{"text beside attributes", `<a id="1">x</a>`, `{"a":{"#text":"x","@id":"1"}}`},
	{"text beside elements", `<a>Hello <b>big</b> world</a>`, `{"a":{"#text":"Hello  world","b":"big"}}`},
	{"an element named like an attribute", `<a b="1"><b>2</b></a>`, `{"a":{"@b":"1","b":"2"}}`},
	{"white space at the ends of text", "<a>\n\t x  y \r\n</a>", `{"a":"x  y"}`},
	{"white space between elements", "<a>\n  <b>1</b>\n  <c>2</c>\n</a>\n", `{"a":{"b":"1","c":"2"}}`},
	{"repeats", `<a><b>1</b><b>2</b></a>`, `{"a":{"b":["1","2"]}}`},
	{"repeats with others between", `<a><b>1</b><c/><b>2</b><b>3</b><c/><b>4</b></a>`, `{"a":{"b":["1","2","3","4"],"c":["",""]}}`},
	{"one isn't an array by itself", `<a><b><c>1</c></b></a>`, `{"a":{"b":{"c":"1"}}}`},
	{"prefixes", `<s:a xmlns:s="urn:s" xmlns="urn:d" s:id="1"><s:b>1</s:b><c/></s:a>`, `{"a":{"@id":"1","b":"1","c":""}}`},
	{"names of two namespaces share a key", `<a xmlns:x="urn:x"><b>1</b><x:b>2</x:b></a>`, `{"a":{"b":["1","2"]}}`},
	{"attributes of two namespaces share a key", `<a xmlns:x="urn:x" id="1" x:id="2"/>`, `{"a":{"@id":["1","2"]}}`},
	{"xsi:nil", `<a` + xsi + `><b xsi:nil="true"/><c xsi:nil="1"></c><d xsi:nil="false"/></a>`, `{"a":{"b":null,"c":null,"d":""}}`},
	{"xsi:nil of another prefix", `<a xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><b i:nil="true" k="1"/></a>`, `{"a":{"b":null}}`},
	{"xsi:nil before its declaration", `<a><b i:nil="true" xmlns:i="http://www.w3.org/2001/XMLSchema-instance"/><b i:nil="true"/></a>`, `{"a":{"b":[null,{"@nil":"true"}]}}`},
	{"xsi bound to something else inside", `<a` + xsi + `><b xmlns:xsi="urn:x" xsi:nil="true"/><b xsi:nil="true"/></a>`, `{"a":{"b":[{"@nil":"true"},null]}}`},
	{"xsi:nil of what isn't empty", `<a` + xsi + ` xsi:nil="true">x</a>`, `{"a":"x"}`},
	{"xsi:type is dropped", `<a` + xsi + `><b xsi:type="xsd:string">x</b></a>`, `{"a":{"b":"x"}}`},
	{"CDATA", `<a><![CDATA[<b>&amp;]]]]><![CDATA[>]]></a>`, `{"a":"<b>&amp;]]>"}`},
	{"entities and characters", `<a t="&quot;&#65;&#x4E2d;&apos;">&lt;&gt;&amp;&#20013;&#x1F600;&#xD;</a>`, `{"a":{"#text":"<>&中😀","@t":"\"A中'"}}`},
	{"line ends", "<a>1\r\n2\r3\n4<![CDATA[\r\n5\r]]>6</a>", `{"a":"1\n2\n3\n4\n5\n6"}`},
	{"white space in attributes", "<a b='1\r\n2\t3\n4&#10;5\r6'/>", `{"a":{"@b":"1 2 3 4\n5 6"}}`},
	{"comments and instructions", `<?xml version="1.0"?><!-- a --><?p q?><a>1<!-- - -->2<?p?>3</a><!-- z --><?z z?>`, `{"a":"123"}`},
	{"Chinese names", `<订单><编号 类型="甲">1</编号></订单>`, `{"订单":{"编号":{"#text":"1","@类型":"甲"}}}`},
	{"quotes in quotes", `<a b="it's" c='"'>"'</a>`, `{"a":{"#text":"\"'","@b":"it's","@c":"\""}}`},
	{"brackets", `<a b="]]>">]] > ]></a>`, `{"a":{"#text":"]] > ]>","@b":"]]>"}}`},
	{"blanks in tags", "<a  b = '1'\n>x</a\t>", `{"a":{"#text":"x","@b":"1"}}`},
	{"letters of three bytes", `<a b="（）">！</a>`, `{"a":{"#text":"！","@b":"（）"}}`},
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for _, tc := range mapping {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			check(t, tc.doc, tc.want)
		})
	}
}

// The example in the manual.
func TestManual(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile("../../docs/reference/xml.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(manual), "```xml\n")
	doc, rest, _ := strings.Cut(rest, "```\n")
	_, rest, _ = strings.Cut(rest, "```json\n")
	want, _, _ := strings.Cut(rest, "```\n")
	check(t, doc, want)
}

func check(t *testing.T, doc, want string, lists ...string) {
	t.Helper()
	l, err := NewLists(lists)
	if err != nil {
		t.Fatal(err)
	}
	v, err := Decode([]byte(doc), jsonval.Limits{}, l, nil)
	if err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	got, err := jsonval.Encode(nil, v, jsonval.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := jsonval.Decode([]byte(want), jsonval.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if canonical, _ := jsonval.Encode(nil, wanted, jsonval.Limits{}); string(got) != string(canonical) {
		t.Errorf("%s\n got %s\nwant %s", doc, got, canonical)
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, doc, want string
		lists           []string
	}{
		{"none", `<a><b/></a>`, `{"a":{"b":{"c":[]}}}`, []string{"a/b/c"}},
		{"no element", `<a/>`, `{"a":{"b":[]}}`, []string{"a/b"}},
		{"one", `<a><b>1</b></a>`, `{"a":{"b":["1"]}}`, []string{"a/b"}},
		{"many", `<a><b>1</b><c/><b>2</b></a>`, `{"a":{"b":["1","2"],"c":""}}`, []string{"a/b"}},
		{"null", `<a` + xsi + `><b xsi:nil="true"/></a>`, `{"a":{"b":[null]}}`, []string{"a/b"}},
		{"below one that is null", `<a` + xsi + `><b xsi:nil="true"/></a>`, `{"a":{"b":null}}`, []string{"a/b/c"}},
		{"below one that is missing", `<a><x/></a>`, `{"a":{"x":""}}`, []string{"a/b/c"}},
		{"below one with text", `<a><b>1</b></a>`, `{"a":{"b":{"#text":"1","c":[]}}}`, []string{"a/b/c"}},
		{"in a list", `<a><b><c>1</c></b><b/></a>`, `{"a":{"b":[{"c":["1"]},{"c":[]}]}}`, []string{"a/b", "a/b/c"}},
		{"in repeats", `<a><b><c>1</c></b><b/></a>`, `{"a":{"b":[{"c":["1"]},{"c":[]}]}}`, []string{"a/b/c"}},
		{"of any prefix", `<x:a><y:b>1</y:b></x:a>`, `{"a":{"b":["1"]}}`, []string{"a/b"}},
		{"another root", `<z><b>1</b></z>`, `{"z":{"b":"1"}}`, []string{"a/b"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			check(t, tc.doc, tc.want, tc.lists...)
		})
	}
}

func TestListsThatAreRefused(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/a/b":       "list /a/b: write the path without the slash at its beginning, from the name of the root element on",
		"a":          `list "a": write a path from the root element to the one that repeats, e.g. Envelope/Body/Orders/Order`,
		"a/":         `list "a/": write a path from the root element to the one that repeats, e.g. Envelope/Body/Orders/Order`,
		"":           `list "": write a path from the root element to the one that repeats, e.g. Envelope/Body/Orders/Order`,
		"soap:a/b":   "list soap:a/b: names have no prefix here; write a/b",
		"a/b/":       `list a/b/: leave out the extra slash`,
		"a/@b":       `list a/@b: "@b" is not the name of an element`,
		"a/b[1]":     `list a/b[1]: "b[1]" is not the name of an element`,
		"a//b":       `list a//b: leave out the extra slash`,
		"a/\xff":     "list a/\xff: \"\\xff\" is not the name of an element",
		"again/here": "list again/here is there twice",
	} {
		if _, err := NewLists([]string{"again/here", path}); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", path, err, want)
		}
	}
}

// FuzzNewLists takes any path. One that is accepted names elements that can exist.
func FuzzNewLists(f *testing.F) {
	for _, path := range []string{"a/b", "/a", "soap:a/b", "a/b:", "a//", "订单/编号", "a/\xff", "a/1"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		lists, err := NewLists([]string{path})
		if err != nil {
			return
		}
		names := strings.Split(path, "/")
		doc := "<" + strings.Join(names, "><") + ">"
		for _, name := range slices.Backward(names) {
			doc += "</" + name + ">"
		}
		v, err := Decode([]byte(doc), jsonval.Limits{}, lists, nil)
		if errors.Is(err, ErrDeep) || errors.Is(err, ErrLongName) {
			return
		}
		for _, name := range names[:len(names)-1] {
			object, _ := v.(map[string]any)
			v = object[name]
		}
		object, _ := v.(map[string]any)
		if list, ok := object[names[len(names)-1]].([]any); err != nil || !ok || len(list) != 1 {
			t.Errorf("%s: %v, %v", doc, v, err)
		}
	})
}

func TestRefused(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat("<a>", n) + strings.Repeat("</a>", n) }
	attributes := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, ` a%d=""`, i)
		}
		return "<a" + b.String() + "/>"
	}
	for _, tc := range []struct {
		name, doc string
		want      error
	}{
		{"nothing", " \n", jsonval.ErrEmpty},
		{"JSON", `{"a":1}`, ErrNotXML},
		{"text", `a`, ErrNotXML},
		{"a byte order mark", "\ufeff<a/>", ErrNotXML},
		{"a document type", `<!DOCTYPE a><a/>`, ErrDTD},
		{"a document type behind the declaration", `<?xml version="1.0"?><!DOCTYPE a SYSTEM "http://example.com/a.dtd"><a/>`, ErrDTD},
		{"a bomb", `<!DOCTYPE z [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><z>&b;</z>`, ErrDTD},
		{"an external entity", `<!DOCTYPE z [<!ENTITY x SYSTEM "file:///etc/passwd">]><z>&x;</z>`, ErrDTD},
		{"a document type inside", `<a><!DOCTYPE a></a>`, ErrDTD},
		{"an entity of HTML", `<a>&nbsp;</a>`, ErrEntity},
		{"an entity in an attribute", `<a b="&x;"/>`, ErrEntity},
		{"an entity without an end", `<a>&amp</a>`, ErrMalformed},
		{"an ampersand", `<a>R & D</a>`, ErrMalformed},
		{"the character 0", `<a>&#0;</a>`, ErrCharacter},
		{"a surrogate", `<a>&#xD800;</a>`, ErrCharacter},
		{"a character beyond Unicode", `<a>&#x110000;</a>`, ErrCharacter},
		{"a number that overflows", `<a>&#x1000000000000041;</a>`, ErrCharacter},
		{"a character without digits", `<a>&#;</a>`, ErrCharacter},
		{"a control character", "<a>\x01</a>", ErrCharacter},
		{"a control character in an attribute", "<a b='\x00'/>", ErrCharacter},
		{"a control character in CDATA", "<a><![CDATA[\x1f]]></a>", ErrCharacter},
		{"no character", "<a>\uffff</a>", ErrCharacter},
		{"invalid UTF-8", "<a>\xff</a>", ErrCharacter},
		{"mismatched tags", `<a><b></a></b>`, ErrTags},
		{"a longer end tag", `<a></ab>`, ErrTags},
		{"an end tag of another prefix", `<x:a></y:a>`, ErrTags},
		{"an end tag of another case", `<a></A>`, ErrTags},
		{"no end tag", `<a><b></b>`, ErrCutOff},
		{"cut off in a name", `<a><b`, ErrCutOff},
		{"cut off in a tag", `<a b`, ErrCutOff},
		{"cut off behind =", `<a b=`, ErrCutOff},
		{"cut off in a value", `<a b="`, ErrCutOff},
		{"cut off in text", `<a>x`, ErrCutOff},
		{"cut off in CDATA", `<a><![CDATA[x`, ErrCutOff},
		{"cut off in a comment", `<a><!-- x`, ErrCutOff},
		{"cut off in an instruction", `<a><?x y`, ErrCutOff},
		{"cut off behind a name", `<a></a`, ErrCutOff},
		{"cut off in an end tag", `<abc></ab`, ErrCutOff},
		{"cut off behind </", `<abc></`, ErrCutOff},
		{"cut off behind <", `<a><`, ErrCutOff},
		{"only a declaration", `<?xml version="1.0"?>`, ErrCutOff},
		{"only a comment", `<!-- -->`, ErrCutOff},
		{"two roots", `<a/><b/>`, ErrRoots},
		{"text behind the root", `<a/>x`, ErrRoots},
		{"text before the root", `<!-- -->x<a/>`, ErrMalformed},
		{"a late declaration", ` <?xml version="1.0"?><a/>`, ErrMalformed},
		{"a declaration inside", `<a><?xml version="1.0"?></a>`, ErrMalformed},
		{"repeated attributes", `<a b="1" c="2" b="1"/>`, ErrTwice},
		{"attributes side by side", `<a b="1"c="2"/>`, ErrMalformed},
		{"an attribute without a value", `<a b/>`, ErrMalformed},
		{"an attribute without quotes", `<a b=1/>`, ErrMalformed},
		{"< in an attribute", `<a b="<"/>`, ErrMalformed},
		{"]]> in text", `<a>]]></a>`, ErrMalformed},
		{"-- in a comment", `<a><!-- -- --></a>`, ErrMalformed},
		{"CDATA beside the root", `<![CDATA[x]]><a/>`, ErrMalformed},
		{"a name that begins with a digit", `<1a/>`, ErrMalformed},
		{"a name that begins with a hyphen", `<-a/>`, ErrMalformed},
		{"a name without a prefix before its colon", `<:a/>`, ErrMalformed},
		{"a name without anything behind its colon", `<a:/>`, ErrMalformed},
		{"a name with two colons", `<a:b:c/>`, ErrMalformed},
		{"a name with a sign", "<a\u00d7/>", ErrMalformed},
		{"no name", `< a/>`, ErrMalformed},
		{"256 elements deep", deep(256), nil},
		{"257 elements deep", deep(257), ErrDeep},
		{"256 attributes", attributes(256), nil},
		{"257 attributes", attributes(257), ErrAttributes},
		{"a long name", "<" + strings.Repeat("a", 1024) + "/>", nil},
		{"a longer name", "<" + strings.Repeat("a", 1025) + "/>", ErrLongName},
		{"a long attribute", `<a b="` + strings.Repeat("b", 64<<10) + `"/>`, nil},
		{"a longer attribute", `<a b="` + strings.Repeat("b", 64<<10+1) + `"/>`, ErrLongContent},
		{"an attribute of 1 MB", `<a b="` + strings.Repeat("b", 1_000_000) + `"/>`, ErrLongContent},
		{"more than 1 MiB", `<a>` + strings.Repeat("b", 1<<20) + `</a>`, jsonval.ErrTooLarge},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if _, err := Decode([]byte(tc.doc), jsonval.Limits{}, nil, nil); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	doc := []byte(`<a b="1"><c/><c/></a>`)
	if _, err := Decode(doc, jsonval.Limits{Nodes: 4}, nil, nil); err != nil {
		t.Error(err)
	}
	if _, err := Decode(doc, jsonval.Limits{Nodes: 3}, nil, nil); !errors.Is(err, jsonval.ErrTooLarge) {
		t.Errorf("four elements and attributes: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	many := []byte("<a>" + strings.Repeat("<b/>", 10_000) + "</a>")
	room := jsonval.Room{Context: ctx}
	defer room.Release()
	if _, err := Decode(many, jsonval.Limits{Room: &room}, nil, nil); !errors.Is(err, jsonval.ErrDeadline) {
		t.Errorf("behind the deadline: %v", err)
	}
}

// What decoding takes is reserved, at least half of it as for JSON, so that a document
// which takes too much is refused.
func TestMemory(t *testing.T) { // not parallel: it measures memory
	const n = 1_000_000
	repeat := func(s string) string { return "<a>" + strings.Repeat(s, n/len(s)) + "</a>" }
	for name, doc := range map[string]string{
		"empty elements":       repeat(`<b/>`),
		"elements by turns":    repeat(`<b/><c/>`),
		"attributes":           repeat(`<b c=""/>`),
		"objects":              repeat(`<b><c/></b>`),
		"deep":                 repeat(strings.Repeat("<b>", 250) + strings.Repeat("</b>", 250)),
		"pieces of text":       repeat(`x<b/>`),
		"references":           "<a>" + strings.Repeat(`&#65;`, n/5) + "</a>",
		"texts with one":       repeat(`<b>&lt;</b>`),
		"line ends":            "<a>x" + strings.Repeat("\r", n) + "</a>",
		"CDATA":                "<a>" + strings.Repeat("<![CDATA[\r]]>", n/13) + "</a>",
		"namespaces":           repeat(`<b xmlns:x="http://www.w3.org/2001/XMLSchema-instance"/>`),
		"comments":             repeat(`<!---->`),
		"declarations":         repeat(`<?x?>`),
		"a long text":          "<a>" + strings.Repeat("x", n) + "</a>",
		"attributes by number": repeat(`<b c="" d="" e="" f="" g="" h="" i="" j="" k=""/>`),
	} {
		var before, after runtime.MemStats
		d := decoder{Limits: jsonval.Limits{}.OrDefaults(), pause: n, s: doc}
		runtime.GC()
		runtime.ReadMemStats(&before)
		d.document()
		runtime.ReadMemStats(&after)
		allocated := after.TotalAlloc - before.TotalAlloc
		t.Logf("%-22s %6.1f counted, %6.1f allocated for each byte", name, float64(d.owed)/n, float64(allocated)/n)
		if d.err != nil {
			t.Errorf("%s: %v", name, d.err)
		}
		const others = 64 << 10 // of the runtime, which counts as well
		if uint64(d.owed)+others < allocated/2 {
			t.Errorf("%s: %d bytes are counted, %d were allocated", name, d.owed, allocated)
		}
		room := jsonval.Room{Context: t.Context()}
		_, err := Decode([]byte(doc), jsonval.Limits{Room: &room}, nil, nil)
		if room.Release(); err != nil && (d.owed < 64<<20 || !errors.Is(err, jsonval.ErrTooMuch)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzDecode compares with encoding/xml: it has accepted what we accept, and finds
// the same in it.
func FuzzDecode(f *testing.F) {
	for _, tc := range mapping {
		f.Add(tc.doc)
	}
	for _, doc := range []string{
		`<a b="1" b="2"/>`, `<a a="1" a="2"/>`, `<a>]]></a>`, `<a><b></a></b>`, `<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`, `<a>&nbsp;&#x;</a>`, `<a/><b/>`,
		"<a\u00b7>\ufffe</a\u00b7>", `<?xml version="1.0" encoding="GBK"?><a/>`, `<a:b xmlns:a=""></a:b>`, `<a><![CDATA[</a>]]></a>`,
	} {
		f.Add(doc)
	}
	lists, err := NewLists([]string{"a/b", "a/c/d"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		v, err := Decode([]byte(doc), jsonval.Limits{}, nil, nil)
		listed, listedErr := Decode([]byte(doc), jsonval.Limits{}, lists, nil)
		if fmt.Sprint(err) != fmt.Sprint(listedErr) {
			t.Fatalf("with lists %v, without %v", listedErr, err)
		}
		want, laxer, wantErr := reference(doc)
		switch {
		case err != nil && wantErr == nil && !laxer:
			t.Fatalf("%v, encoding/xml accepts it", err)
		case err == nil && wantErr != nil && !stricter(doc, wantErr):
			t.Fatalf("%v of encoding/xml", wantErr)
		case err == nil && wantErr == nil && !reflect.DeepEqual(blanks(v), blanks(want)):
			t.Fatalf("got %#v\nwant %#v", v, want)
		}
		if _, isError := errors.AsType[Error](err); err != nil && !isError && !errors.Is(err, jsonval.ErrEmpty) && !errors.Is(err, jsonval.ErrTooLarge) {
			t.Fatalf("an error of another kind: %v", err)
		}
		if err == nil {
			if _, err := jsonval.Encode(nil, listed, jsonval.Limits{Bytes: 64 << 20}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// reference maps a document with encoding/xml. Laxer is whether it accepts what we
// don't.
func reference(doc string) (v any, laxer bool, err error) {
	if !utf8.ValidString(doc) || strings.Contains(doc, "\ufeff") {
		return nil, false, errors.New("not for us")
	}
	laxer = sideBySide.MatchString(doc) || joined.MatchString(doc) || surrogate.MatchString(doc) || len(doc) > maxAttribute
	d := xml.NewDecoder(strings.NewReader(doc))
	d.CharsetReader = func(_ string, input io.Reader) (io.Reader, error) { return input, nil }
	top := new(node)
	at := []*node{top}
	for {
		token, err := d.RawToken()
		here := at[len(at)-1]
		switch token := token.(type) {
		case xml.StartElement:
			n := newNode(here, token)
			laxer = laxer || n.laxer || len(at) > maxDepth
			at = append(at, n)
		case xml.EndElement:
			if len(at) == 1 || here.name != token.Name {
				return nil, laxer, errors.New("mismatched")
			}
			at = at[:len(at)-1]
			at[len(at)-1].add(here.name.Local, here.value())
		case xml.CharData:
			here.text += string(token)
		case xml.Directive:
			laxer = true
		case xml.ProcInst:
			laxer = laxer || !strings.HasPrefix(doc, "<?xml") || strings.EqualFold(token.Target, "xml") || strings.Contains(token.Target, ":")
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, laxer, err
		}
	}
	root, _ := top.value().(map[string]any)
	if len(at) > 1 || root == nil {
		return nil, laxer, errors.New("no root or not at its end")
	}
	if _, several := root[slices.Collect(maps.Keys(root))[0]].([]any); several || len(root) > 1 {
		return root, true, nil
	}
	return root, laxer || strings.TrimSpace(doc)[0] != '<' || !strings.HasSuffix(strings.TrimRight(doc, " \t\r\n"), ">"), nil
}

var (
	sideBySide = regexp.MustCompile(`["'][^ \t\r\n/>?"']`)
	joined     = regexp.MustCompile(`<\?[\w.:\x{80}-\x{10FFFF}-]*(\?[^>]|[^ \t\r\n?\w.:\x{80}-\x{10FFFF}-])`)
	surrogate  = regexp.MustCompile(`(?i)&#(x0*[df]|0*5[5-7]|0*6[45])|[\x{FFFE}\x{FFFF}]`)
)

// A node is an element of the reference.
type node struct {
	name    xml.Name
	nilled  bool
	members map[string]any
	text    string
	xsi     map[string]bool
	laxer   bool
}

func newNode(parent *node, start xml.StartElement) *node {
	n := &node{name: start.Name, xsi: maps.Clone(parent.xsi)}
	if n.xsi == nil {
		n.xsi = map[string]bool{}
	}
	long := func(name xml.Name) bool { return len(name.Local)+len(name.Space) >= maxName }
	n.laxer = strings.Contains(start.Name.Local, ":") || long(start.Name) || len(start.Attr) > maxAttributes
	seen := map[xml.Name]bool{}
	for _, a := range start.Attr {
		n.laxer = n.laxer || seen[a.Name] || strings.Contains(a.Name.Local, ":") || long(a.Name)
		seen[a.Name] = true
		if a.Name.Space == "xmlns" {
			n.xsi[a.Name.Local] = a.Value == instance
		}
	}
	for _, a := range start.Attr {
		switch {
		case a.Name.Space == "xmlns", a.Name == xml.Name{Local: "xmlns"}:
		case n.xsi[a.Name.Space]:
			value := strings.Trim(a.Value, " \t\r\n")
			n.nilled = n.nilled || a.Name.Local == "nil" && (value == "true" || value == "1")
		default:
			n.add("@"+a.Name.Local, a.Value)
		}
	}
	return n
}

func (n *node) add(key string, v any) {
	if n.members == nil {
		n.members = map[string]any{}
	}
	switch old := n.members[key].(type) {
	case []any:
		n.members[key] = append(old, v)
	default:
		if _, ok := n.members[key]; ok {
			n.members[key] = []any{old, v}
		} else {
			n.members[key] = v
		}
	}
}

func (n *node) value() any {
	text, children := strings.Trim(n.text, " \t\r\n"), 0
	for key := range n.members {
		if key[0] != '@' {
			children++
		}
	}
	switch {
	case n.nilled && text == "" && children == 0:
		return nil
	case n.members == nil:
		return text
	case text != "":
		n.members["#text"] = text
	}
	return n.members
}

// stricter reports whether encoding/xml refuses what we accept: names by the fourth
// edition, and versions.
func stricter(doc string, err error) bool {
	return strings.Contains(err.Error(), "unsupported version") ||
		strings.ContainsFunc(doc, func(r rune) bool { return r >= utf8.RuneSelf }) && strings.Contains(err.Error(), "name")
}

// blanks is a value with blanks for the white space in attributes, which encoding/xml
// leaves as it is.
func blanks(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, member := range v {
			if v[key] = blanks(member); key[0] == '@' {
				v[key] = inBlanks(v[key])
			}
		}
	case []any:
		for i := range v {
			v[i] = blanks(v[i])
		}
	}
	return v
}

func inBlanks(v any) any {
	switch v := v.(type) {
	case string:
		return strings.NewReplacer("\t", " ", "\n", " ", "\r", " ").Replace(v)
	case []any:
		for i := range v {
			v[i] = inBlanks(v[i])
		}
	}
	return v
}
